"""States under other parameters: where the new record ends, moved on through the last values."""

from __future__ import annotations

import numpy as np

from forecast.types import F64, I64
from pipelines.kernels import admission
from pipelines.kernels.admission import FAR, UNKNOWN, Series
from pipelines.stream.desk import Desk
from pipelines.stream.shard import Shard, make_series
from pipelines.stream.strips import filled, fit_strips, put_strips, rename_strips, strips_of

# Series that are moved at once.
_BLOCK = 8192

# What has nothing to do with the model.
_LASTING = [
    admission.SOURCE,
    admission.IMPUTED,
    admission.SEEN,
    admission.HELD,
    admission.MOVED,
    admission.TOUCHED,
]


def rebase(old: Desk, new: Desk, shard: Shard) -> None:
    """Move the states of a shard to another model; the banks of the old one are not needed after this."""
    before, live = shard.series, shard.live()
    ts_ms = old.grid.ts_ms(before.start[live], before.position[live])
    kept = shard.kept
    shard.series, shard.kept = make_series(len(before.table), new.width), new.make_kept(len(before.table))
    new.adopt(shard, np.arange(shard.count))
    after = shard.series
    shard.strangers = int(np.count_nonzero(after.slot[: shard.count] == UNKNOWN))
    after.table[:, _LASTING] = before.table[:, _LASTING]
    for first in range(0, len(live), _BLOCK):
        some = live[first : first + _BLOCK]
        strips = None
        if new.exog:
            strips = rename_strips(strips_of(kept, some, old.rules.ahead), old.exog, new.exog)
            strips = fit_strips(strips, old.rules.ahead, new.width, new.rules.ahead)
        replay(new, shard, some, ts_ms[first : first + _BLOCK], ordered(before, some), strips)


def replay(
    desk: Desk, shard: Shard, numbers: I64, ts_ms: I64, window: F64, strips: F64 | None = None
) -> None:
    """Move series (k,) from where their records end to a time, through the last values before it.

    A series whose record ends later stays there: its model has seen what is before. One without a place on
    the grid there begins anew.

    Parameters
    ----------
    ts_ms
        (k,) of the last values.
    window
        (k, W) last values, newest last.
    strips
        (k, width + ahead, X) regressors of the model, NaN where not known; None where it has none.
    """
    series, k = shard.series, len(numbers)
    times = desk.grid.times(ts_ms)
    at = desk.grid.positions(times, np.arange(k), series.start[numbers, None], 0.5)
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
    if strips is not None:
        strips = np.where(lost[:, None, None], np.nan, strips)
        strips = _place_strips(
            desk, shard, numbers, place, shifted(strips, place - np.where(lost, place, at))
        )
    moving = np.flatnonzero(known & (gap > 0))
    if len(moving):
        exog = None if strips is None else strips[moving]
        _move(desk, shard, numbers[moving], gap[moving], window[moving], exog)


def _place_strips(desk: Desk, shard: Shard, numbers: I64, place: I64, strips: F64) -> F64:
    """Keep strips that end at `place`; return (k, W, X) regressors of their past, none missing."""
    kept, width = shard.kept, desk.width
    last = kept.values[numbers, kept.at[numbers] % kept.values.shape[1]]
    past = filled(strips, width, last)
    whole = strips.copy()
    whole[:, width - 1] = np.where(kept.needed[numbers], past[:, -1], whole[:, width - 1])
    put_strips(kept, numbers, desk.rules.ahead, place, whole)
    return past


def _move(desk: Desk, shard: Shard, numbers: I64, gap: I64, window: F64, exog: F64 | None) -> None:
    series, width = shard.series, window.shape[1]
    at = series.position[numbers]
    counts = np.minimum(gap, width)
    # The first `counts` of a row: those that come after the record's end, or after what was skipped.
    values = shifted(window, width - counts)
    given = None if exog is None else shifted(exog, width - counts)
    slots = series.slot[numbers]
    far = np.flatnonzero(gap > width)
    if len(far):
        now = None if given is None else _named(desk, given[far, 0])
        desk.bank.skip(slots[far], at[far] + 1 - width, now)
    desk.bank.advance(slots, values, counts, None if given is None else _named(desk, given))
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
    """Put (k, W) values, newest last, into the windows of series, up to `at`, or where they stand."""
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
    """Return (k, W, ...) values from `later` (k,) points later on, NaN at the end."""
    width = window.shape[1]
    at = np.arange(width) + later[:, None]
    moved = window[np.arange(len(window))[:, None], np.minimum(at, width - 1)]
    moved[at >= width] = np.nan
    return np.asarray(moved)


def _named(desk: Desk, values: F64) -> dict[str, F64]:
    return {name: values[..., j] for j, name in enumerate(desk.exog)}
