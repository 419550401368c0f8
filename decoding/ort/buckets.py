"""Rows of keys and values, each a sequence from its first token on, side by side with those of like length.

The attention operator reads the past of a batch from one array, so what is decoded together must lie
together. Rows of one length make a bucket; a sequence that outgrows its bucket moves to the next, which is
twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from decoding.config import ModelConfig
from decoding.step import F32

SHORTEST = 256
"""Places of the shortest rows: below, moving costs more than the room does."""


def row_length(n_tokens: int) -> int:
    """Places of the rows for so many tokens."""
    return max(SHORTEST, 1 << (n_tokens - 1).bit_length())


@dataclass(slots=True, eq=False)
class Bucket:
    """Rows of one length.

    Parameters
    ----------
    kv
        (layers x 2, rows, heads, length, head size); where it lies changes when rows are added.
    slots, filled
        Whose row it is, and how many of its places were written, by row; there may be more rows than slots.
    """

    kv: F32
    slots: list[int] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Places of a row."""
        length: int = self.kv.shape[3]
        return length

    def add(self, slot: int) -> int:
        """Give a slot the next row, whose content is not said."""
        if len(self.slots) == self.kv.shape[1]:
            parts, rows, *rest = self.kv.shape
            wider = np.zeros((parts, max(1, 2 * rows), *rest), np.float32)
            for row, n in enumerate(self.filled):  # what was never written takes no memory
                wider[:, row, :, :n] = self.kv[:, row, :, :n]
            self.kv = wider
        self.slots.append(slot)
        self.filled.append(0)
        return len(self.slots) - 1

    def swap(self, a: int, b: int) -> None:
        """Exchange two rows."""
        n = max(self.filled[a], self.filled[b])
        self.kv[:, [a, b], :, :n] = self.kv[:, [b, a], :, :n]
        for column in (self.slots, self.filled):
            column[a], column[b] = column[b], column[a]


class Buckets:
    """Where the row of every slot lies."""

    def __init__(self, config: ModelConfig) -> None:
        self._shape = config.n_layers * 2, 0, config.n_kv_heads
        self._head = config.head_size
        self._by_length: dict[int, Bucket] = {}
        self._of: dict[int, Bucket] = {}

    def bucket(self, slot: int) -> Bucket:
        """Return the bucket of a slot that has a row."""
        return self._of[slot]

    def length(self, slot: int) -> int:
        """Places of the slot's row; 0 where it has none."""
        return self._of[slot].length if slot in self._of else 0

    def row(self, slot: int) -> F32:
        """(layers x 2, heads, length, head size) of a slot: a view."""
        bucket = self._of[slot]
        return bucket.kv[:, bucket.slots.index(slot)]

    def move(self, slot: int, length: int, keep: int) -> None:
        """Give the slot a row of that length, with its first `keep` places."""
        bucket = self._by_length.get(length)
        if bucket is None:
            bucket = Bucket(np.zeros((*self._shape, length, self._head), np.float32))
            self._by_length[length] = bucket
        new = bucket.add(slot)
        if slot in self._of:
            bucket.kv[:, new, :, :keep] = self.row(slot)[:, :, :keep]
            self._leave(slot)
        self._of[slot] = bucket

    def fill(self, slot: int, stop: int) -> None:
        """Note that places before `stop` are written."""
        bucket = self._of[slot]
        row = bucket.slots.index(slot)
        bucket.filled[row] = max(bucket.filled[row], stop)

    def gather(self, slots: list[int]) -> tuple[int, list[int]]:
        """Bring slots of one bucket side by side; returns the first row, and the slots in order of rows."""
        bucket, wanted, n = self._of[slots[0]], set(slots), len(slots)
        rows = sorted(bucket.slots.index(slot) for slot in slots)
        if rows[-1] - rows[0] == n - 1:
            return rows[0], bucket.slots[rows[0] : rows[0] + n]
        free = [row for row in range(n) if bucket.slots[row] not in wanted]
        for a, b in zip(free, (row for row in rows if row >= n), strict=True):
            bucket.swap(a, b)
        return 0, bucket.slots[:n]

    def _leave(self, slot: int) -> None:
        bucket = self._of[slot]
        row, last = bucket.slots.index(slot), len(bucket.slots) - 1
        if row != last:
            bucket.swap(row, last)
        bucket.slots.pop()
        bucket.filled.pop()
