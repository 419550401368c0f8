"""Records of a log in columns: what is read, and what is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from forecast.types import I64, U8

ABSENT = -1
"""Where a record has no key, or no value (a tombstone)."""

Headers = tuple[tuple[str, bytes], ...]
Pair = tuple[bytes | None, bytes | None]


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Batch(NamedTuple):
    """Records that were read from one partition, in order."""

    partition: Partition
    offsets: I64
    """(n,) ascending; markers of transactions leave holes."""
    ts_ms: I64
    """(n,) ms since 1970, UTC, as the log has them."""
    data: U8
    """Keys and values; never changed once it is here."""
    keys: I64
    """(n, 2) first and last of each key in `data`; `ABSENT` twice where there is none."""
    values: I64
    """(n, 2)"""
    position: int
    """Offset from which to read on; beyond the last record by the markers that follow it."""

    def key(self, i: int) -> bytes | None:
        """Return the key of record i."""
        return _text(self.data, self.keys[i])

    def value(self, i: int) -> bytes | None:
        """Return the value of record i."""
        return _text(self.data, self.values[i])


class Block(NamedTuple):
    """Records to be appended to one partition, in order."""

    partition: Partition
    data: U8
    keys: I64
    """(n, 2)"""
    values: I64
    """(n, 2)"""
    headers: Sequence[Headers] = ()
    """(n,) or none at all."""

    def key(self, i: int) -> bytes | None:
        """Return the key of record i."""
        return _text(self.data, self.keys[i])

    def value(self, i: int) -> bytes | None:
        """Return the value of record i."""
        return _text(self.data, self.values[i])


def make_block(partition: Partition, pairs: Iterable[Pair], headers: Sequence[Headers] = ()) -> Block:
    """Put keys and values, a pair a record, into columns."""
    return Block(partition, *_columns(pairs), headers)


def make_batch(
    partition: Partition, offsets: Sequence[int], ts_ms: Sequence[int], pairs: Iterable[Pair], position: int
) -> Batch:
    """Put records that were read one by one into columns."""
    data, keys, values = _columns(pairs)
    numbers = np.array(offsets, dtype=np.int64), np.array(ts_ms, dtype=np.int64)
    return Batch(partition, *numbers, data, keys, values, position)


def split(data: U8, bounds: I64) -> list[bytes | None]:
    """Return the keys, or the values, of all records one by one."""
    text = data.tobytes()
    return [None if first == ABSENT else text[first:last] for first, last in bounds.tolist()]


def _columns(pairs: Iterable[Pair]) -> tuple[U8, I64, I64]:
    texts = [text for pair in pairs for text in pair]
    sizes = np.array([0 if text is None else len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(sizes)
    bounds = np.stack([ends - sizes, ends], axis=1)
    bounds[[text is None for text in texts]] = ABSENT
    data = np.frombuffer(b"".join(text or b"" for text in texts), dtype=np.uint8)
    return data, bounds[0::2].copy(), bounds[1::2].copy()


def _text(data: U8, bounds: I64) -> bytes | None:
    first, last = int(bounds[0]), int(bounds[1])
    return None if first == ABSENT else data[first:last].tobytes()
