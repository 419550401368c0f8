"""What becomes of ticks: places on grids, and which of them move their series, in the order they came."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, Bool
from pipelines.kernels.regressors import Kept, can_move, keep

# What becomes of a tick.
(
    WAITING,
    STEP,  # moves its series by its model
    WALK,  # moves a series without a model
    RESET,  # moves its series after a gap that is too long to fill
    PATCH,  # goes into the past of its series
    DUPLICATE,
    LATE,
    OFF_GRID,
    TOO_EARLY,
    REPLAYED,
    NULL_AHEAD,
    TOO_FAR_AHEAD,
    MISSING_EXOG,
    REFUSED,
    IDLE,  # says nothing about a series of which nothing is known
) = range(15)

FAR = 2**62
"""Position of what is beyond the calendar."""
UNKNOWN = -1
"""Slot of a series without a model."""


class Series(NamedTuple):
    """What is kept of each series; rows are numbers of a key table, and more than there are."""

    slot: I64
    """In the bank; `UNKNOWN` where it has no model."""
    base_slot: I64
    """In the bank that stands behind by the grace; `UNKNOWN` where there is none."""
    start: I64
    """Time of position 0, in the units of the grid."""
    position: I64
    """Of the last tick, or of the last point of the record."""
    base: I64
    """Position where the base stands."""
    source: I64
    """Offset of the last tick that moved it, -1 before the first."""
    imputed: I64
    """Points filled since the last observed one."""
    seen: I64
    """Values observed since the state began."""
    window: F64
    """(rows, W) value at position k in column k mod W; NaN: not observed."""
    moved: I64
    """Number of the last round that moved it."""
    held: I64
    """Number of the last round in which it has to wait."""
    touched: I64
    """Number of the last batch that changed it."""


class Rules(NamedTuple):
    """Settings."""

    gap_cap: int
    grace: int
    ahead: int
    """Points ahead for which regressors are kept, 0 without regressors."""
    require: bool
    """A tick without its regressors is refused."""


class Arrivals(NamedTuple):
    """The n ticks of a batch."""

    series: I64
    """(n,) rows of `Series`, -1 where the record is no tick."""
    offset: I64
    position: I64
    """(n,) nearest grid points; `FAR` where that is too far from them."""
    value: F64
    early: Bool
    """(n,) too far ahead of the log's clock."""
    brings: Bool
    """(n,) whether it brings regressors, of whatever name."""
    given: F64
    """(n, X) regressors of the model, NaN where not given."""
    fate: I64
    """(n,) out"""


@exact_kernel
def fixed_positions(times: I64, series: I64, start: I64, step: int, tolerance: float, out: I64) -> None:
    """Write the nearest position of each time (n,) on a grid of equal steps; `FAR` off it.

    Halfway between two points is the earlier one.
    """
    for i in range(len(times)):
        out[i] = FAR
        if series[i] < 0:
            continue
        first, t = start[series[i]], times[i]
        if (first < 0 and t > first + (FAR - 1)) or (first >= 0 and t < first - (FAR - 1)):
            continue
        gap = t - first
        place = gap // step
        rest = gap - place * step
        if rest > step - rest:
            place, rest = place + 1, step - rest
        if float(rest) <= tolerance * float(step):
            out[i] = place


@exact_kernel
def _fate(series: Series, kept: Kept, rules: Rules, ticks: Arrivals, i: int, s: int, round_: int) -> int:
    """Decide about one tick; `WAITING` where it depends on what its series has not done yet."""
    if ticks.offset[i] <= series.source[s]:
        return REPLAYED
    if ticks.position[i] == FAR:
        return OFF_GRID
    if ticks.early[i]:
        return TOO_EARLY
    at, null = ticks.position[i], np.isnan(ticks.value[i])
    if series.slot[s] == UNKNOWN and series.source[s] < 0:
        return IDLE if null else WALK
    gap = at - series.position[s]
    if gap <= 0:
        return _fate_of_old(series, rules, gap, at, s, null, series.moved[s] == round_)
    moved = rules.ahead > 0 and series.moved[s] == round_
    if null and gap > 1 and ticks.brings[i]:
        if rules.ahead > 0 and gap > rules.ahead:
            return TOO_FAR_AHEAD
        return WAITING if moved else NULL_AHEAD
    if series.slot[s] == UNKNOWN:
        return WALK
    if moved and (gap > 1 or np.isnan(ticks.given[i]).any()):
        return WAITING
    if rules.ahead > 0 and not can_move(kept, rules.ahead, rules.require, s, at, ticks.given[i]):
        return MISSING_EXOG
    return RESET if gap - 1 > rules.gap_cap else STEP


@exact_kernel
def _fate_of_old(series: Series, rules: Rules, gap: int, at: int, s: int, null: bool, moved: bool) -> int:
    """Decide about a tick that is not after the last."""
    if series.base_slot[s] != UNKNOWN:
        if moved:
            return WAITING
        inside = -gap <= rules.grace and at > series.base[s] and not null
        if inside and np.isnan(series.window[s, at % series.window.shape[1]]):
            return PATCH
    return DUPLICATE if gap == 0 else LATE


