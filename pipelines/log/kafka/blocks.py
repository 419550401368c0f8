"""Writing in blocks: records are put into a batch of the client by a kernel, not one by one.

Sequence numbers, transactions, retries and requests stay the client's. The seam is its queue of batches: a
block becomes a batch there, or is added to the last one, as long as that waits for its turn (one batch of a
partition is on its way at a time). Where the client is not as known, `outbox.send_records` writes instead.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from forecast.types import I64, U8
from pipelines.kernels.record_batch import AROUND, pack
from pipelines.log.kafka.client import (
    KNOWN,
    accumulating,
    batches,
    building,
    errors,
    futures,
    kafka,
    records,
    varints,
)
from pipelines.log.kafka.outbox import MOST_BYTES, Send, Sent, send_records
from pipelines.log.records import Block

_NO_BOUNDS: Final[I64] = np.zeros((0, 2), dtype=np.int64)
_NO_BYTES: Final[U8] = np.zeros(0, dtype=np.uint8)
_NO_BYTES.flags.writeable = False


class BlockBatch(batches.ProducerBatch):  # type: ignore[misc]  # a client without types
    """A batch of blocks.

    One that the broker finds too large would be cut in two by the client, which then reports on the
    first part only. It cuts no batch of one record: so the error comes to us.
    """

    @property
    def record_count(self) -> int:
        return 1


def best_send() -> Send:
    """Return how blocks are sent: as they are, where the client is as known."""
    return send_block if KNOWN and _as_known() else send_records


def _as_known() -> bool:
    """Tell whether what is reached into has the parts that are used here."""
    accumulator = accumulating.RecordAccumulator(batch_size=MOST_BYTES)
    batch = _new_batch(kafka.TopicPartition("t", 0), 0)
    builder = batch.records._builder  # noqa: SLF001  # the seam
    parts = (
        (accumulator, ("_batches", "_incomplete", "_tp_lock", "_closed", "_appends_in_progress")),
        (
            batch,
            ("records", "produce_future", "_record_futures", "last_append", "max_record_size", "drained"),
        ),
        (batch.records, ("_builder", "_next_offset", "_closed")),
        (builder, ("_buffer", "_num_records", "_last_offset", "_first_timestamp", "_max_timestamp")),
    )
    known = all(hasattr(owner, name) for owner, names in parts for name in names)
    return known and isinstance(builder, records.DefaultRecordBatchBuilder)


def send_block(producer: Any, block: Block) -> list[Sent]:  # noqa: ANN401  # a client without types
    """Put a block, small enough for one batch, into the producer's queue.

    Raises
    ------
    KafkaError
        The transaction has failed, or the producer is closed.
    """
    if len(block.keys) == 0:
        return []
    tp = kafka.TopicPartition(*block.partition)
    if producer._metadata.partitions_for_topic(tp.topic) is None:  # noqa: SLF001
        producer.partitions_for(tp.topic)
    transactions = producer._transaction_manager  # noqa: SLF001
    if transactions is not None and transactions.is_transactional():
        transactions.maybe_add_partition_to_transaction(tp)
    sent = _append(producer._accumulator, tp, block)  # noqa: SLF001
    producer._sender.wakeup()  # noqa: SLF001
    return [sent]


def _append(accumulator: Any, tp: Any, block: Block) -> Sent:  # noqa: ANN401
    now_ms = time.time_ns() // 1_000_000
    headers, bounds = _headers(block)
    room = int(_length(block.keys) + _length(block.values)) + len(headers) + AROUND * len(block.keys)
    accumulator._appends_in_progress.increment()  # noqa: SLF001
    try:
        with accumulator._tp_lock(tp):  # noqa: SLF001
            if accumulator._closed:  # noqa: SLF001
                raise errors.IllegalStateError("the producer is closed")
            queue = accumulator._batches[tp]  # noqa: SLF001
            batch = queue[-1] if queue and _has_room(queue[-1], room) else None
            if batch is None:
                batch = _new_batch(tp, now_ms)
                queue.append(batch)
                accumulator._incomplete.add(batch)  # noqa: SLF001
            return _fill(batch, block, headers, bounds, room, now_ms)
    finally:
        accumulator._appends_in_progress.decrement()  # noqa: SLF001


def _new_batch(tp: Any, now_ms: int) -> Any:  # noqa: ANN401
    held = building.MemoryRecordsBuilder(2, 0, MOST_BYTES)
    builder = held._builder  # noqa: SLF001
    builder._first_timestamp = builder._max_timestamp = now_ms  # noqa: SLF001
    return BlockBatch(tp, held)


def _has_room(batch: Any, room: int) -> bool:  # noqa: ANN401
    """Tell whether a batch still waits for its first turn, and can take so many bytes more."""
    held = batch.records
    return not held._closed and not batch.in_retry() and held.size_in_bytes() + room <= MOST_BYTES  # noqa: SLF001


def _fill(batch: Any, block: Block, headers: U8, bounds: I64, room: int, now_ms: int) -> Sent:  # noqa: ANN401
    held = batch.records
    builder = held._builder  # noqa: SLF001
    first = held._next_offset  # noqa: SLF001
    n = len(block.keys)
    out = np.empty(room, dtype=np.uint8)
    delta_ms = now_ms - builder._first_timestamp  # noqa: SLF001
    data = block.data.view()
    data.flags.writeable = False  # one compiled form, whoever made the block
    keys, values = np.ascontiguousarray(block.keys), np.ascontiguousarray(block.values)
    size = pack(data, keys, values, headers, bounds, first, delta_ms, out)
    builder._buffer += out[:size].data  # noqa: SLF001
    builder._num_records += n  # noqa: SLF001
    builder._last_offset = first + n - 1  # noqa: SLF001
    builder._max_timestamp = max(builder._max_timestamp, now_ms)  # noqa: SLF001
    held._next_offset = first + n  # noqa: SLF001
    batch.last_append = time.monotonic()
    batch.max_record_size = max(batch.max_record_size, size)
    # One for each block: what the broker says of the batch is said of its first record.
    future = futures.FutureRecordMetadata(batch.produce_future, first, now_ms, None, -1, -1, -1)
    batch._record_futures.append(future)  # noqa: SLF001
    return Sent(size, future)


def _length(bounds: I64) -> int:
    return int((bounds[:, 1] - bounds[:, 0]).sum())


def _headers(block: Block) -> tuple[U8, I64]:
    """Return the headers in Kafka's form, and where those of each record are."""
    if not block.headers:
        return _NO_BYTES, _NO_BOUNDS
    text = bytearray()
    ends = [0]
    for pairs in block.headers:
        varints.encode_varint(len(pairs), text.append)
        for name, value in pairs:
            for each in (name.encode(), value):
                varints.encode_varint(len(each), text.append)
                text += each
        ends.append(len(text))
    bounds = np.array([ends[:-1], ends[1:]], dtype=np.int64).T.copy()
    return np.frombuffer(bytes(text), dtype=np.uint8), bounds
