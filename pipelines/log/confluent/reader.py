"""A reader of partitions that it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from pipelines.log.confluent.columns import batches
from pipelines.log.confluent.reading import complain, consume, place, placed, sort_out
from pipelines.log.confluent.topics import Topics
from pipelines.log.records import Batch, Partition


class ConfluentReader:
    """`Reader` by librdkafka; past markers and aborted records it is taken by the ends it meets."""

    def __init__(self, settings: Mapping[str, Any], topics: Topics) -> None:
        self._topics = topics
        self._positions: dict[Partition, int] = {}
        self._consumer = Consumer({**settings, "enable.partition.eof": True})

    def assign(self, positions: Mapping[Partition, int | None]) -> None:
        """Read these partitions and no others, from these offsets on; None: from the first that is kept."""
        self._topics.check(positions)
        first = self._topics.begins([at for at, offset in positions.items() if offset is None])
        self._positions = {at: first[at] if offset is None else offset for at, offset in positions.items()}
        self._place()

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        """Return what is there, or nothing after `timeout_s`."""
        messages, events = sort_out(consume(self._consumer, timeout_s, limit))
        complain(events.error)
        read = batches(messages) if messages else []
        for batch in read:
            self._positions[batch.partition] = batch.position
        for end in events.ends:
            self._positions[place(end)] = max(self._positions[place(end)], end.offset() or 0)
        if events.astray:
            self._positions |= placed(self._topics, events.astray)
            self._place()
        return read

    def _place(self) -> None:
        self._consumer.assign([TopicPartition(*at, offset) for at, offset in self._positions.items()])

    def positions(self) -> dict[Partition, int]:
        """Return where each partition will be read on."""
        return dict(self._positions)

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offsets that are still kept."""
        return self._topics.begins(partitions)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that the next records will have, open transactions included."""
        return self._topics.ends(partitions)

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()
