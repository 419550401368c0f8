"""Topics: making them, their partitions, and where those begin and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec, TopicMetadata  # type: ignore[attr-defined]  # no `__all__`
from confluent_kafka.cimpl import NewTopic

from pipelines.errors import LogError
from pipelines.log.confluent.faults import PAUSE_S, REFUSALS, fault, reason
from pipelines.log.protocol import COMPACT, Topic
from pipelines.log.records import Partition

# Beyond it, an address leads nowhere.
ANSWERS_WITHIN_S = 8.0


class Topics:
    """What brokers know of topics; counts of partitions are remembered. For any thread."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        refusals: list[KafkaError] = []

        def heard(cause: KafkaError) -> None:
            if cause.code() in REFUSALS:
                refusals[:] = [cause]

        self._address = settings["bootstrap.servers"]
        # A call on a broker that lets nobody in only ends with its time; why is told beside it.
        self._refusals = refusals
        listening: dict[str, Any] = {**settings, "error_cb": heard}
        self._admin = AdminClient(listening)
        self._counts: dict[str, int] = {}

    def make(self, topics: Iterable[Topic]) -> None:
        """Make those that are not there, and wait until they can be written to."""
        wanted = {topic.name: topic for topic in topics}
        if not wanted:
            return
        for topic in wanted.values():
            self._make(topic)
        ends = time.monotonic() + ANSWERS_WITHIN_S
        while wanted := {name: topic for name, topic in wanted.items() if not self._led(name)}:
            if time.monotonic() > ends:
                raise LogError(
                    f"topics have partitions without a leader: {', '.join(wanted)}", retriable=True
                )
            time.sleep(PAUSE_S)

    def count(self, topic: str) -> int:
        """Return how many partitions a topic has; `LogError` where there is no such topic."""
        told = self._describe(topic)
        if told.error is not None:
            raise fault(f"topic {topic!r} at {self._address}", told.error)
        self._counts[topic] = len(told.partitions)
        return self._counts[topic]

    def check(self, partitions: Iterable[Partition]) -> None:
        """Raise `LogError` for a partition that is not there."""
        for topic, number in partitions:
            known = self._counts.get(topic, 0)
            if not 0 <= number < known and not 0 <= number < (known := self.count(topic)):
                raise LogError(f"topic {topic!r} has {known} partitions, and no partition {number}")

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offsets that are still kept."""
        return self._offsets(partitions, OffsetSpec.earliest)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that the next records will have, open transactions included."""
        return self._offsets(partitions, OffsetSpec.latest)

    def _offsets(self, partitions: Iterable[Partition], which: Callable[[], Any]) -> dict[Partition, int]:
        asked = {TopicPartition(*partition): which() for partition in partitions}
        ends = time.monotonic() + ANSWERS_WITHIN_S
        while asked:
            try:
                return self._ask(asked)
            except LogError as error:
                if not error.retriable or time.monotonic() > ends:
                    raise
            time.sleep(PAUSE_S)  # a new topic, or a new leader, that not every broker knows yet
        return {}

    def _ask(self, asked: dict[TopicPartition, Any]) -> dict[Partition, int]:
        try:
            # Who reads committed records would be told where those end, not where the log does.
            answers = self._admin.list_offsets(
                asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=ANSWERS_WITHIN_S
            )
            return {Partition(at.topic, at.partition): each.result().offset for at, each in answers.items()}
        except KafkaException as error:
            raise self._fault(f"asking {self._address} for offsets", error) from error

    def _make(self, topic: Topic) -> None:
        settings = dict(COMPACT) if topic.compact else {}
        try:
            new = NewTopic(topic.name, topic.partitions, config=settings)
            answers = self._admin.create_topics([new], request_timeout=ANSWERS_WITHIN_S)
            for answer in answers.values():
                answer.result()
        except KafkaException as error:
            cause = reason(error)
            if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._fault(f"making the topic {topic.name!r} at {self._address}", error) from error

    def _led(self, topic: str) -> bool:
        told = self._describe(topic)
        return told.error is None and all(each.leader >= 0 for each in told.partitions.values())

    def _describe(self, topic: str) -> TopicMetadata:
        try:
            found: TopicMetadata = self._admin.list_topics(topic, ANSWERS_WITHIN_S).topics[topic]
        except KafkaException as error:
            raise self._fault(f"asking {self._address} for the topic {topic!r}", error) from error
        return found

    def _fault(self, doing: str, error: KafkaException) -> LogError:
        self._admin.poll(0)
        return fault(doing, self._refusals.pop() if self._refusals else reason(error))
