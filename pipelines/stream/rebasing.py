"""States under other parameters: where the new record ends, moved on through the last values of the series."""

from __future__ import annotations

import numpy as np

from forecast.types import F64, I64
from pipelines.kernels.admission import FAR, UNKNOWN, Series
from pipelines.stream.desk import Desk
from pipelines.stream.shard import Shard, make_series

# Series that are moved at once.
_BLOCK = 8192


def rebase(old: Desk, new: Desk, shard: Shard) -> None:
    """Move the states of a shard to another model; the banks of the old one are not needed after this."""
    before, live = shard.series, shard.live()
    ts_ms = old.grid.ts_ms(before.start[live], before.position[live])
    shard.series = make_series(len(before.slot), new.width)
    new.adopt(shard, np.arange(shard.count))
    after = shard.series
    for name in ("source", "imputed", "seen", "moved", "held", "touched"):
        getattr(after, name)[:] = getattr(before, name)
    for first in range(0, len(live), _BLOCK):
        some = live[first : first + _BLOCK]
        replay(new, shard, some, ts_ms[first : first + _BLOCK], ordered(before, some))


def replay(desk: Desk, shard: Shard, numbers: I64, ts_ms: I64, window: F64) -> None:
    """Move series (k,) from where their records end to a time, through the last values before it.

    A series whose record ends later stays there: its model has seen what is before. One without a place on the
    grid there begins anew.

    Parameters
    ----------
    ts_ms
        (k,) of the last values.
    window
        (k, W) last values, newest last.
    """
    series, k = shard.series, len(numbers)
    times = desk.grid.times(ts_ms)
    at = desk.grid.positions(times, np.arange(k), series.start[numbers], 0.5)
    lost = at == FAR
    known = series.slot[numbers] != UNKNOWN
    series.source[numbers[lost & ~known]] = -1
    ends = np.where(known, series.position[numbers], at)  # of the records
    gap = np.where(lost, 0, at - ends)
    stay = known & (gap < 0)
    series.imputed[numbers[lost | stay]] = 0
    window = fitted(np.where(lost[:, None], np.nan, window), series.window.shape[1])
    place = np.where(lost, ends, np.maximum(at, ends))
    put_window(series, numbers, shifted(window, np.where(lost, 0, place - at)), place)
    series.position[numbers] = place
    moving = np.flatnonzero(known & (gap > 0))
    if len(moving):
        _move(desk, shard, numbers[moving], gap[moving], window[moving])


def _move(desk: Desk, shard: Shard, numbers: I64, gap: I64, window: F64) -> None:
    series, width = shard.series, window.shape[1]
    at = series.position[numbers]
    counts = np.minimum(gap, width)
    # The first `counts` of a row: those that come after the record's end, or after what was skipped.
    values = np.take_along_axis(
        window, np.minimum(np.arange(width) + (width - counts)[:, None], width - 1), axis=1
    )
    slots = series.slot[numbers]
    far = np.flatnonzero(gap > width)
    if len(far):
        desk.bank.skip(slots[far], at[far] + 1 - width)
    desk.advance(desk.bank, slots, values, counts, shard, numbers)
    if desk.base is None:
        return
    behind = desk.rules.grace + 1
    slots = series.base_slot[numbers]
    if len(far):
        desk.base.skip(slots[far], at[far] + 1 - width)
    desk.base.advance(slots, values, np.maximum(counts - behind, 0))
    series.base[numbers] = at - np.minimum(counts, behind)


def ordered(series: Series, numbers: I64) -> F64:
    """(k, W) windows of series, newest last."""
    width = series.window.shape[1]
    places = series.position[numbers, None] - width + 1 + np.arange(width)
    return np.asarray(series.window[numbers[:, None], places % width])


def put_window(series: Series, numbers: I64, window: F64, at: I64 | None = None) -> None:
    """Put (k, W) values, newest last, into the windows of series, up to positions `at`, or where they stand."""
    width = series.window.shape[1]
    last = series.position[numbers] if at is None else at
    places = last[:, None] - width + 1 + np.arange(width)
    series.window[numbers[:, None], places % width] = window


def fitted(window: F64, width: int) -> F64:
    """Return windows with `width` values: the last ones, NaN before them."""
    have = window.shape[1]
    if have >= width:
        return window[:, have - width :]
    return np.concatenate([np.full((len(window), width - have), np.nan), window], axis=1)


def shifted(window: F64, later: I64) -> F64:
    """Return windows that end `later` (k,) points later, NaN there."""
    width = window.shape[1]
    at = np.arange(width) + later[:, None]
    moved = np.take_along_axis(window, np.minimum(at, width - 1), axis=1)
    return np.where(at < width, moved, np.nan)
