"""Where the slots of a bank lie, and the covariances of those that are in a gap."""

from __future__ import annotations

import numpy as np

from forecast.kernels import slot_dump, slot_rows
from forecast.online.arena import Arena, extend
from forecast.online.bank_rows import Layouts
from forecast.types import F64, I64

# Numbers and places that the pool of covariances begins with.
_POOL, _PLACES = 1024, 64


class Memory:
    """Slots by number, and what they hold."""

    __slots__ = ("_arena", "_free", "_used", "begins", "held", "pool", "rows", "taken")

    def __init__(self) -> None:
        self._arena = Arena()
        self._free: list[int] = []
        self._used = 0
        self.begins: I64 = np.full(16, -1, np.int64)
        """(slots,) where a slot begins in `numbers`; -1 where it is free."""
        self.rows: I64 = np.zeros(16, np.int64)
        """(slots,) position in the records."""
        self.pool: F64 = np.zeros(_POOL)
        self.held: I64 = np.zeros((_PLACES, 2), np.int64)
        """(places, 2) slot that took room in the pool, and where."""
        self.taken: I64 = np.zeros(2, np.int64)
        """Numbers and places taken."""

    @property
    def numbers(self) -> F64:
        """What the slots hold, by `kernels/slot_rows`. Not to be kept: it moves when slots are added."""
        return self._arena.numbers

    @property
    def count(self) -> int:
        """Slots in use."""
        return self._used - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes of everything."""
        arrays = (self.numbers, self.begins, self.rows, self.pool, self.held)
        return sum(array.nbytes for array in arrays)

    def slots(self, rows: I64) -> I64:
        """(k,) numbers of slots for (k,) rows of the records; `put` fills them."""
        k, again = len(rows), min(len(rows), len(self._free))
        out = np.empty(k, np.int64)
        out[:again] = self._free[len(self._free) - again :]
        del self._free[len(self._free) - again :]
        out[again:] = self._used + np.arange(k - again)
        self._used += k - again
        if self._used > len(self.begins):
            old = len(self.begins)
            extend(self.begins, self._used)
            extend(self.rows, self._used)
            self.begins[old:] = -1
        self.rows[out] = rows
        return out

    def put(self, slots: I64, made: F64) -> None:
        """Write (k, size) rows into (k,) new slots."""
        begins = self._arena.take(made.shape[1], len(slots))
        self.numbers[begins[:, None] + np.arange(made.shape[1])] = made
        self.begins[slots] = begins

    def put_covariance(self, slot: I64, triangle: F64, layouts: Layouts) -> None:
        """Say that the state of a (1,) slot is known up to a covariance."""
        row = self.numbers[int(self.begins[slot[0]]) :]
        while self.taken[0] + len(triangle) > len(self.pool) or self.taken[1] == len(self.held):
            self.make_room(layouts)
        place = int(self.taken[0])
        row[slot_rows.KNOWN], row[slot_rows.PLACE] = 0.0, place
        self.held[self.taken[1]] = slot[0], place
        self.pool[place : place + len(triangle)] = triangle
        self.taken += len(triangle), 1

    def free(self, slots: I64, table: I64) -> None:
        """Give (k,) slots back."""
        begins = self.begins[slots]
        layout = self.numbers[begins + slot_rows.LAYOUT].astype(np.int64)
        self._arena.give(begins, table[layout, slot_rows.SIZE])
        self.begins[slots] = -1
        self._free.extend(slots.tolist())

    def make_room(self, layouts: Layouts) -> None:
        """Make the pool of covariances half empty, and large enough for one more of any slot."""
        args = (self.numbers, self.begins, layouts.table)
        numbers, places = slot_dump.live_size(*args, self.held, self.taken)
        sizes = layouts.table[:, slot_rows.LEVEL_COUNT] + layouts.table[:, slot_rows.MA]
        largest = int((sizes * (sizes + 1) // 2).max())
        pool = np.zeros(max(len(self.pool), 2 * numbers + largest))
        held = np.zeros((max(len(self.held), 2 * places + 1), 2), np.int64)
        slot_dump.compact(*args, self.pool, self.held, self.taken, pool, held)
        self.pool, self.held = pool, held
