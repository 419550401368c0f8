"""What is measured: our worker by each client and with each delivery, an echo, and the rivals."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stream import ground
from tests.bench.stream.fleet import HORIZON, LEVEL

# Beside the interpreter, as `make setup` installs it.
FORECAST = Path(sys.executable).with_name("forecast")
RIVALS = ground.ROOT / ".venv-rivals-stream" / "bin" / "python"
CLIENTS = ("kafka-python", "confluent")
DELIVERIES = ("at-least-once", "exactly-once")


@dataclass(frozen=True)
class Worker:
    """`forecast stream`."""

    client: str
    delivery: str

    @property
    def name(self):
        return f"ours, {self.client}"

    def start(self, place, ticks, forecasts, more=()):
        command = [
            FORECAST, "stream", "--model", place.model, "--bootstrap", place.cluster.bootstrap,
            "--client", self.client, "--ticks", ticks, "--forecasts", forecasts, "--group", forecasts,
            "--instance", "worker-1", "--control", f"control-{forecasts}", "--delivery", self.delivery,
            "--horizon", HORIZON, "--level", LEVEL, *more,
        ]  # fmt: skip
        return ground.start(command, place.folder / f"{forecasts}.log")


@dataclass(frozen=True)
class Echo:
    """The same bytes in and out, and nothing between."""

    bytes: int
    name: str = "confluent echo"
    delivery: str = "at-least-once"

    def start(self, place, ticks, forecasts):
        return ground.python(
            "tests.bench.stream.echo", "--bootstrap", place.cluster.bootstrap, "--ticks", ticks,
            "--forecasts", forecasts, "--group", forecasts, "--bytes", self.bytes,
            log=place.folder / f"{forecasts}.log",
        )  # fmt: skip


@dataclass(frozen=True)
class Rival:
    """Another framework around our kernels, in an environment of its own."""

    name: str
    module: str
    more: tuple = ()
    delivery: str = "at-least-once"

    def start(self, place, ticks, forecasts):
        state = place.folder / f"state-{forecasts}"
        shutil.rmtree(state, ignore_errors=True)
        return ground.python(
            self.module, "--bootstrap", place.cluster.bootstrap, "--ticks", ticks, "--forecasts", forecasts,
            "--group", forecasts, "--model", place.model, "--folder", state, *self.more,
            interpreter=RIVALS, log=place.folder / f"{forecasts}.log",
        )  # fmt: skip


def workers():
    return [Worker(client, delivery) for client in CLIENTS for delivery in DELIVERIES]


def rivals():
    """Those of `make rivals-stream`, if it was made."""
    if not RIVALS.is_file():
        sys.stderr.write("no rivals measured: make rivals-stream\n")
        return []
    return [
        Rival("Quix Streams", "tests.bench.stream.rival_quix"),
        Rival("Bytewax", "tests.bench.stream.rival_bytewax"),
        Rival("Bytewax, batches, no state", "tests.bench.stream.rival_bytewax", ("--batch",)),
    ]
