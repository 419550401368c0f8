"""Memory for runs of numbers of different lengths, which come and go."""

from __future__ import annotations

import numpy as np

from forecast.types import F64, I64

# Numbers to begin with, and the share by which memory grows: it is extended in place, so that a small share
# costs little and wastes little.
_FIRST = 4096
_GROWTH = 0.25


class Arena:
    """One array; what is given back is taken again by runs of the same length."""

    __slots__ = ("_free", "_top", "numbers")

    def __init__(self) -> None:
        self.numbers: F64 = np.zeros(_FIRST)
        self._top = 0
        self._free: dict[int, list[int]] = {}

    def take(self, size: int, count: int) -> I64:
        """(count,) where runs of `size` numbers begin; what they hold is left over."""
        free = self._free.get(size, [])
        again = min(count, len(free))
        begins = np.empty(count, np.int64)
        begins[:again] = free[len(free) - again :]
        del free[len(free) - again :]
        begins[again:] = self._top + size * np.arange(count - again)
        self._top += size * (count - again)
        if self._top > len(self.numbers):
            extend(self.numbers, self._top)
        return begins

    def give(self, begins: I64, sizes: I64) -> None:
        """Take runs back."""
        for size in np.unique(sizes).tolist():
            self._free.setdefault(size, []).extend(begins[sizes == size].tolist())


def extend(array: F64 | I64, need: int) -> None:
    """Make a 1-d array of ours at least `need` long, in place; what is new is zero.

    Nothing may look at its memory: resized, it may lie elsewhere.
    """
    array.resize(max(need, int(len(array) * (1.0 + _GROWTH)) + 1), refcheck=False)
