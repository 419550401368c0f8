"""What Kafka and a fast client cost without any work: ``python -m tests.bench.stream.echo``.

Reads ticks with confluent-kafka, and writes for each a message as long as a forecast, with its key, to the
partition of its number. At-least-once: positions are committed behind what was written.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

COMMIT_EVERY_S = 1.0


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("bootstrap", "ticks", "forecasts", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--bytes", type=int, required=True, help="of a message")
    return parser.parse_args()


def commit(producer, consumer, positions):
    producer.flush()
    if positions:
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        consumer.commit(offsets=offsets, asynchronous=False)


def main():
    args = options()
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    consumer = Consumer(
        {"bootstrap.servers": args.bootstrap, "group.id": args.group, "enable.auto.commit": False,
         "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 10}
    )  # fmt: skip
    producer = Producer(
        {"bootstrap.servers": args.bootstrap, "enable.idempotence": True, "linger.ms": 1,
         "queue.buffering.max.messages": 1_000_000}
    )  # fmt: skip
    consumer.subscribe([args.ticks])
    value, positions, due = b"x" * args.bytes, {}, time.monotonic() + COMMIT_EVERY_S
    while not stopping:
        first = consumer.poll(0.1)
        messages = [] if first is None else [first, *consumer.consume(5000, 0.0)]
        for message in messages:
            if message.error() is None:
                number = message.partition()
                producer.produce(args.forecasts, value, message.key(), number)
                positions[message.topic(), number] = message.offset() + 1
        producer.poll(0)
        if time.monotonic() > due:
            commit(producer, consumer, positions)
            positions, due = {}, time.monotonic() + COMMIT_EVERY_S
    commit(producer, consumer, positions)
    consumer.close()


if __name__ == "__main__":
    sys.exit(main())
