"""The log on Apache Kafka, by confluent-kafka (librdkafka): the extra `confluent`."""

from __future__ import annotations

from pipelines.log.confluent.log import ConfluentLog

__all__ = ["ConfluentLog"]
