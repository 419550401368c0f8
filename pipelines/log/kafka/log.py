"""Apache Kafka as a log."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pipelines.log.kafka.blocks import best_send
from pipelines.log.kafka.broker import Broker
from pipelines.log.kafka.member import KafkaMember
from pipelines.log.kafka.reader import KafkaReader
from pipelines.log.kafka.settings import knock, writing
from pipelines.log.kafka.warming import warm
from pipelines.log.kafka.writer import KafkaWriter
from pipelines.log.protocol import Membership, Topic
from pipelines.log.security import Security

# The client tells of every failed attempt, to stderr if nobody else listens; what matters is in our errors.
logging.getLogger("kafka").addHandler(logging.NullHandler())


class KafkaLog:
    """`Log` on Kafka brokers (2.7 or newer), by kafka-python.

    Parameters
    ----------
    address
        ``HOST:PORT[,HOST:PORT...]``

    Raises
    ------
    LogError
        Nobody answers there.
    """

    def __init__(self, address: str, security: Security | None = None) -> None:
        knock(address, security)
        self._broker = Broker(address, security)
        self._send = best_send()

    def make_topics(self, topics: Iterable[Topic]) -> None:
        self._broker.make(topics)

    def partitions(self, topic: str) -> int:
        return self._broker.count(topic)

    def member(self, membership: Membership) -> KafkaMember:
        warm()
        return KafkaMember(self._broker, membership, self._send)

    def reader(self) -> KafkaReader:
        return KafkaReader(self._broker)

    def writer(self, linger_ms: int = 5) -> KafkaWriter:
        return KafkaWriter(self._broker, self._broker.settings | writing(linger_ms), self._send)

    def close(self) -> None:
        self._broker.close()
