"""Processes of `forecast`, forked from one that has imported everything; see train/child.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Child:
    """A process of `forecast`."""

    children: Children
    pid: int
    output: Path

    def wait(self) -> int:
        """Wait for its end; return its exit code, -N where signal N ended it."""
        return self.children.ask({"pid": self.pid})

    def said(self) -> str:
        return self.output.read_text()

    def until_stopped(self) -> None:
        """Wait until a SIGSTOP took it."""
        for _ in range(3000):
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "T":
                return
            time.sleep(0.01)
        raise AssertionError(f"not stopped: {state}; {self.said()}")

    def until_there(self) -> None:
        """Wait until it waits for us; `go` lets it go on."""
        for _ in range(3000):
            if Path("there").exists():
                Path("there").unlink()
                return
            time.sleep(0.01)
        raise AssertionError(f"not there: {self.said()}")


class Children:
    """Starts processes of `forecast`; see child.py."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.pipelines.train.child"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, question: dict[str, object]) -> int:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(
        self, *words: object, point: str | None = None, act: str = "die", env: dict[str, str] | None = None,
        lock_timeout_s: float | None = None, user: int | None = None,
    ) -> Child:  # fmt: skip
        """Start ``forecast WORDS`` in the current folder."""
        self.count += 1
        output = self.folder / f"{self.count}.txt"
        asked = {
            "words": [str(word) for word in words], "point": point, "act": act, "env": env or {},
            "cwd": os.getcwd(), "output": str(output), "lock_timeout_s": lock_timeout_s, "user": user,
        }  # fmt: skip
        return Child(self, self.ask(asked), output)

    def run(self, *words: object, **given: object) -> tuple[int, str]:
        """Run ``forecast WORDS`` to its end; return exit code and output."""
        child = self.start(*words, **given)
        return child.wait(), child.said()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)
