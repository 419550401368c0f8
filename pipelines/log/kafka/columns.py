"""Reading in columns: the client's parser of records, one object a record, is replaced.

What a broker sent for a partition becomes one `Batch`, in one pass of compiled code. Requests, sessions,
positions, pauses and rebalances stay the client's. The seam is one attribute of its fetcher; where the client
is not as known, it is left as it is, and `reading` makes batches of its records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from forecast.types import I64, U8, Bool
from pipelines.kernels import record_batch as kernel
from pipelines.kernels.record_batch import Records
from pipelines.log.kafka.client import KNOWN, codec, errors, fetching, protocol
from pipelines.log.records import Batch, Partition

_CODECS: Final[dict[int, tuple[str, Callable[[], bool], Callable[[Any], bytes]]]] = {
    1: ("gzip", codec.has_gzip, codec.gzip_decode),
    2: ("snappy", codec.has_snappy, codec.snappy_decode),
    3: ("lz4", codec.has_lz4, codec.lz4_decode),
    4: ("zstd", codec.has_zstd, codec.zstd_decode),
}


def read_columns(consumer: Any) -> bool:  # noqa: ANN401  # a client without types
    """Have a consumer hand out `Batch`es; False where the client is not as known."""
    fetcher: Any = getattr(consumer, "_fetcher", None)
    if not KNOWN or type(fetcher) is not fetching.Fetcher or not _as_known():
        return False
    fetcher.PartitionRecords = ColumnarRecords
    return True


def _as_known() -> bool:
    """Tell whether the class that is replaced has what the replacement builds on."""
    parts = ("_unpack_records", "_maybe_skip_record", "take", "drain", "_maybe_raise_next_inline_exception")
    return all(callable(getattr(fetching.Fetcher.PartitionRecords, part, None)) for part in parts)


class Rows(list[Batch]):
    """A list of batches that counts records: the client's limit is on these."""

    def __len__(self) -> int:
        return sum(len(batch.offsets) for batch in self)


class ColumnarRecords(fetching.Fetcher.PartitionRecords):  # type: ignore[misc]  # a client without types
    """What one answer has of one partition, as columns."""

    _left: Batch | None = None
    """What was not taken yet."""

    def take(self, n: int | None = None) -> list[Any]:
        """Return a batch of `n` records at most, and move the position behind them."""
        self._maybe_raise_next_inline_exception()
        if self._left is None:
            self._left = next(self.record_iterator, None) if self.record_iterator is not None else None
        whole = self._left
        if whole is None:
            self.drain()
            return []
        count = len(whole.offsets) if n is None else min(n, len(whole.offsets))
        if count == len(whole.offsets):
            self._left = None
            self.next_fetch_offset = whole.position
            self.drain()
            return Rows([whole] if count else [])
        position = int(whole.offsets[count - 1]) + 1
        self._left = _part(whole, slice(count, None), whole.position)
        self.next_fetch_offset = position
        return Rows([_part(whole, slice(count), position)])

    def _maybe_skip_record(self, record: object) -> bool:
        return False  # the kernel begins at the offset that was asked for

    def _unpack_records(self, tp: Any, records: Any, *_: object) -> Iterator[Batch]:  # noqa: ANN401
        """Yield all records of the answer as one batch, without rows if it has none for us."""
        data = np.frombuffer(records._buffer, dtype=np.uint8)  # noqa: SLF001  # the seam
        data.flags.writeable = False
        table = _survey(data, self.check_crcs, f"{tp.topic}/{tp.partition} at offset {self.fetch_offset}")
        if len(table) == 0:
            return
        self.leader_epoch = int(table[-1, kernel.EPOCH])
        position = max(int(table[-1, kernel.TOP]) + 1, self.fetch_offset)
        data, table, wanted = _plain(data, table, self._choose(data, table))
        out = _unpacked(data, table, wanted, self.fetch_offset)
        self.records_read, self.bytes_read = len(out.offsets), len(data)
        yield Batch(Partition(*tp), out.offsets, out.ts_ms, data, out.keys, out.values, position)

    def _choose(self, data: U8, table: I64) -> Bool:
        """Return which batches have records for us: no markers, none of aborted transactions."""
        aborted = list(self.aborted_transactions)
        producers = np.array([each.producer_id for each in aborted], dtype=np.int64)
        firsts = np.array([each.first_offset for each in aborted], dtype=np.int64)
        wanted = np.empty(len(table), dtype=np.bool_)
        committed = self.isolation_level == protocol.IsolationLevel.READ_COMMITTED
        kernel.choose(data, table, committed, producers, firsts, wanted)
        return wanted


def _part(batch: Batch, rows: slice, position: int) -> Batch:
    return batch._replace(
        offsets=batch.offsets[rows], ts_ms=batch.ts_ms[rows], keys=batch.keys[rows],
        values=batch.values[rows], position=position,
    )  # fmt: skip


def _survey(data: U8, check: bool, where: str) -> I64:
    """Return the table of the batches that can be read; raise if not even the first can."""
    table = np.empty((len(data) // kernel.HEAD + 1, kernel.COLUMNS), dtype=np.int64)
    n, state = kernel.survey(data, check, table)
    if n == 0 and state == kernel.OLD:
        raise errors.UnsupportedVersionError(f"{where}: records in a format before 2 (Kafka 0.11)")
    if n == 0 and state != kernel.SOUND:
        said = "checksum" if state == kernel.DAMAGED else "length"
        raise errors.CorruptRecordError(f"{where}: a batch with a wrong {said}")
    return table[:n]


def _plain(data: U8, table: I64, wanted: Bool) -> tuple[U8, I64, Bool]:
    """Return the batches with their records not compressed."""
    codecs = table[:, kernel.ATTRIBUTES] & kernel.CODEC
    if not (codecs[wanted] > 0).any():
        return data, table, wanted
    table, codecs = table[wanted].copy(), codecs[wanted]
    pieces = [
        _decoded(data[first:last], int(kind))
        for first, last, kind in zip(table[:, kernel.FIRST], table[:, kernel.LAST], codecs, strict=True)
    ]
    ends = np.cumsum([len(piece) for piece in pieces])
    table[:, kernel.LAST] = ends
    table[1:, kernel.FIRST], table[0, kernel.FIRST] = ends[:-1], 0
    return np.frombuffer(b"".join(pieces), dtype=np.uint8), table, np.ones(len(table), dtype=np.bool_)


def _decoded(piece: U8, kind: int) -> bytes:
    if kind == 0:
        return piece.tobytes()
    if kind not in _CODECS:
        raise errors.UnsupportedCodecError(f"compression {kind}")
    name, there, decode = _CODECS[kind]
    if not there():
        raise errors.UnsupportedCodecError(f"{name}: install kafka-python[{name}]")
    return decode(piece.tobytes())


def _unpacked(data: U8, table: I64, wanted: Bool, start: int) -> Records:
    counts = table[wanted, kernel.COUNT]
    sizes = table[wanted, kernel.LAST] - table[wanted, kernel.FIRST]
    count = int(counts.sum())
    # A wrong count would ask for any amount of memory.
    count = count if (counts * kernel.LEAST <= sizes).all() else -1
    shapes = (max(count, 0),), (max(count, 0),), (max(count, 0), 2), (max(count, 0), 2)
    out = Records(*(np.empty(shape, dtype=np.int64) for shape in shapes))
    n = kernel.unpack(data, table, wanted, start, out) if count >= 0 else -1
    if n < 0:
        raise errors.CorruptRecordError(f"a record that cannot be read, from offset {start} on")
    return Records(*(column[:n] for column in out))
