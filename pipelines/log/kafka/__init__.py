"""Apache Kafka by kafka-python."""

from pipelines.log.kafka.client import KNOWN
from pipelines.log.kafka.log import KafkaLog

__all__ = ["KNOWN", "KafkaLog"]
