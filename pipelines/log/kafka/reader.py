"""Reads partitions of Kafka, outside of groups."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Final

from pipelines.errors import LogError
from pipelines.log.kafka.broker import Broker
from pipelines.log.kafka.client import errors, kafka
from pipelines.log.kafka.columns import read_columns
from pipelines.log.kafka.faults import naming_faults
from pipelines.log.kafka.reading import ours, poll, theirs
from pipelines.log.kafka.settings import REQUEST_S, reading
from pipelines.log.records import Batch, Partition

_POSITION_MS: Final = 5000


class KafkaReader:
    """`Reader` on Kafka: committed records only."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        with naming_faults(broker.address):
            self._consumer = kafka.KafkaConsumer(**broker.settings, **reading())
        read_columns(self._consumer)

    def assign(self, positions: Mapping[Partition, int | None]) -> None:
        begins = self._broker.begins(each for each, at in positions.items() if at is None)
        for each in positions:
            self._broker.check(each)
        with naming_faults(self._broker.address):
            self._consumer.assign(theirs(positions))
            for each, at in positions.items():
                if at is not None and at < 0:
                    raise LogError(f"{each.topic}/{each.number}: offset {at} is negative")
                self._consumer.seek(kafka.TopicPartition(*each), begins[each] if at is None else at)

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        ends = time.monotonic() + timeout_s
        with naming_faults(self._broker.address):
            while True:
                batches = poll(self._consumer, self._broker, ends - time.monotonic(), limit)
                if batches or time.monotonic() >= ends:
                    return batches

    def positions(self) -> dict[Partition, int]:
        with naming_faults(self._broker.address):
            assigned = ours(self._consumer.assignment())
            return {each: self._position(each) for each in assigned}

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._broker.begins(partitions)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._broker.ends(partitions)

    def _position(self, partition: Partition) -> int:
        at: int | None = self._consumer.position(kafka.TopicPartition(*partition), timeout_ms=_POSITION_MS)
        if at is None:
            said = f"{partition.topic}/{partition.number}: no position yet; poll, and ask again"
            raise LogError(said, retriable=True)
        return at

    def close(self) -> None:
        with contextlib.suppress(errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=int(1000 * REQUEST_S))
