"""What both consumers share: how to wait for the first record and no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from pipelines.errors import FencedError, LogError
from pipelines.log.confluent.faults import FATAL, NO_POSITION, PARTITION_EOF, PASSING, fault, reason
from pipelines.log.confluent.topics import Topics
from pipelines.log.records import Partition
from pipelines.log.retention import tell_skipped


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


class Events(NamedTuple):
    """What came with records, or instead of them."""

    ends: list[Message]
    """Of partitions that were read to their end."""
    astray: list[Message]
    """Of partitions whose position is not there; None where there never was one."""
    error: KafkaError | None
    """The first that will not pass by itself."""


NOTHING: Final = Events([], [], None)


def sort_out(messages: list[Message]) -> tuple[list[Message], Events]:
    """Tell records and events apart."""
    if not any(map(Message.error, messages)):
        return messages, NOTHING
    records, ends, astray, found = [], [], [], None
    for message in messages:
        cause = message.error()
        if cause is None:
            records.append(message)
        elif cause.code() == PARTITION_EOF:
            ends.append(message)
        elif cause.code() == NO_POSITION:
            astray.append(message)
        elif found is None and not (cause.retriable() or cause.code() in PASSING):
            found = cause
    return records, Events(ends, astray, found)


def complain(found: KafkaError | None) -> None:
    """Raise what a consumer met."""
    if found is None:
        return
    if found.code() == FATAL:  # of a consumer, there is one kind
        raise FencedError(f"reading: {found.str()}")
    raise fault("reading", found)


def placed(
    topics: Topics,
    astray: Iterable[Message],
    skipped: Callable[[Partition, int, int], object] = tell_skipped,
) -> dict[Partition, int]:
    """Return where to read partitions on whose position is not there: where records begin.

    `skipped` is told of those that were deleted before they were read: where, from which offset, to which.

    Raises
    ------
    LogError
        A position is beyond the end: the topic was made anew, or lost records.
    """
    found = {place(message): message.offset() for message in astray}
    begins, ends = topics.begins(found), topics.ends(found)
    for at, offset in found.items():
        if offset is not None and offset > ends[at]:
            raise LogError(
                f"{at.topic}-{at.number}: position {offset} is beyond the end {ends[at]}; the topic was made "
                "anew or has lost records: reset the positions of the group"
            )
        if offset is not None and offset < begins[at]:
            skipped(at, offset, begins[at])
    return begins


def place(message: Message) -> Partition:
    """Return where a message is from."""
    return Partition(message.topic() or "", message.partition() or 0)
