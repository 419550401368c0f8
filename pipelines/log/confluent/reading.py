"""What both consumers share: how to wait for the first record and no longer."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from pipelines.errors import FencedError
from pipelines.log.confluent.faults import FATAL, PARTITION_EOF, PASSING, fault, reason


def consume(consumer: Consumer, timeout_s: float, limit: int) -> list[Message]:
    """Return what is there, events included, or nothing after `timeout_s`.

    `Consumer.consume` alone would wait until all `limit` messages are there.
    """
    try:
        found = consumer.consume(limit, 0.0)
        if found or timeout_s <= 0.0:
            return found
        first = consumer.poll(timeout_s)
        return [] if first is None else [first, *consumer.consume(max(limit - 1, 1), 0.0)]
    except KafkaException as error:
        raise fault("reading", reason(error)) from error


def sort_out(messages: Iterable[Message]) -> tuple[list[Message], list[Message], KafkaError | None]:
    """Tell records, ends of partitions, and the first error that will not pass by itself apart."""
    records, ends, found = [], [], None
    for message in messages:
        cause = message.error()
        if cause is None:
            records.append(message)
        elif cause.code() == PARTITION_EOF:
            ends.append(message)
        elif found is None and not (cause.retriable() or cause.code() in PASSING):
            found = cause
    return records, ends, found


def complain(found: KafkaError | None) -> None:
    """Raise what a consumer met."""
    if found is None:
        return
    if found.code() == FATAL:  # of a consumer, there is one kind
        raise FencedError(f"reading: {found.str()}")
    raise fault("reading", found)
