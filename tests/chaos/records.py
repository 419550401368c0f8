"""Topics as lists of records, by kafka-python alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

# A topic that does not move for so long while records are missing holds an open transaction.
_STUCK_S = 60.0


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def read_topic(bootstrap: str, topic: str) -> list[Record]:
    """Return the committed records of a topic up to its end, by partition and offset.

    Raises
    ------
    RuntimeError
        A transaction stays open: what is in it is neither there nor not there.
    """
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), isolation_level="read_committed", group_id=None,
        enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=5000,
        fetch_max_bytes=16 << 20, max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    try:
        return _read(consumer, topic, _high_watermarks(bootstrap, topic))
    finally:
        consumer.close()


def _read(consumer: KafkaConsumer, topic: str, ends: dict[int, int]) -> list[Record]:
    places = {number: TopicPartition(topic, number) for number in ends}
    consumer.assign(list(places.values()))
    consumer.seek_to_beginning()
    found: list[Record] = []
    moved, before = time.monotonic(), -1
    while any(consumer.position(place) < ends[number] for number, place in places.items()):
        for polled in consumer.poll(timeout_ms=500).values():
            found.extend(Record(one.partition, one.offset, one.key, one.value) for one in polled)
        now = sum(consumer.position(place) for place in places.values())
        if now != before:
            moved, before = time.monotonic(), now
        elif time.monotonic() - moved > _STUCK_S:
            raise RuntimeError(f"{topic}: a transaction is open, or the end is not reached; ends {ends}")
    return sorted(found, key=lambda one: (one.partition, one.offset))


def _high_watermarks(bootstrap: str, topic: str) -> dict[int, int]:
    """Return the ends of all partitions, records of open transactions included."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False)
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise RuntimeError(f"there is no topic {topic}")
        ends = consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
        return {place.partition: end for place, end in ends.items()}
    finally:
        consumer.close()
