"""What the brokers know, asked for by kafka-python's admin client."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic, TransactionState
from kafka.errors import KafkaError, TopicAlreadyExistsError

T = TypeVar("T")

# Coordinators move, and begin slowly.
_PATIENCE_S = 90.0


@dataclass(slots=True)
class Broker:
    """An admin client, and a consumer that asks for ends."""

    bootstrap: str
    _admin: KafkaAdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = self._dial()

    def _dial(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))

    def _ask(self, question: Callable[[KafkaAdminClient], T]) -> T:
        """Ask, by a new connection each time, while the answer is that somebody is not ready yet."""
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return question(self._admin)
            except KafkaError as error:
                if not error.retriable or time.monotonic() > ends:
                    raise
            time.sleep(0.5)
            with suppress(KafkaError):
                self._admin.close()
                self._admin = self._dial()

    def make_topic(self, name: str, partitions: int, copies: int = 1, **configs: str) -> None:
        """Make a topic unless it is there."""
        try:
            self._admin.create_topics([NewTopic(name, partitions, copies, topic_configs=configs)])
        except TopicAlreadyExistsError:
            return

    def open_transactions(self, part_of_id: str) -> list[str]:
        """Return the transactional ids with this in them whose transaction is open right now."""
        every = self._ask(lambda admin: admin.list_transactions())
        listed = [one for found in every.values() for one in found]
        ids = [one.transactional_id for one in listed if part_of_id in one.transactional_id]
        described = self._ask(lambda admin: admin.describe_transactions(ids)) if ids else {}
        return [name for name, one in described.items() if one.state is TransactionState.ONGOING]

    def knows(self, part_of_id: str) -> bool:
        """Return whether a producer with this in its transactional id was ever here."""
        every = self._ask(lambda admin: admin.list_transactions())
        return any(part_of_id in one.transactional_id for found in every.values() for one in found)

    def ends(self, topic: str) -> dict[int, int]:
        """Return the ends of a topic's partitions, open transactions included."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap.split(","), group_id=None, enable_auto_commit=False
        )
        try:
            numbers = consumer.partitions_for_topic(topic) or set()
            found = consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
            return {place.partition: end for place, end in found.items()}
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the positions that a group has committed."""
        offsets = self._ask(lambda admin: admin.list_group_offsets({group: None})[group])
        return {place.partition: at.offset for place, at in offsets.items() if place.topic == topic}

    def close(self) -> None:
        self._admin.close()
