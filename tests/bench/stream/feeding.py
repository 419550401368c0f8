"""Writes ticks: ``python -m tests.bench.stream.feeding``, a process of its own.

All at once (``--rate 0``), or so many a second; then the times at which they were due go to a file. Due, not
sent: a sender that is late must not make what it measures look fast.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from confluent_kafka import Producer

from pipelines.log import open_log
from pipelines.log.records import Partition, make_block
from tests.bench.stream.fleet import partition_of, ticks

_BLOCK = 50_000
_STEP_S = 0.001
# Until the first tick is due, the client finds its way to the broker.
_LEAD_S = 0.5


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    for name in ("first", "count", "series", "partitions", "rate"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--times")
    return parser.parse_args()


def feed_all(args):
    log = open_log(args.bootstrap, client="confluent")
    writer = log.writer(linger_ms=50)
    for first in range(args.first, args.first + args.count, _BLOCK):
        count = min(_BLOCK, args.first + args.count - first)
        series, pairs = ticks(first, count, args.series)
        numbers = partition_of(series, args.partitions)
        for number in range(args.partitions):
            some = [pairs[i] for i in np.flatnonzero(numbers == number)]
            writer.write(make_block(Partition(args.topic, number), some))
    writer.close()


def feed_paced(args):
    series, pairs = ticks(args.first, args.count, args.series)
    numbers = partition_of(series, args.partitions)
    producer = Producer({"bootstrap.servers": args.bootstrap, "enable.idempotence": True, "linger.ms": 1})
    producer.list_topics(args.topic)
    rows = list(zip(numbers.tolist(), pairs, strict=True))
    begin = time.monotonic_ns() + round(1e9 * _LEAD_S)
    due = begin + (np.arange(args.count) * (1e9 / args.rate)).astype(np.int64)
    produce, sent = producer.produce, 0
    while sent < args.count:
        behind = max(int(np.searchsorted(due, time.monotonic_ns(), side="right")), sent)
        for number, (key, value) in rows[sent:behind]:
            produce(args.topic, value, key, number)
        sent = behind
        producer.poll(0)
        time.sleep(_STEP_S)
    producer.flush()
    np.savez(args.times, number=numbers, due_ns=due)


def main():
    args = options()
    (feed_paced if args.rate else feed_all)(args)


if __name__ == "__main__":
    sys.exit(main())
