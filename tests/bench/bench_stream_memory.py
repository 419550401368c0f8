"""Memory of a worker over ten million ticks: ``python -m tests.bench.bench_stream_memory``.

Not part of `make bench-stream` unless it is asked for (``STEADY=1``): it takes minutes, and writes gigabytes,
of which the broker keeps a part (``retention.bytes``). The first fifth is not counted: states are made,
buffers find their size. What counts is how much higher the resident memory is in the last fifth than in the
second.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import psutil
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.bench.measure import arguments, conclude, show
from tests.bench.stream.ground import check, end, ground
from tests.bench.stream.systems import workers
from tests.bench.stream.trials import fill

# Of each partition.
KEPT = {"retention.bytes": 256 << 20, "segment.bytes": 64 << 20}
GROWTH_MB = 50.0
SAMPLE_S = 1.0
# The feeder waits while a worker is so far behind, so that no tick is deleted before it is read.
SLICE = 500_000
PACKAGES = ("numpy", "numba", "kafka-python", "confluent-kafka")


def keep_little(place, topic):
    """Let the broker delete what is old."""
    changes = [
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
        for name, value in KEPT.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
    admin = AdminClient({"bootstrap.servers": place.cluster.bootstrap})
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result()


def resident(place, system, count):
    """(ticks done, MB) of a worker that is fed so many ticks, slice by slice."""
    ticks, forecasts = place.topic("ticks"), place.topic("forecasts")
    for topic in (ticks, forecasts):
        keep_little(place, topic)
    process = system.start(place, ticks, forecasts)
    worker, found, fed, feeder = psutil.Process(process.pid), [], 0, None
    try:
        while not found or found[-1][0] < count:
            done = place.written(forecasts)
            check(process)
            if fed < count and done > fed - SLICE and (feeder is None or feeder.poll() is not None):
                feeder, fed = fill(place, ticks, fed, SLICE), fed + SLICE
            found.append((done, worker.memory_info().rss / 1e6))
            time.sleep(SAMPLE_S)
    finally:
        end(process)
    return found


def line_of(system, found, count):
    def level(first, last):
        return median(mb for done, mb in found if first * count <= done <= last * count)

    early, late = level(0.2, 0.4), level(0.8, 1.0)
    return {
        "what": system.name, "delivery": system.delivery, "ticks": count, "early_mb": early, "late_mb": late,
        "growth_mb": late - early, "peak_mb": max(mb for _, mb in found), "limit": GROWTH_MB,
        "passed": late - early <= GROWTH_MB,
    }  # fmt: skip


def main():
    args = arguments(__doc__, ticks=10_000_000, series=100_000)
    with ground(args.series) as place:
        lines = [line_of(system, resident(place, system, args.ticks), args.ticks) for system in workers()]
    columns = [
        ("what", "", ""), ("delivery", "", ""), ("ticks", "ticks", ",d"), ("early_mb", "MB early", ",.0f"),
        ("late_mb", "MB late", ",.0f"), ("growth_mb", "growth", ".1f"), ("limit", "limit", ".0f"),
        ("peak_mb", "peak", ",.0f"),
    ]  # fmt: skip
    show(lines, columns, f"Resident memory of a worker, {args.series:,} series of AR(8)")
    return conclude("stream_memory", args, lines, PACKAGES, broker="Apache Kafka 4.1.1, one, this machine")


if __name__ == "__main__":
    sys.exit(main())
