"""A worker that comes back without its state: ``python -m tests.bench.bench_stream_restore``.

A million series of AR(8): a worker makes their states and ends; another, which has nothing, reads them from
the changelog on a real broker. Its own log says when it was given the partitions and when the last one was
whole.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from statistics import median

import psutil

from tests.bench.measure import arguments, conclude, show
from tests.bench.stream.ground import PARTITIONS, STARTS_WITHIN_S, end, ground, until
from tests.bench.stream.systems import Worker, workers
from tests.bench.stream.trials import ended_well, fill, warm_up

RESTORE_S = 30.0
BYTES = 1000
PACKAGES = ("numpy", "numba", "kafka-python", "confluent-kafka")


def said(path, what):
    """Lines of a worker's log whose message has `what`."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if what in line["message"]]


def when(line):
    return datetime.fromisoformat(line["ts"]).timestamp()


def made(place):
    """Topics of a worker that has made the states of all series."""
    ticks, forecasts = place.topic("ticks"), place.topic("forecasts")
    ended_well(fill(place, ticks, 0, place.n_series))
    process = Worker("confluent", "at-least-once").start(place, ticks, forecasts)
    try:
        warm_up(place, process, forecasts, place.n_series)
    finally:
        end(process)
    return ticks, forecasts


def restored(place, system, ticks, forecasts):
    process = system.start(place, ticks, forecasts, ("--log-format", "json"))
    path = process.log
    try:
        until(lambda: len(said(path, "series from")) >= PARTITIONS, process, STARTS_WITHIN_S, "a restore")
        resident = psutil.Process(process.pid).memory_info().rss
    finally:
        end(process)
    lines = said(path, "series from")
    n = sum(int(line["message"].split(":")[1].split()[0]) for line in lines)
    if n != place.n_series:
        raise RuntimeError(f"{n} series of {place.n_series} are back")
    seconds = max(map(when, lines)) - when(said(path, "assigned")[0])
    return {"seconds": seconds, "resident_mb": resident / 1e6}


def main():
    args = arguments(__doc__, rounds=1, series=1_000_000)
    found = {}
    with ground(args.series) as place:
        ticks, forecasts = made(place)
        record = place.kept_bytes(f"{forecasts}-state") / args.series
        for _ in range(args.rounds):
            for system in workers():
                line = restored(place, system, ticks, forecasts)
                found.setdefault((system.name, system.delivery), []).append(line)
    lines = [
        {"what": name, "delivery": delivery, "limit": RESTORE_S, "bytes": record}
        | {key: median(line[key] for line in each) for key in each[0]}
        for (name, delivery), each in found.items()
    ]
    for line in lines:
        line["passed"] = line["seconds"] <= RESTORE_S and line["bytes"] <= BYTES
    columns = [
        ("what", "", ""), ("delivery", "", ""), ("seconds", "s", ".1f"), ("limit", "limit", ".0f"),
        ("bytes", "bytes a series", ".0f"), ("resident_mb", "resident MB", ",.0f"),
    ]  # fmt: skip
    show(lines, columns, f"State of {args.series:,} series of AR(8) from the changelog")
    return conclude("stream_restore", args, lines, PACKAGES, broker="Apache Kafka 4.1.1, one, this machine")


if __name__ == "__main__":
    sys.exit(main())
