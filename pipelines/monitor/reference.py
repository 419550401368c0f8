"""What errors are divided by: mean changes over a season, from the history or from the first ticks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from forecast.types import F64, I64, U8, Bool
from pipelines.errors import PipelineError

UNKNOWN, HISTORY, TICKS = 0, 1, 2
"""Where a scale is from: nowhere yet, the training history of the version, the first ticks seen."""

# Changes after which a scale from ticks is fixed: its standard error is then about a tenth of it. A scale
# that went on moving would hide the drift that it is to show.
ENOUGH: Final = 100
# With fewer changes than these nothing is said.
FEWEST: Final = 8
# Ticks of one series that are looked at in one call, as multiples of what fixes a scale.
_PATIENCE: Final = 4

NOWHERE: Final = -1


class Reference:
    """Scales of n series: mean ``|y_t - y_(t-m)|``, fixed once known.

    Parameters
    ----------
    season_length
        m, in grid points.

    Notes
    -----
    Memory: 17 bytes a series, and 16 m while its scale is still made from ticks.
    Source of the scale: Hyndman and Koehler (2006), *Int. J. Forecasting* 22, 679-688.
    """

    def __init__(self, n: int, season_length: int) -> None:
        if season_length < 1:
            raise PipelineError(f"season_length must be 1 or more, got {season_length}")
        self.m = season_length
        self.asked = 0
        """Series, the first ones, whose history was looked into."""
        self._scale = np.full(n, np.nan)
        self._source = np.zeros(n, dtype=np.uint8)
        self._slot = np.full(n, NOWHERE)
        self._free: list[int] = []
        self._y = np.empty((0, season_length))
        self._at = np.empty((0, season_length), dtype=np.int64)
        self._sum, self._count = np.empty(0), np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._scale)

    @property
    def enough(self) -> int:
        """Changes after which a scale is fixed: two seasons of them at least."""
        return max(ENOUGH, 2 * self.m)

    def grow(self, n: int) -> None:
        """Make room for n series; those there stay."""
        more = n - len(self)
        if more > 0:
            self._scale = np.concatenate([self._scale, np.full(more, np.nan)])
            self._source = np.concatenate([self._source, np.zeros(more, dtype=np.uint8)])
            self._slot = np.concatenate([self._slot, np.full(more, NOWHERE)])

    def fix(self, rows: I64, scale: F64) -> None:
        """Take scales (k,) from the history; what is no positive number is left to the ticks."""
        good = np.isfinite(scale) & (scale > 0)
        self._scale[rows[good]], self._source[rows[good]] = scale[good], HISTORY
        self._release(rows[good])

    def forget(self, rows: I64) -> None:
        """Begin anew with series (k,), as for those that have become others."""
        self._scale[rows], self._source[rows] = np.nan, UNKNOWN
        self._release(rows)

    def wants(self, rows: I64) -> Bool:
        """(k,) whether the scale of a series is still open."""
        return np.asarray(self._source[rows] == UNKNOWN)

    def take(self, rows: I64, position: I64, y: F64) -> None:
        """Look at observations: (k,) series, grid positions, values, in the order they came."""
        some = np.isfinite(y) & (self._source[rows] == UNKNOWN)
        if not some.any():
            return
        rows, position, y = rows[some], position[some], y[some]
        for one in _rounds(rows, _PATIENCE * (self.m + self.enough)):
            part = one[self._source[rows[one]] == UNKNOWN]
            if len(part):
                self._step(rows[part], position[part], y[part])

    def scales(self, rows: I64) -> tuple[F64, U8]:
        """(k,) scales, NaN where not known, and where each is from."""
        scale, source, slot = self._scale[rows].copy(), self._source[rows].copy(), self._slot[rows]
        some = np.flatnonzero((source == UNKNOWN) & (slot != NOWHERE))
        if len(some):
            count, total = self._count[slot[some]], self._sum[slot[some]]
            known = (count >= FEWEST) & (total > 0) & np.isfinite(total)
            scale[some[known]], source[some[known]] = total[known] / count[known], TICKS
        return scale, source

    def parts(self) -> dict[str, np.ndarray]:
        """Return all that is known, as arrays."""
        rows = np.flatnonzero(self._slot != NOWHERE)
        slot = self._slot[rows]
        return {
            "scale": self._scale, "source": self._source, "ring_row": rows, "ring_y": self._y[slot],
            "ring_at": self._at[slot], "ring_sum": self._sum[slot], "ring_count": self._count[slot],
        }  # fmt: skip

    def restore(self, parts: dict[str, np.ndarray]) -> None:
        """Take what `parts` returned, checked for its shapes by the caller."""
        n = len(parts["scale"])
        self.grow(n)
        self.asked = n
        self._scale[:n], self._source[:n] = parts["scale"], parts["source"]
        rows = parts["ring_row"]
        slot = self._slots(rows)
        self._y[slot], self._at[slot] = parts["ring_y"], parts["ring_at"]
        self._sum[slot], self._count[slot] = parts["ring_sum"], parts["ring_count"]

    def _step(self, rows: I64, position: I64, y: F64) -> None:
        """Take one value of each of different series."""
        slot, place = self._slots(rows), position % self.m
        pair = self._at[slot, place] == position - self.m
        with np.errstate(over="ignore"):  # a change beyond the largest float is no scale
            change = np.abs(y - self._y[slot, place])
        pair &= np.isfinite(change)
        with np.errstate(over="ignore"):  # nor is a sum beyond it
            self._sum[slot[pair]] += change[pair]
        self._count[slot[pair]] += 1
        self._y[slot, place], self._at[slot, place] = y, position
        done = self._count[slot] >= self.enough
        if done.any():
            full, at = rows[done], slot[done]
            good = (self._sum[at] > 0) & np.isfinite(self._sum[at])
            self._scale[full] = np.where(good, self._sum[at] / self._count[at], np.nan)
            self._source[full] = TICKS
            self._release(full)

    def _slots(self, rows: I64) -> I64:
        new = rows[self._slot[rows] == NOWHERE]
        if len(new):
            self._reserve(len(new))
            slot = np.array([self._free.pop() for _ in range(len(new))], dtype=np.int64)
            self._slot[new] = slot
            self._at[slot] = np.iinfo(np.int64).min
            self._sum[slot], self._count[slot] = 0.0, 0
        return self._slot[rows]

    def _reserve(self, k: int) -> None:
        have = len(self._sum)
        if len(self._free) < k:
            more = max(k - len(self._free), have)
            self._y = np.concatenate([self._y, np.empty((more, self.m))])
            self._at = np.concatenate([self._at, np.empty((more, self.m), dtype=np.int64)])
            self._sum = np.concatenate([self._sum, np.zeros(more)])
            self._count = np.concatenate([self._count, np.zeros(more, dtype=np.int64)])
            self._free.extend(range(have, have + more))

    def _release(self, rows: I64) -> None:
        held = rows[self._slot[rows] != NOWHERE]
        self._free.extend(self._slot[held].tolist())
        self._slot[held] = NOWHERE


def _rounds(rows: I64, most: int) -> Iterator[I64]:
    """Yield positions of first values, then of second ones, ... of the series in `rows`."""
    order = np.argsort(rows, kind="stable")
    heads = np.flatnonzero(np.diff(rows[order], prepend=-1))
    nth = np.arange(len(rows)) - np.repeat(heads, np.diff(np.append(heads, len(rows))))
    by_round = np.argsort(nth, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(nth))])
    for k in range(min(len(bounds) - 1, most)):
        yield order[by_round[bounds[k] : bounds[k + 1]]]