@exact_kernel
def admit(
    series: Series,
    kept: Kept,
    rules: Rules,
    ticks: Arrivals,
    todo: I64,
    round_: int,
    missing: I64,
    later: I64,
) -> int:
    """Decide about the ticks `todo`, in order, and move the positions of those that move their series.

    A series whose tick needs more than one step (a reset, a patch, with regressors a gap) takes no further
    tick in this round.

    Parameters
    ----------
    round_
        Number of the round, higher than all before it.
    missing
        (n,) out: points between a tick and the one before it.
    later
        (n,) out: ticks for the next round.

    Returns
    -------
    count
        How many are in `later`.
    """
    count = 0
    for k in range(len(todo)):
        i = todo[k]
        s = ticks.series[i]
        if s < 0:
            ticks.fate[i] = REFUSED
            continue
        fate = WAITING if series.held[s] == round_ else _fate(series, kept, rules, ticks, i, s, round_)
        ticks.fate[i] = fate
        if fate == WAITING:
            series.held[s] = round_
            later[count] = i
            count += 1
        elif fate <= PATCH:
            _move(series, ticks, i, s, fate, missing)
            series.moved[s] = round_
            if fate >= RESET or (rules.ahead > 0 and missing[i] > 0):
                series.held[s] = round_
        elif fate == NULL_AHEAD and rules.ahead > 0 and series.slot[s] != UNKNOWN:
            keep(kept, s, ticks.position[i], ticks.given[i])
            series.source[s] = ticks.offset[i]
    return count


@exact_kernel
def _move(series: Series, ticks: Arrivals, i: int, s: int, fate: int, missing: I64) -> None:
    at = ticks.position[i]
    missing[i] = 0
    if fate != PATCH:
        if fate != WALK or series.source[s] >= 0:  # the first tick says where a series without model begins
            missing[i] = at - series.position[s] - 1
        series.position[s] = at
    series.source[s] = ticks.offset[i]


@exact_kernel
def forget_values(series: Series, s: int) -> None:
    """Begin the window of a series anew."""
    series.window[s, :] = np.nan
    series.seen[s] = 0


@exact_kernel
def take_in(series: Series, s: int, at: int, missing: int, value: float) -> int:
    """Put the value at position `at` into the window, NaN before it; return how many points were imputed."""
    width = series.window.shape[1]
    for back in range(min(missing, width - 1), 0, -1):
        series.window[s, (at - back) % width] = np.nan
    series.window[s, at % width] = value
    if np.isnan(value):
        series.imputed[s] += missing + 1
        return missing + 1
    series.imputed[s] = 0
    series.seen[s] += 1
    return missing


class Steps(NamedTuple):
    """Ticks for a bank, in order."""

    slot: I64
    missing: I64
    value: F64


@exact_kernel
def _feed_base(series: Series, s: int, at: int, missing: int, grace: int, steps: Steps, count: int) -> int:
    """Append what leaves the grace when a series moves to `at`; its window must be as before that."""
    width, run = series.window.shape[1], 0
    for k in range(series.base[s] + 1, at - grace):
        value = series.window[s, k % width] if k < at - missing else np.nan
        run += 1
        if not np.isnan(value) or k == at - grace - 1:
            steps.slot[count], steps.missing[count], steps.value[count] = series.base_slot[s], run - 1, value
            run = 0
            count += 1
    series.base[s] = max(series.base[s], at - grace - 1)
    return count


@exact_kernel
def settle(
    series: Series, ticks: Arrivals, rows: I64, missing: I64, z: F64, grace: int, imputed: I64, base: Steps
) -> tuple[int, int]:
    """Put values that have moved their series into their windows, in order.

    Parameters
    ----------
    rows
        (m,) ticks.
    missing
        (n,) as `admit` left it.
    z
        (m,) innovations; NaN where the model took the value for missing.
    imputed
        (m,) out: points filled since the last observed one.
    base
        Out, where there is grace: steps of the states that stand behind. Room for (grace + 3) m.

    Returns
    -------
    total, count
        Points imputed, and steps in `base`.
    """
    total, count = 0, 0
    for j in range(len(rows)):
        i = rows[j]
        s, at = ticks.series[i], ticks.position[i]
        if grace > 0 and series.base_slot[s] != UNKNOWN:
            count = _feed_base(series, s, at, missing[i], grace, base, count)
        total += take_in(series, s, at, missing[i], np.nan if np.isnan(z[j]) else ticks.value[i])
        imputed[j] = series.imputed[s]
    return total, count


@exact_kernel
def touch(series: Series, rows: I64, ticks: Arrivals, batch: int, out: I64, count: int) -> int:
    """Append the series of ticks `rows` that this batch had not changed yet to `out`; return their number."""
    for j in range(len(rows)):
        s = ticks.series[rows[j]]
        if series.touched[s] != batch:
            series.touched[s] = batch
            out[count] = s
            count += 1
    return count
