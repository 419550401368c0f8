"""Grids without arithmetic, such as business days: pandas lists their points, a search finds the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import InputError
from forecast.kernels.calendar import NS_DAY
from forecast.types import I64, Bool

if TYPE_CHECKING:
    from forecast.models.alias import Grid


def positions(grid: Grid, times: I64, first: I64) -> tuple[I64, Bool]:
    """Return positions of `times` from `first`, (m,) each, and whether both are on the grid."""
    span = np.array([min(times.min(), first.min()), max(times.max(), first.max())])
    points = _points(grid, span, 0, 0)
    place, hour, on = _locate(grid, points, times)
    place0, hour0, on0 = _locate(grid, points, first)
    gap = place - place0
    return gap // grid.step, on & on0 & (hour == hour0) & (gap % grid.step == 0)


def times(grid: Grid, first: I64, ahead: I64) -> I64:
    """Return the times at positions `ahead` from `first`, (m,) each; off the grid, from the point before."""
    back = max(0, -int(ahead.min())) * grid.step
    points = _points(grid, first, back, max(0, int(ahead.max())) * grid.step)
    place, hour, _ = _locate(grid, points, first)
    return np.asarray(points[place + ahead * grid.step] + hour, dtype=np.int64)


def floor(grid: Grid, at: I64) -> I64:
    """Return the last grid day on or before each of `at`, (m,), at the same time of the day."""
    points = _points(grid, at, 0, 0)
    place, hour, _ = _locate(grid, points, at)
    return np.asarray(points[place] + hour, dtype=np.int64)


def _locate(grid: Grid, points: I64, at: I64) -> tuple[I64, I64, Bool]:
    """Place of the last point on or before, time of the day beside the point, and whether it is a point."""
    day = at - at % NS_DAY if _daily(grid) else at
    place = np.asarray(np.searchsorted(points, day, side="right") - 1, dtype=np.int64)
    return place, at - day, points[place] == day


def _daily(grid: Grid) -> bool:
    """Points are days; only business hours lie within one."""
    return "bh" not in grid.base


def _points(grid: Grid, span: I64, before: int, after: int) -> I64:
    """All points, ns, around `span`: at least one before it, and `before` and `after` more."""
    import pandas as pd  # here: half a second, and only for rare grids

    low = pd.Timestamp(int(span.min())).normalize()
    high = pd.Timestamp(int(span.max())).normalize() + pd.Timedelta(days=1)
    try:
        pieces = [
            pd.date_range(end=low, periods=before + 2, freq=grid.base),
            pd.date_range(low, high, freq=grid.base),
            pd.date_range(high, periods=after + 2, freq=grid.base),
        ]
        return np.unique(np.concatenate([piece.as_unit("ns").asi8 for piece in pieces]))
    except (pd.errors.OutOfBoundsDatetime, OverflowError):
        message = f"{after} steps of {grid.text!r} after {high.date()} leave the years 1678 to 2261"
        raise InputError(f"{message}; shorten the horizon") from None
