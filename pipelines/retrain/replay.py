"""Archived ticks, run through the parameters of a version as the stream would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecast.errors import InputError
from forecast.models.records import Records
from forecast.online import Bank
from forecast.types import F64, I64, Bool
from pipelines.kernels.admission import FAR
from pipelines.stream.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

# As the stream: a tick farther than half a step from its point is of no point.
TOLERANCE: Final = 0.5

# Forecasts that are held at once, in steps: 3 arrays of 8 bytes each, some 50 MB.
_MOST_STEPS: Final = 2_000_000

# Points from where a record stands to a tick that is believed: one with a time of another century would be
# reached step by step.
MOST_POINTS: Final = 5_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Ticks:
    """Ticks of some series on their grid: ordered by series and time, one a point."""

    rows: I64
    """(n,) ascending: which series, by position among the records they were laid out for."""
    points: I64
    """(n,) position on the grid of those records: 0 is their first point."""
    ts_ms: I64
    """(n,) of the points."""
    y: F64
    exog: dict[str, F64]
    """(n,) regressors that ticks must bring, by name; NaN where one did not."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, kept: Bool) -> Ticks:
        """Return some of the ticks."""
        exog = {name: values[kept] for name, values in self.exog.items()}
        return Ticks(self.rows[kept], self.points[kept], self.ts_ms[kept], self.y[kept], exog)


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The forecast that stood after each of n ticks."""

    mean: F64
    """(n, h) units of y; NaN where there was none."""
    lo: F64
    """(levels, n, h)"""
    hi: F64


def lay_out(records: Records, frame: pd.DataFrame) -> Ticks:
    """Lay ticks of an archive on the grid of `records`.

    Parameters
    ----------
    frame
        ``unique_id, ts_ms, y`` and regressors, sorted by series and time. Ticks of other series, off the
        grid, or of a point that a later row has too, are left out.
    """
    import pandas as pd

    names = _needed(records)
    where = {str(key): row for row, key in enumerate(records.ids.tolist())}
    codes, keys = pd.factorize(frame["unique_id"])
    found = np.array([where.get(str(key), -1) for key in keys], dtype=np.int64)
    rows = np.where(codes >= 0, found[codes], -1) if len(found) else np.full(len(codes), -1)
    ts = frame["ts_ms"].to_numpy(np.int64)
    grid = Grid.of(records.freq)
    table = np.ascontiguousarray(records.start[:, None], dtype=np.int64)
    position = grid.positions(grid.times(ts), rows, table, TOLERANCE)
    good = (rows >= 0) & (position != FAR)
    order = np.lexsort((np.arange(len(rows)), position, rows))
    order = order[good[order]]
    last = np.ones(len(order), dtype=np.bool_)  # of two ticks of one point the later one
    last[:-1] = (np.diff(rows[order]) != 0) | (np.diff(position[order]) != 0)
    order = order[last]
    ts_ms = grid.ts_ms(records.start[rows[order]], position[order])
    absent = np.full(len(frame), np.nan)
    exog = {name: (frame[name].to_numpy(np.float64) if name in frame else absent)[order] for name in names}
    y = frame["y"].to_numpy(np.float64)[order]
    return Ticks(rows[order], position[order], ts_ms, y, exog)


def replay(
    records: Records, ticks: Ticks, h: int, levels: Sequence[float], first: Bool | None = None
) -> Paths:
    """Return the forecasts after every tick, parameters fixed, from where each record stands.

    A tick at a point that a record has seen already gives NaN. One without a regressor that the model needs
    is passed over, as the stream does.

    Parameters
    ----------
    ticks
        Laid out for these series (other parameters and another end of the data do not matter).
    levels
        Coverage of the intervals in percent.
    first
        (n,) ticks whose forecasts are wanted; the others only move the state. All where left out.
    """
    n = len(ticks)
    wanted = np.ones(n, dtype=np.bool_) if first is None else first
    ends = (np.full((len(levels), n, h), np.nan) for _ in range(2))
    out = Paths(np.full((n, h), np.nan), *ends)
    grid = Grid.of(records.freq)
    table = np.ascontiguousarray(records.start[:, None], dtype=np.int64)
    position = grid.positions(grid.times(ticks.ts_ms), ticks.rows, table, TOLERANCE)
    since = position - records.nobs[ticks.rows]
    used = (position != FAR) & (since >= 0) & (since <= MOST_POINTS)
    bank = Bank(records, h, levels)
    slots = bank.add(np.arange(records.n_series))
    if _needed(records):
        used &= ~bank.lacking(slots[ticks.rows], {name: ticks.exog[name] for name in _needed(records)})
    future = _future(ticks, position, h, _needed(records))
    if first is not None and not future:
        used = _warmed(bank, slots, ticks, position, used, wanted, out)
    for part in _blocks(np.flatnonzero(used), h):
        _step(bank, slots, ticks, position, part, wanted, future, out)
    return out


def future_values(rows: I64, position: I64, values: F64, h: int) -> F64:
    """(n, h) the values of the same series at the next h points; NaN where there was no tick.

    Parameters
    ----------
    rows, position
        (n,) series and grid point of each value, ordered by both.
    """
    n = len(rows)
    out = np.full((n, h), np.nan)
    for ahead in range(
        1, min(h, n - 1) + 1
    ):  # the tick so many rows on is at most so many points on, or more
        gap = np.where(rows[ahead:] == rows[:-ahead], position[ahead:] - position[:-ahead], h + 1)
        at = np.flatnonzero(gap <= h)
        out[at, gap[at] - 1] = values[at + ahead]
    return out


def _warmed(
    bank: Bank, slots: I64, ticks: Ticks, position: I64, used: Bool, wanted: Bool, out: Paths
) -> Bool:  # fmt: skip
    """Move the slots over the ticks before the first wanted forecast; return which ticks are left.

    The first tick of a series is a step, which knows of the points that are missing before it.
    """
    stop = np.full(len(slots), -1, dtype=np.int64)
    index = np.flatnonzero(used & wanted)
    rows, at = np.unique(ticks.rows[index], return_index=True)
    stop[rows] = position[index[at]]
    left = used & (position >= stop[ticks.rows]) & (stop[ticks.rows] >= 0)
    before = np.flatnonzero(used & ~left & (stop[ticks.rows] >= 0))
    rows, at = np.unique(ticks.rows[before], return_index=True)
    if not len(rows):
        return left
    heads = before[at]
    _step(bank, slots, ticks, position, heads, wanted, {}, out)
    begin = np.zeros(len(slots), dtype=np.int64)
    begin[rows] = position[heads] + 1
    # Up to the last of these ticks: what is missing after it, however much, is the next step's.
    final = before[np.append(at[1:], len(before)) - 1]
    counts = position[final] + 1 - begin[rows]
    values = np.full((len(rows), int(counts.max())), np.nan)
    rest = np.setdiff1d(before, heads)
    where = np.searchsorted(rows, ticks.rows[rest])
    values[where, position[rest] - begin[ticks.rows[rest]]] = ticks.y[rest]
    bank.advance(slots[rows], values, counts)
    return left


def _step(
    bank: Bank, slots: I64, ticks: Ticks, position: I64, part: I64, wanted: Bool, future: dict[str, F64],
    out: Paths,
) -> None:  # fmt: skip
    """Move the slots over some ticks, and keep the forecasts that are wanted."""
    at = slots[ticks.rows[part]]
    fresh = np.r_[True, np.diff(ticks.rows[part]) != 0]
    before = np.empty(len(part), dtype=np.int64)
    before[1:] = position[part[:-1]] + 1
    before[fresh] = bank.t(at[fresh])
    missing = position[part] - before
    exog = {name: ticks.exog[name][part] for name in future}
    ahead = {name: values[part] for name, values in future.items()}
    try:
        found = bank.step(at, missing, ticks.y[part], exog or None, ahead or None)
    except InputError as error:
        raise InputError(f"the archived ticks cannot be replayed: {error}") from error
    keep = wanted[part]
    out.mean[part[keep]] = found.mean[keep]
    out.lo[:, part[keep]], out.hi[:, part[keep]] = found.lo[:, keep], found.hi[:, keep]


def _blocks(index: I64, h: int) -> list[I64]:
    """Cut ticks so that the forecasts of a block keep within `_MOST_STEPS`."""
    size = max(1, _MOST_STEPS // h)
    return [index[first : first + size] for first in range(0, len(index), size)]


def _future(ticks: Ticks, position: I64, h: int, names: tuple[str, ...]) -> dict[str, F64]:
    """(n, h) regressors of the next points, by name, as they then came true."""
    return {name: future_values(ticks.rows, position, ticks.exog[name], h) for name in names}


def _needed(records: Records) -> tuple[str, ...]:
    """Regressors that do not follow from the time: ticks must bring them."""
    from forecast.models.computed import is_computed

    return tuple(name for name in dict.fromkeys(t.name for t in records.exog) if not is_computed(name))
