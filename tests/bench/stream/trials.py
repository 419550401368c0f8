"""Measurements of one system: CPU on a backlog, CPU and latency at a rate."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import psutil

from tests.bench.stream import ground
from tests.bench.stream.ground import PARTITIONS, STARTS_WITHIN_S, check, cpu_s, until

# Of what was sent at a rate, the first part is not counted: caches fill, batches find their size.
WARM_SHARE = 0.2


def fill(place, topic, first, count, rate=0, times=None):
    """Start a process that writes ticks."""
    more = ["--rate", rate, "--times", times] if rate else []
    return ground.python(
        "tests.bench.stream.feeding", "--bootstrap", place.cluster.bootstrap, "--topic", topic,
        "--first", first, "--count", count, "--series", place.n_series, "--partitions", PARTITIONS, *more,
    )  # fmt: skip


def ended_well(process, within_s=STARTS_WITHIN_S):
    process.wait(within_s)
    check(process, ended=True)


def warm_up(place, process, forecasts, count):
    """Wait until a system has written so many forecasts."""
    until(lambda: place.written(forecasts) >= count, process, STARTS_WITHIN_S, "first forecasts")


def backlog(place, process, forecasts, warm, total, limit_s):
    """Samples of a system that works on a backlog: from `warm` forecasts to `total`, `limit_s` at most."""
    worker = psutil.Process(process.pid)

    def sample():
        return np.array([time.monotonic(), cpu_s(worker), cpu_s(place.broker), place.written(forecasts)])

    warm_up(place, process, forecasts, warm)
    first = last = sample()
    while last[3] < total and last[0] - first[0] < limit_s:
        check(process)
        time.sleep(ground.SAMPLE_S)
        last = sample()
    wall, cpu, broker, n = (last - first).tolist()
    return {"wall_rate": n / wall, "cpu_us": 1e6 * cpu / n, "broker_us": 1e6 * broker / n, "ticks": int(n)}


def at_rate(place, process, ticks, forecasts, first, rate, seconds):
    """CPU a tick and latency at a rate; the system has handled everything before `first`."""
    count = rate * seconds
    sent, came = place.folder / "sent.npz", place.folder / "came.npz"
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.stream.watching", "--bootstrap", place.cluster.bootstrap,
         "--topic", forecasts, "--times", str(came), "--count", str(count),
         "--partitions", str(PARTITIONS), "--within", str(4 * seconds + 20)],
        cwd=ground.ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if watcher.stdout.readline() != "ready\n":
        raise RuntimeError("nobody watches")
    feeder = fill(place, ticks, first, count, rate, sent)
    worker = psutil.Process(process.pid)
    before = np.array([cpu_s(worker), cpu_s(place.broker)])
    ended_well(feeder)
    watcher.wait()
    cpu, broker = (np.array([cpu_s(worker), cpu_s(place.broker)]) - before).tolist()
    found = latencies(np.load(sent), np.load(came))
    return {
        "rate": rate, "ticks": count, "cpu_us": 1e6 * cpu / count, "broker_us": 1e6 * broker / count,
        "answered": len(found) / count, "bytes": float(np.load(came)["bytes"] / max(len(found), 1)),
        **{f"p{q}_ms": float(np.percentile(kept(found), q)) for q in (50, 99)},
    }  # fmt: skip


def latencies(sent, came):
    """Ms from due to read, in the order sent; the k-th record of a partition answers its k-th tick."""
    out = np.full(len(sent["number"]), np.nan)
    for number in range(PARTITIONS):
        asked = np.flatnonzero(sent["number"] == number)
        answered = came["came_ns"][came["number"] == number][: len(asked)]
        out[asked[: len(answered)]] = (answered - sent["due_ns"][asked[: len(answered)]]) / 1e6
    return out[np.isfinite(out)]


def kept(found):
    return found[round(WARM_SHARE * len(found)) :]
