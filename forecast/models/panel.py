"""A panel: many series in one ragged block of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.models.freq import Freq
from forecast.types import F64, I64, U8, Status


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array`, made read-only."""
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Series on a regular grid, one after another; NaN marks a missing point.

    Parameters
    ----------
    values
        (N,) float64, oldest first within a series.
    indptr
        (n + 1,) series `i` is ``values[indptr[i]:indptr[i + 1]]``.
    ids
        (n,) object array of unique_id, in the order of the input.
    start
        (n,) time of the first point, in the integer units of `freq`.
    freq
        The grid.
    exog
        Regressors by name, each (N,) and aligned with `values`.
    status
        (n,) `Status` codes of what was found on the way in.
    notes
        Sentences about single series, by position.
    """

    values: F64
    indptr: I64
    ids: NDArray[np.object_]
    start: I64
    freq: Freq
    exog: Mapping[str, F64] = field(default_factory=dict)
    status: U8 = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    notes: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.indptr) - 1
        if n < 1 or self.indptr[0] != 0 or self.indptr[-1] != len(self.values):
            raise InputError(f"indptr must run from 0 to {len(self.values)}, got {self.indptr[[0, -1]]}")
        if len(self.ids) != n or len(self.start) != n:
            raise InputError(f"{n} series, but {len(self.ids)} ids and {len(self.start)} starts")
        if (np.diff(self.indptr) < 0).any():
            raise InputError("indptr must not decrease")
        for name, column in self.exog.items():
            if column.shape != self.values.shape:
                raise InputError(f"exog {name!r} has shape {column.shape}, values {self.values.shape}")
        if len(self.status) == 0:
            object.__setattr__(self, "status", np.full(n, Status.OK, dtype=np.uint8))
        for name in ("values", "indptr", "start", "status"):
            getattr(self, name).flags.writeable = False

    @property
    def n_series(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> I64:
        """(n,) number of grid points of each series."""
        return np.diff(self.indptr)

    def series(self, i: int) -> F64:
        """(t,) values of series `i`, a view."""
        return self.values[self.indptr[i] : self.indptr[i + 1]]

    def end(self) -> I64:
        """(n,) time of the last point, in the integer units of `freq`."""
        return self.freq.times(self.start, self.lengths - 1)

    def take(self, rows: I64) -> Panel:
        """Return the panel of some series, in the given order."""
        lengths = self.lengths[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        where = _gather(self.indptr[rows], indptr)
        return Panel(
            self.values[where],
            indptr,
            self.ids[rows],
            self.start[rows],
            self.freq,
            {name: column[where] for name, column in self.exog.items()},
            self.status[rows],
            {i: self.notes[int(row)] for i, row in enumerate(rows) if int(row) in self.notes},
        )

    def part(self, first: int, last: int) -> Panel:
        """Return the panel of series `first` to `last`; its values are views."""
        lo, hi = self.indptr[first], self.indptr[last]
        return Panel(
            self.values[lo:hi],
            self.indptr[first : last + 1] - lo,
            self.ids[first:last],
            self.start[first:last],
            self.freq,
            {name: column[lo:hi] for name, column in self.exog.items()},
            self.status[first:last],
            {i - first: self.notes[i] for i in range(first, last) if i in self.notes},
        )

    def head(self, lengths: I64) -> Panel:
        """Return the panel cut to the first `lengths` points of each series."""
        keep = np.minimum(lengths, self.lengths)
        indptr = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        where = _gather(self.indptr[:-1], indptr)
        exog = {name: column[where] for name, column in self.exog.items()}
        return Panel(
            self.values[where], indptr, self.ids, self.start, self.freq, exog, self.status, self.notes
        )


def _gather(first: I64, indptr: I64) -> I64:
    """Positions of ragged rows that begin at `first` and are as long as `indptr` says."""
    lengths = np.diff(indptr)
    return np.repeat(first - indptr[:-1], lengths) + np.arange(indptr[-1], dtype=np.int64)
