"""CPU a tick of the streaming service and of its rivals: ``python -m tests.bench.bench_stream_cpu``.

A real broker on this machine; AR(8), 24 steps, one level, 7 digits, 100,000 series. The worker is `forecast
stream` in a process of its own; its process time counts, that of the broker stands beside it. First a backlog
is replayed (the first round of all series is not counted: it makes the states), then ticks come at 20,000 a
second. Quix Streams and Bytewax run the same kernels, write the same bytes, and keep state with what they
have for it, in `.venv-rivals-stream` (`make rivals-stream`; without it, ours alone are measured). All take
turns in every round; medians count.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from pipelines.log.records import Partition
from tests.bench.measure import arguments, conclude, show
from tests.bench.stream.fleet import name_of
from tests.bench.stream.ground import PARTITIONS, end, ground
from tests.bench.stream.systems import Worker, rivals, workers
from tests.bench.stream.trials import at_rate, backlog, ended_well, fill, warm_up

# Us of CPU a tick, of the better client.
LIMITS = {"at-least-once": 10.0, "exactly-once": 16.0}
# Times our CPU a tick at least, at-least-once.
RATIO = 5.0
UNJUDGED = "Bytewax, batches, no state"
RATE = 20_000
# Series whose first forecast is compared between the systems.
COMPARED = 50
FIRST_WITHIN_S = 30.0
PACKAGES = ("numpy", "numba", "kafka-python", "confluent-kafka")


def round_of(place, args, systems, found):
    ticks = place.topic("ticks")
    total = args.series + args.ticks
    ended_well(fill(place, ticks, 0, total))
    names, firsts = {name_of(i).encode() for i in range(0, args.series, args.series // COMPARED)}, []
    for system in systems:
        forecasts = place.topic("forecasts")
        process = system.start(place, ticks, forecasts)
        try:
            line = backlog(place, process, forecasts, args.series, total, args.limit_s)
        finally:
            end(process)
        firsts.append(first_messages(place, forecasts, names))
        if len(firsts[-1]) < len(names) or firsts[-1] != firsts[0]:
            raise RuntimeError(f"{system.name} does not write the bytes of {systems[0].name}")
        state = place.kept_bytes(f"{forecasts}-state") / max(place.written(forecasts), 1)
        line |= {"out_bytes": place.kept_bytes(forecasts) / place.written(forecasts), "state_bytes": state}
        keep(found, system, "backlog", line)
        if isinstance(system, Worker):
            keep(found, system, "20,000/s", paced(place, args, system))


def first_messages(place, forecasts, names):
    """The first forecast of some series: whoever wrote it, it must be the same bytes."""
    reader = place.log.reader()
    reader.assign({Partition(forecasts, number): 0 for number in range(PARTITIONS)})
    found, until = {}, time.monotonic() + FIRST_WITHIN_S
    while len(found) < len(names) and time.monotonic() < until:
        for batch in reader.poll(0.2, 10_000):
            for i in range(len(batch.offsets)):
                if (name := batch.key(i)) in names:
                    found.setdefault(name, batch.value(i))
    reader.close()
    return found


def keep(found, system, case, line):
    found.setdefault((system.name, system.delivery, case), []).append(line)


def paced(place, args, system):
    ticks, forecasts = place.topic("ticks"), place.topic("forecasts")
    ended_well(fill(place, ticks, 0, args.series))
    process = system.start(place, ticks, forecasts)
    try:
        warm_up(place, process, forecasts, args.series)
        return at_rate(place, process, ticks, forecasts, args.series, RATE, args.seconds)
    finally:
        end(process)


def lines_of(found):
    for (name, delivery, case), lines in found.items():
        keys = sorted({key for line in lines for key in line})
        yield {"what": name, "delivery": delivery, "case": case} | {
            key: median(line[key] for line in lines if key in line) for key in keys
        }


def judged(lines):
    """The better client against its limit on a backlog, the rivals against it.

    Ticks at a rate are shown: a poll and a batch then cost what they cost, and an echo in C, which computes
    nothing, is above these limits as well (`bench_stream_latency` has its figure).
    """
    best = {}
    for delivery, limit in LIMITS.items():
        ours = [
            line for line in lines
            if line["case"] == "backlog" and line["delivery"] == delivery and line["what"].startswith("ours")
        ]  # fmt: skip
        if ours:
            best[delivery] = least = min(ours, key=lambda line: line["cpu_us"])
            yield {
                "what": f"best: {least['what']}", "delivery": delivery, "case": "backlog",
                "cpu_us": least["cpu_us"], "limit": limit, "passed": least["cpu_us"] <= limit,
            }  # fmt: skip
    for line in lines:
        if not line["what"].startswith("ours") and line["delivery"] in best:
            ratio = line["cpu_us"] / best[line["delivery"]]["cpu_us"]
            verdict = {"what": f"{line['what']} / best", "delivery": line["delivery"], "case": line["case"]}
            judgement = {} if line["what"] == UNJUDGED else {"limit": RATIO, "passed": ratio >= RATIO}
            yield verdict | {"ratio": ratio} | judgement


def main():
    args = arguments(__doc__, rounds=3, ticks=1_000_000, series=100_000, seconds=10, limit_s=20)
    found = {}
    with ground(args.series) as place:
        systems = [*workers(), *rivals()]
        for _ in range(args.rounds):
            round_of(place, args, systems, found)
    lines = list(lines_of(found))
    lines += list(judged(lines))
    columns = [
        ("what", "", ""), ("delivery", "", ""), ("case", "", ""), ("cpu_us", "CPU us/tick", ".2f"),
        ("limit", "limit", ".0f"), ("ratio", "ratio", ".1f"), ("wall_rate", "ticks/s", ",.0f"),
        ("broker_us", "broker us", ".2f"), ("out_bytes", "bytes out", ".0f"),
        ("state_bytes", "state bytes", ".0f"), ("p50_ms", "p50 ms", ".1f"), ("p99_ms", "p99 ms", ".1f"),
        ("answered", "answered", ".1%"),
    ]  # fmt: skip
    show(lines, columns, f"AR(8), 24 steps, one level, {args.series:,} series, {args.rounds} rounds in turns")
    return conclude("stream_cpu", args, lines, PACKAGES, broker="Apache Kafka 4.1.1, one, this machine")


if __name__ == "__main__":
    sys.exit(main())
