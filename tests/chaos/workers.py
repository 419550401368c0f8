"""Workers of the service as processes: started, killed, frozen, asked to end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

# Another build of the service, as that of a wheel: CHAOS_COMMAND="/elsewhere/bin/forecast".
_HERE = [sys.executable, "-c", "from pipelines.cli import main; main()"]
_FORECAST = shlex.split(os.environ.get("CHAOS_COMMAND", "")) or _HERE


@dataclass(frozen=True, slots=True)
class Job:
    """What workers do."""

    bootstrap: str
    model: Path
    ticks: str
    forecasts: str
    group: str
    horizon: int = 12
    levels: tuple[float, ...] = (80.0, 95.0)
    delivery: str = "exactly-once"
    session_s: float = 6.0
    more: tuple[str, ...] = ()

    def command(self, instance: str, *more: str) -> list[str]:
        """Return the command line of a worker."""
        levels = [word for level in self.levels for word in ("--level", f"{level:g}")]
        return [
            *_FORECAST, "stream", "--model", str(self.model), "--bootstrap", self.bootstrap, "--ticks", self.ticks,
            "--forecasts", self.forecasts, "--group", self.group, "--instance", instance,
            "--delivery", self.delivery, "--horizon", str(self.horizon), *levels,
            "--session-timeout", f"{self.session_s:g}", "--log-format", "json", *self.more, *more,
        ]  # fmt: skip


@dataclass(slots=True)
class Worker:
    """One place in the group: a process, and those before it."""

    job: Job
    instance: str
    folder: Path
    more: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.instance}.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"{self.instance} was never started")
        return self.process.pid

    def start(self) -> None:
        """Start it, its output at the end of its log."""
        if self.alive:
            raise RuntimeError(f"{self.instance} runs")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.job.command(self.instance, *self.more), stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, env={**os.environ, **self.environ},
            )  # fmt: skip
        self.starts += 1

    def kill(self) -> None:
        """End it without warning, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self._gone().wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.killpg(self.pid, number)

    def stop(self, within_s: float = 30.0) -> int:
        """Ask it to end; return its exit code, `TimeoutExpired` where it does not."""
        self.send(signal.SIGTERM)
        return self._gone().wait(within_s)

    def close(self) -> None:
        """Make sure that it is gone."""
        if self.alive:
            self.kill()

    def tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _gone(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError(f"{self.instance} was never started")
        return self.process


def wait_until(found: object, within_s: float, what: str, every_s: float = 0.2) -> None:
    """Wait until `found()` is true; TimeoutError naming `what`."""
    if not callable(found):
        raise TypeError(what)
    ends = time.monotonic() + within_s
    while not found():
        if time.monotonic() > ends:
            raise TimeoutError(f"after {within_s:.0f} s: {what}")
        time.sleep(every_s)
