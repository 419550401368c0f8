"""A system under measurement in a process of its own: what it is told on stdin, and what it says on stdout.

Runs in the rivals' environment too, so it imports nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RIVALS = ROOT / ".venv-rivals-decoding" / "bin" / "python"
# Set for the peers of other benchmarks; here threads are asked for by number.
_ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}


def timed(work, tokens):
    """Tokens a second by wall time and by CPU time of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return tokens / (time.perf_counter() - wall), tokens / (time.process_time() - cpu)


def decode_all(system, batch, steps):
    """Steps one after the other, all at the same depth."""
    for step in range(steps):
        system.decode(batch, step)


def serve(system):
    """Measure `system` as it is asked to, until stdin ends. It has `prefill()`, `decode(batch, step)`, and
    `ready(batch)`, which takes it to the depth of the prompt and is not timed.
    """
    sys.stdout.write(json.dumps({"weight_bytes": system.weight_bytes, **system.facts}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["what"] == "prefill":
            found = timed(system.prefill, asked["tokens"])
        else:
            batch, steps = asked["batch"], asked["steps"]
            system.ready(batch)
            found = timed(lambda b=batch, n=steps: decode_all(system, b, n), batch * steps)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


class Rival:
    """The near end of `serve`: a module of `tests.bench` that runs in the rivals' environment."""

    def __init__(self, name, module, threads, *arguments):
        self.name, self.threads = name, threads
        command = [str(RIVALS), "-m", module, *map(str, arguments), "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=_ENVIRONMENT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.facts = self._answer()
        self.weight_bytes = self.facts.pop("weight_bytes")

    def prefill_rate(self, tokens):
        return self._ask(what="prefill", tokens=tokens)

    def decode_rate(self, batch, steps):
        return self._ask(what="decode", batch=batch, steps=steps)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _ask(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}: {self.process.args}")
        return json.loads(line)
