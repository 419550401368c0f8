"""Polls of a consumer as batches of columns, and what to do about positions that are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipelines.errors import LogError
from pipelines.log.kafka.broker import Broker
from pipelines.log.kafka.client import errors, kafka
from pipelines.log.records import Batch, Partition, make_batch
from pipelines.log.retention import tell_skipped

Skipped = Callable[[Partition, int, int], object]


def poll(
    consumer: Any,  # noqa: ANN401  # a client without types
    broker: Broker,
    timeout_s: float,
    limit: int,
    skipped: Skipped = tell_skipped,
) -> list[Batch]:
    """Return what there is, `limit` records at most; a position below what is kept moves up to it.

    `skipped` is told of such a move: where, from which offset, to which.

    Raises
    ------
    LogError
        A position is beyond the end: the topic was made anew, or lost records.
    """
    if limit < 1:
        raise LogError(f"limit must be at least 1, got {limit}")
    try:
        found = consumer.poll(timeout_ms=int(1000 * max(timeout_s, 0.0)), max_records=limit)
    except errors.OffsetOutOfRangeError as error:
        _move_up(consumer, broker, error.args[0], skipped)
        return []
    except errors.NoOffsetForPartitionError as error:
        begins = broker.begins(_ours(each) for each in error.args[0])
        for partition, offset in begins.items():
            consumer.seek(kafka.TopicPartition(*partition), offset)
        return []
    return [batch for tp, records in found.items() for batch in _batches(consumer, tp, records)]


def _batches(consumer: Any, tp: Any, records: list[Any]) -> list[Batch]:  # noqa: ANN401
    if isinstance(records[0], Batch):
        return records
    pairs = [(record.key, record.value) for record in records]
    offsets, times = [record.offset for record in records], [record.timestamp for record in records]
    return [make_batch(_ours(tp), offsets, times, pairs, consumer.position(tp))]


def _move_up(consumer: Any, broker: Broker, positions: Mapping[Any, int], skipped: Skipped) -> None:  # noqa: ANN401
    partitions = [_ours(tp) for tp in positions]
    begins, ends = broker.begins(partitions), broker.ends(partitions)
    for tp, position in positions.items():
        partition = _ours(tp)
        if position > ends[partition]:
            raise LogError(
                f"{tp.topic}/{tp.partition}: position {position} is beyond the end {ends[partition]}; "
                "the topic was made anew or has lost records: reset the positions of the group"
            )
        if position < begins[partition]:
            consumer.seek(tp, begins[partition])
            skipped(partition, position, begins[partition])


def theirs(partitions: Iterable[Partition]) -> list[Any]:
    """Return partitions as the client names them."""
    return [kafka.TopicPartition(*each) for each in partitions]


def _ours(tp: Any) -> Partition:  # noqa: ANN401
    return Partition(tp.topic, tp.partition)


def ours(tps: Iterable[Any]) -> frozenset[Partition]:
    """Return partitions of the client as ours."""
    return frozenset(_ours(tp) for tp in tps)
