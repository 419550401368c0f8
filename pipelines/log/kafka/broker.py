"""What is asked of the brokers themselves: topics, offsets, who is in a group."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from pipelines.errors import LogError
from pipelines.log.kafka.client import errors, kafka, protocol
from pipelines.log.kafka.faults import naming_faults
from pipelines.log.kafka.refusals import hearing_refusals
from pipelines.log.kafka.settings import common, knock
from pipelines.log.protocol import COMPACT, Topic
from pipelines.log.records import Partition
from pipelines.log.security import Security

T = TypeVar("T")

# Longer than an election of a new leader takes.
_PATIENCE_S: Final = 15.0
_NAP_S: Final = 0.05


class Broker:
    """A client for questions, opened with the first one; for several threads."""

    def __init__(self, address: str, security: Security | None) -> None:
        self.address = address
        self._security = security
        self.settings = common(address, security)
        self._lock = threading.Lock()
        self._client: Any = None
        self._counts: dict[str, int] = {}

    def make(self, topics: Iterable[Topic]) -> None:
        """Make topics that are not there, and wait until they can be used."""
        for topic in topics:
            _check(topic)
            if self._found(topic.name) is None:
                self._make(topic)

    def count(self, topic: str) -> int:
        """Return how many partitions a topic has; `LogError` where there is no such topic."""
        found = self._found(topic)
        if found is None:
            raise LogError(f"{self.address} has no topic {topic!r}; make it first")
        self._counts[topic] = found
        return found

    def check(self, partition: Partition) -> None:
        """Raise `LogError` where there is no such partition."""
        topic, number = partition
        if not 0 <= number < self._counts.get(topic, 0) and not 0 <= number < (count := self.count(topic)):
            raise LogError(f"topic {topic!r} has {count} partitions, no {number}")

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offsets that are still kept."""
        return self._offsets(partitions, protocol.OffsetSpec.EARLIEST)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that the next records will have, whatever transactions are open."""
        return self._offsets(partitions, protocol.OffsetSpec.LATEST)

    def holder(self, group: str, instance: str) -> str | None:
        """Return the id of the member that has an instance's place in a group now."""
        found = self._ask(lambda client: client.describe_groups([group]))
        for member in found[group].get("members", []):
            if member.get("group_instance_id") == instance:
                return str(member["member_id"])
        return None

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _offsets(self, partitions: Iterable[Partition], which: int) -> dict[Partition, int]:
        wanted = {kafka.TopicPartition(*each): which for each in partitions}
        if not wanted:
            return {}
        for tp in wanted:
            self.check(Partition(tp.topic, tp.partition))
        found = self._ask(lambda client: client.list_partition_offsets(wanted))
        return {Partition(tp.topic, tp.partition): int(at.offset) for tp, at in found.items()}

    def _found(self, topic: str) -> int | None:
        if not topic:
            return None
        (told,) = self._ask(lambda client: client.describe_topics([topic]))
        kind = errors.for_code(told["error_code"])
        if kind is errors.NoError:
            return len(told["partitions"])
        if kind in (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError):
            return None
        with naming_faults(self.address):
            raise kind(topic)

    def _make(self, topic: Topic) -> None:
        wanted = {"num_partitions": topic.partitions, "configs": COMPACT if topic.compact else {}}

        def make(client: Any) -> None:  # noqa: ANN401
            try:
                client.create_topics({topic.name: wanted})
            except errors.TopicAlreadyExistsError:
                return  # another was faster
            client.wait_for_topics([topic.name], timeout_ms=int(1000 * _PATIENCE_S))

        self._ask(make)

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Put a question, again while the brokers are not ready to answer."""
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return question(self._open())
            except (errors.KafkaError, OSError) as error:
                retriable = isinstance(error, errors.RetriableError)
                if retriable and time.monotonic() < ends:
                    time.sleep(_NAP_S)
                    continue
                with naming_faults(self.address):
                    raise

    def _open(self) -> Any:  # noqa: ANN401
        with self._lock:
            if self._client is None:
                knock(self.address, self._security)
                with hearing_refusals(self._security):
                    self._client = kafka.KafkaAdminClient(**self.settings)
            return self._client


def _check(topic: Topic) -> None:
    if topic.partitions < 1:
        raise LogError(f"topic {topic.name!r}: {topic.partitions} partitions, must be 1 at least")
    if not topic.name:
        raise LogError("a topic needs a name")
