"""From a tick to its forecast, beside an echo: ``python -m tests.bench.bench_stream_latency``.

A real broker on this machine; AR(8), 24 steps, one level, 7 digits, 100,000 series. Ticks come at 2,000 and
at 20,000 a second; the latency of each is the time from when it was due to when another process has read its
forecast, committed. The echo, by confluent-kafka, writes as many bytes for each tick and does nothing else.
All take turns in every round; what counts are medians over rounds of the percentiles.
"""

from __future__ import annotations

import sys
from statistics import median

from tests.bench.measure import arguments, conclude, show
from tests.bench.stream.ground import end, ground
from tests.bench.stream.systems import Echo, workers
from tests.bench.stream.trials import at_rate, ended_well, fill, warm_up

RATES = (2_000, 20_000)
# Bytes of a forecast of 24 steps with one level.
MESSAGE_BYTES = 930
COMMIT_INTERVAL_MS = 100.0
TIMES_ECHO = 2.0
PACKAGES = ("numpy", "numba", "kafka-python", "confluent-kafka")


def round_of(place, args, systems, found):
    for system in systems:
        ticks, forecasts = place.topic("ticks"), place.topic("forecasts")
        ended_well(fill(place, ticks, 0, args.series))
        process = system.start(place, ticks, forecasts)
        try:
            warm_up(place, process, forecasts, args.series)
            first = args.series
            for rate in RATES:
                line = at_rate(place, process, ticks, forecasts, first, rate, args.seconds)
                found.setdefault((system.name, system.delivery, rate), []).append(line)
                first += rate * args.seconds
        finally:
            end(process)


def lines_of(found):
    for (name, delivery, rate), lines in found.items():
        keys = ("p50_ms", "p99_ms", "answered", "cpu_us", "broker_us", "bytes")
        yield {"what": name, "delivery": delivery, "rate": rate} | {
            key: median(line[key] for line in lines) for key in keys
        }


def judged(lines):
    """The better client against the echo."""
    for rate in RATES:
        at = [line for line in lines if line["rate"] == rate]
        echo = next(line["p99_ms"] for line in at if "echo" in line["what"])
        for delivery, more in (("at-least-once", 0.0), ("exactly-once", COMMIT_INTERVAL_MS)):
            ours = [line for line in at if line["delivery"] == delivery and "echo" not in line["what"]]
            if ours:
                best = min(ours, key=lambda line: line["p99_ms"])
                limit = TIMES_ECHO * echo + more
                yield {
                    "what": f"best: {best['what']}", "delivery": delivery, "rate": rate, "limit": limit,
                    "p99_ms": best["p99_ms"], "passed": best["p99_ms"] <= limit and best["answered"] == 1.0,
                }  # fmt: skip


def main():
    args = arguments(__doc__, rounds=3, series=100_000, seconds=8)
    found = {}
    with ground(args.series) as place:
        for _ in range(args.rounds):
            round_of(place, args, [Echo(MESSAGE_BYTES), *workers()], found)
    lines = list(lines_of(found))
    lines += list(judged(lines))
    columns = [
        ("what", "", ""), ("delivery", "", ""), ("rate", "ticks/s", ",d"), ("p50_ms", "p50 ms", ".1f"),
        ("p99_ms", "p99 ms", ".1f"), ("limit", "limit", ".1f"), ("answered", "answered", ".2%"),
        ("cpu_us", "CPU us/tick", ".2f"), ("broker_us", "broker us", ".2f"), ("bytes", "bytes", ".0f"),
    ]  # fmt: skip
    show(lines, columns, f"AR(8), 24 steps, one level, {args.series:,} series, {args.rounds} rounds in turns")
    return conclude("stream_latency", args, lines, PACKAGES, broker="Apache Kafka 4.1.1, one, this machine")


if __name__ == "__main__":
    sys.exit(main())
