"""Reads forecasts as they come: ``python -m tests.bench.stream.watching``, a process of its own.

Says ``ready`` once it stands at the ends, reads so many records (committed ones only), and writes when each
came, and from which partition.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from confluent_kafka import Consumer, TopicPartition


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("bootstrap", "topic", "times"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("count", "partitions", "within"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def main():
    args = options()
    consumer = Consumer(
        {"bootstrap.servers": args.bootstrap, "group.id": "watching", "enable.auto.commit": False,
         "isolation.level": "read_committed", "fetch.queue.backoff.ms": 10}
    )  # fmt: skip
    places = [TopicPartition(args.topic, number) for number in range(args.partitions)]
    ends = [consumer.get_watermark_offsets(place, timeout=10.0)[1] for place in places]
    consumer.assign([TopicPartition(args.topic, i, offset) for i, offset in enumerate(ends)])
    consumer.poll(0.5)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    numbers, times, size = [], [], 0
    until = time.monotonic() + args.within
    while len(numbers) < args.count and time.monotonic() < until:
        first = consumer.poll(0.1)
        if first is None:
            continue
        messages = [first, *consumer.consume(5000, 0.0)]
        now = time.monotonic_ns()
        for message in messages:
            if message.error() is None:
                numbers.append(message.partition())
                times.append(now)
                size += len(message.value())
    np.savez(args.times, number=numbers, came_ns=times, bytes=size)
    consumer.close()


if __name__ == "__main__":
    sys.exit(main())
