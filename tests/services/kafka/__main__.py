"""`python -m tests.services.kafka up|down`: a broker to play with, in the folder `.kafka`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.services.kafka.cluster import STOPS_WITHIN_S, make
from tests.services.kafka.jars import missing

FOLDER = Path(__file__).parents[3] / ".kafka"
ADDRESS = FOLDER / "address"
PID = FOLDER / "pid"


def up() -> int:
    """Start a broker, unless it runs, and print its address."""
    if running() is not None:
        print(ADDRESS.read_text())
        return 0
    if reason := missing():
        print(f"kafka: {reason}", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    cluster = make(FOLDER)
    cluster.start()
    process = cluster.brokers[0].process
    assert process is not None
    ADDRESS.write_text(cluster.bootstrap)
    PID.write_text(str(process.pid))
    print(cluster.bootstrap)
    return 0


def down() -> int:
    """Stop the broker and delete what it kept."""
    if (pid := running()) is not None:
        os.kill(pid, signal.SIGTERM)
        ends = time.monotonic() + STOPS_WITHIN_S
        while running() is not None and time.monotonic() < ends:
            time.sleep(0.1)
        if running() is not None:
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return 0


def running() -> int | None:
    """Return the process id of the broker if it is the one that was started here, and runs."""
    try:
        pid = int(PID.read_text())
        line = Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError):
        return None
    return pid if str(FOLDER) in line else None


if __name__ == "__main__":
    commands = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print("usage: python -m tests.services.kafka up|down", file=sys.stderr)
        sys.exit(2)
    sys.exit(commands[sys.argv[1]]())
