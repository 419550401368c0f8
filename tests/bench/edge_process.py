"""One model in a process like a device's: ``python -m tests.bench.edge_process MODEL INPUTS PROFILE ROUNDS``.

Imports what the device runtime imports and nothing else, opens the model as it does, and runs all series in
one call, ROUNDS times. Prints JSON: seconds of each, by wall and by CPU, and resident memory in bytes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import edge.runtime.__main__
import edge.runtime.device  # noqa: F401  # with it, all that `forecast` has in memory
from edge.runtime.model import Model


def resident():
    """Resident bytes now, and the most there ever were."""
    kept = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "VmHWM"):
            kept[key] = int(value.split()[0]) * 1024
    return kept["VmRSS"], kept["VmHWM"]


def main(path, inputs, profile, rounds):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with np.load(inputs, allow_pickle=False) as file:
        feed = dict(file)
    empty, _ = resident()
    begin = time.perf_counter()
    model = Model(Path(path).read_bytes(), Path(path).name, profile)
    loaded = time.perf_counter() - begin
    wall, cpu, most = [], [], 0
    for _ in range(rounds):
        began, begin = time.perf_counter(), time.thread_time()
        made = model.run(feed)
        cpu.append(time.thread_time() - begin)
        wall.append(time.perf_counter() - began)
        most = max(most, resident()[0])
        del made
    now, peak = resident()
    found = {
        "load_s": loaded,
        "wall_s": wall,
        "cpu_s": cpu,
        "empty": empty,
        "running": most,
        "after": now,
        "peak": peak,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
