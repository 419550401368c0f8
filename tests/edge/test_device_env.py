"""The device's commands where there is nothing but NumPy and ONNX Runtime: install, step, forecast, serve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.edge.shipped import HORIZON, TICKS, Shipped, ship
from tests.services.edge.aarch64 import device
from tests.services.edge.cache import command, or_skip
from tests.services.edge.environments import environment

pytestmark = pytest.mark.edge

# Of forecasts that went through JSON with all their digits; step.onnx is float64, model.onnx was quantised.
STEP, CLOSED = 1e-11, 1e-3
# Seconds; an emulator takes ten for the imports alone.
SERVES_WITHIN_S = 60
MACHINES = ("edge-ort-1.19", "edge-device", "aarch64")


class Machine:
    """A Python that knows nothing of this repository, a zipapp, and a folder of its own."""

    def __init__(self, python: list[str | Path], env: dict[str, str], folder: Path, shipped: Shipped) -> None:
        self.line = [*map(str, python), str(shipped.app)]
        # Nothing of the test's own environment may help.
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self.env, self.folder, self.root = {**kept, **env}, folder, folder / "root"

    def run(self, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.line, *map(str, arguments)], env=self.env, cwd=self.folder, input=text,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def ask(self, *arguments: str | Path, text: str = "") -> list[dict]:
        """Run a command that must succeed, and read what it prints."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    return ship(tmp_path_factory.mktemp("shipped"))


@pytest.fixture(scope="module", params=MACHINES)
def machine(request, shipped, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "aarch64":
        there = or_skip(device)
        made = Machine(there.python, there.env, folder, shipped)
    else:
        made = Machine([or_skip(lambda: environment(request.param))], {}, folder, shipped)
    (installed,) = made.ask("install", shipped.archive, "--root", made.root, "--keys", shipped.keys, "--json")
    assert installed["changed"]
    assert {one["model"] for one in installed["parity"]} == {"model.onnx", "step.onnx"}
    assert all(one["error"] <= one["rtol"] for one in installed["parity"])
    return made


def close(got, want, tolerance):
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * np.abs(want).max())


def test_nothing_of_the_repository_is_there(machine):
    line = [
        *machine.line[:-1],
        "-c",
        "import importlib.util as u; print(u.find_spec('forecast'), u.find_spec('edge'))",
    ]
    assert command(line, env=machine.env, cwd=machine.folder).split() == ["None", "None"]


def test_verify(machine, shipped):
    (said,) = machine.ask("verify", shipped.archive, "--keys", shipped.keys, "--json")
    assert said["n_series"] == len(shipped.ids)
    assert said["horizon"] == HORIZON


def test_a_changed_archive_is_refused_in_one_line(machine, shipped, tmp_path):
    data = bytearray(shipped.archive.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.edge.zip").write_bytes(data)
    root = tmp_path / "root"
    done = machine.run("install", tmp_path / "bad.edge.zip", "--root", root, "--keys", shipped.keys)
    assert done.returncode == 1
    assert done.stderr.startswith("forecast-edge install: ")
    assert len(done.stderr.splitlines()) == 1
    assert machine.run("status", "--root", root).stdout.startswith("current: none")
    (status,) = machine.ask("status", "--root", machine.root, "--json")
    assert status["current"]["ok"]


def test_forecasts_from_histories(machine, shipped):
    asked = "".join(json.dumps(request) + "\n" for request in shipped.requests)
    answers = machine.ask("forecast", "--root", machine.root, text=asked)
    assert [answer["series_id"] for answer in answers] == [
        request["series_id"] for request in shipped.requests
    ]
    for answer, mean in zip(answers, shipped.closed_means, strict=True):
        close(answer["mean"], mean, CLOSED)


def test_ticks_one_run_after_another(machine, shipped):
    """A second process goes on where the first one stopped: every tick of it says what the library says."""
    half = len(shipped.ids) * (TICKS // 2)
    answers = []
    for ticks in (shipped.ticks[:half], shipped.ticks[half:]):
        text = "".join(json.dumps(tick) + "\n" for tick in ticks)
        answers += machine.ask("step", "--root", machine.root, text=text)
    assert len(answers) == len(shipped.ticks)
    for answer, tick, mean, z in zip(answers, shipped.ticks, shipped.step_means, shipped.z, strict=True):
        assert answer["series_id"] == tick["series_id"]
        assert answer["ts_ms"] == tick["ts_ms"]
        close(answer["mean"], mean, STEP)
        assert (answer["z"] is None) == (tick["value"] is None)
        assert answer["z"] is None or answer["z"] == pytest.approx(z, rel=1e-9, abs=1e-9)


def test_a_tick_of_a_series_that_is_not_there(machine, shipped):
    tick = {**shipped.ticks[0], "series_id": "nobody"}
    done = machine.run("step", "--root", machine.root, text=json.dumps(tick) + "\n")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def ask(url, body=None):
    with urllib.request.urlopen(url, body, timeout=SERVES_WITHIN_S) as found:  # noqa: S310  # our own server
        return json.load(found)


def test_serve(machine, shipped):
    with subprocess.Popen(
        [*machine.line, "serve", "--root", machine.root, "--port", "0"], env=machine.env, cwd=machine.folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            base = server.stdout.readline().split()[-1]
            assert base.startswith("http://127.0.0.1:")
            found = ask(f"{base}/forecast", json.dumps(shipped.requests[0]).encode())
            close(found["mean"], shipped.closed_means[0], CLOSED)
            assert ask(f"{base}/healthz") == {"ok": True}
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=SERVES_WITHIN_S) == 0
