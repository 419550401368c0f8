"""Kafka by librdkafka: topics, and the ends that read and write."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.log.confluent import settings
from pipelines.log.confluent.groups import Groups
from pipelines.log.confluent.member import PATIENCE_S, ConfluentMember
from pipelines.log.confluent.reader import ConfluentReader
from pipelines.log.confluent.topics import Topics
from pipelines.log.confluent.writer import ConfluentWriter
from pipelines.log.protocol import Member, Membership, Reader, Topic, Writer
from pipelines.log.security import Security


class ConfluentLog:
    """`Log` by confluent-kafka.

    Parameters
    ----------
    address
        ``HOST:PORT[,HOST:PORT...]``
    security
        None: neither SASL nor SSL.
    """

    def __init__(self, address: str, security: Security | None = None) -> None:
        self._connection = settings.connection(address, security or Security())
        self._topics = Topics(self._connection)
        self._groups = Groups(self._connection)

    def make_topics(self, topics: Iterable[Topic]) -> None:
        """Make those that are not there; one that is keeps its partitions."""
        self._topics.make(topics)

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; `LogError` where there is no such topic."""
        return self._topics.count(topic)

    def member(self, membership: Membership) -> Member:
        """Return a worker's end of the log."""
        reading = settings.member_reading(self._connection, membership)
        writing = settings.member_writing(self._connection, membership, PATIENCE_S)
        return ConfluentMember(membership, reading, writing, self._topics, self._groups)

    def reader(self) -> Reader:
        """Return an end that reads."""
        return ConfluentReader(settings.reading(self._connection), self._topics)

    def writer(self, linger_ms: int = 5) -> Writer:
        """Return an end that writes."""
        writing = settings.writing(self._connection, linger_ms, PATIENCE_S)
        return ConfluentWriter(writing, PATIENCE_S, self._topics)

    def close(self) -> None:
        """Let go of what the log itself holds: nothing that outlives it."""
