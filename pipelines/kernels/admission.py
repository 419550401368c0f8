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
    OLD,
) = range(16)

FAR = 2**62
"""Position of what is beyond the calendar."""
UNKNOWN = -1
"""Slot of a series without a model."""


# What the columns of a table of series are, those that every tick needs first: a tick whose series lies far
# from the last one's waits for the memory once or twice, not for every column. MOVED, HELD: last round that
# moved it, and in which it has to wait; TOUCHED: last batch that changed it.
START, SLOT, POSITION, SOURCE, HELD, MOVED, TOUCHED, IMPUTED, SEEN, BASE_SLOT, BASE = range(11)
COLUMNS = 11


class Series(NamedTuple):
    """What is kept of each series; rows are numbers of a key table, and more than there are."""

    table: I64
    """(rows, COLUMNS)"""
    window: F64
    """(rows, W) value at position k in column k mod W; NaN: not observed."""

    @property
    def slot(self) -> I64:
        """In the bank; `UNKNOWN` where it has no model."""
        return self.table[:, SLOT]

    @property
    def base_slot(self) -> I64:
        """In the bank that stands behind by the grace; `UNKNOWN` where there is none."""
        return self.table[:, BASE_SLOT]

    @property
    def start(self) -> I64:
        """Time of position 0, in the units of the grid."""
        return self.table[:, START]

    @property
    def position(self) -> I64:
        """Of the last tick, or of the last point of the record."""
        return self.table[:, POSITION]

    @property
    def base(self) -> I64:
        """Position where the base stands."""
        return self.table[:, BASE]

    @property
    def source(self) -> I64:
        """Offset of the last tick that moved it, -1 before the first."""
        return self.table[:, SOURCE]

    @property
    def imputed(self) -> I64:
        """Points filled since the last observed one."""
        return self.table[:, IMPUTED]

    @property
    def seen(self) -> I64:
        """Values observed since the state began."""
        return self.table[:, SEEN]


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
def fixed_positions(times: I64, series: I64, table: I64, step: int, tolerance: float, out: I64) -> None:
    """Write the nearest position of each time (n,) on a grid of equal steps; `FAR` off it.

    Halfway between two points is the earlier one.

    Parameters
    ----------
    series
        (n,) rows of `table`, the first column of which is when a grid begins; below 0: none.
    """
    for i in range(len(times)):
        out[i] = FAR
        if series[i] < 0:
            continue
        first, t = table[series[i], START], times[i]
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
def _fate(table: I64, s: int, offset: int, at: int, null: bool, early: bool, gap_cap: int) -> int:
    """Decide about a tick by its series alone; `OLD` is not yet decided."""
    if offset <= table[s, SOURCE]:
        return REPLAYED
    if at == FAR:
        return OFF_GRID
    if early:
        return TOO_EARLY
    known = table[s, SLOT] != UNKNOWN
    if not known and table[s, SOURCE] < 0:
        return IDLE if null else WALK
    gap = at - table[s, POSITION]
    if gap <= 0:
        return OLD
    if not known:
        return WALK
    return RESET if gap - 1 > gap_cap else STEP


@exact_kernel
def _fate_of_old(table: I64, window: F64, s: int, at: int, null: bool, grace: int, round_: int) -> int:
    """Decide about a tick that is not after the last; `WAITING` where that has to move first."""
    gap = at - table[s, POSITION]
    if table[s, BASE_SLOT] != UNKNOWN:
        if table[s, MOVED] == round_:
            return WAITING
        inside = -gap <= grace and at > table[s, BASE] and not null
        if inside and np.isnan(window[s, at % window.shape[1]]):
            return PATCH
    return DUPLICATE if gap == 0 else LATE


@exact_kernel
def _fate_with_exog(kept: Kept, rules: Rules, s: int, at: int, gap: int, moved: bool, given: F64) -> int:
    """Decide about a tick that would move a series with regressors."""
    if moved and (gap > 1 or np.isnan(given).any()):
        return WAITING
    if not can_move(kept, rules.ahead, rules.require, s, at, given):
        return MISSING_EXOG
    return RESET if gap - 1 > rules.gap_cap else STEP


@exact_kernel
def _keep(table: I64, kept: Kept, s: int, at: int, offset: int, given: F64, round_: int) -> int:
    """Note regressors known ahead, unless the series moved in this round: then what is kept has not yet."""
    if table[s, MOVED] == round_:
        return WAITING
    keep(kept, s, at, given)
    table[s, SOURCE] = offset
    return NULL_AHEAD


@exact_kernel
def _move(table: I64, s: int, at: int, fate: int, offset: int, round_: int) -> int:
    """Note that a tick moves its series; return how many points it leaves out."""
    missing = 0
    if fate != PATCH:
        # The first tick says where a series without a model begins.
        missing = at - table[s, POSITION] - 1 if fate != WALK or table[s, SOURCE] >= 0 else 0
        table[s, POSITION] = at
    table[s, SOURCE], table[s, MOVED] = offset, round_
    return missing


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
    table, count, driven = series.table, 0, rules.ahead > 0
    for k in range(len(todo)):
        i = int(todo[k])
        s, at, null = ticks.series[i], ticks.position[i], np.isnan(ticks.value[i])
        if s < 0:
            ticks.fate[i] = REFUSED
            continue
        fate = WAITING
        if table[s, HELD] != round_:
            fate = _fate(table, s, ticks.offset[i], at, null, ticks.early[i], rules.gap_cap)
        gap = at - table[s, POSITION]
        if fate == OLD:
            fate = _fate_of_old(table, series.window, s, at, null, rules.grace, round_)
        elif STEP <= fate <= RESET and null and gap > 1 and ticks.brings[i]:
            fate = TOO_FAR_AHEAD if driven and gap > rules.ahead else NULL_AHEAD
        elif driven and (fate in (STEP, RESET)):
            moved = table[s, MOVED] == round_
            fate = _fate_with_exog(kept, rules, s, at, gap, moved, ticks.given[i])
        if fate == NULL_AHEAD and driven and table[s, SLOT] != UNKNOWN:
            fate = _keep(table, kept, s, at, ticks.offset[i], ticks.given[i], round_)
        ticks.fate[i] = fate
        if fate == WAITING:
            table[s, HELD] = round_
            later[count] = i
            count += 1
        elif fate <= PATCH:
            missing[i] = _move(table, s, at, fate, ticks.offset[i], round_)
            if fate >= RESET or (driven and missing[i] > 0):
                table[s, HELD] = round_
    return count


@exact_kernel
def forget_values(series: Series, s: int) -> None:
    """Begin the window of a series anew."""
    series.window[s, :] = np.nan
    series.table[s, SEEN] = 0


@exact_kernel
def take_in(series: Series, s: int, at: int, missing: int, value: float) -> int:
    """Put the value at position `at` into the window, NaN before it; return how many points were imputed."""
    width = series.window.shape[1]
    for back in range(min(missing, width - 1), 0, -1):
        series.window[s, (at - back) % width] = np.nan
    series.window[s, at % width] = value
    if np.isnan(value):
        series.table[s, IMPUTED] += missing + 1
        return missing + 1
    series.table[s, IMPUTED] = 0
    series.table[s, SEEN] += 1
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
    for k in range(series.table[s, BASE] + 1, at - grace):
        value = series.window[s, k % width] if k < at - missing else np.nan
        run += 1
        if not np.isnan(value) or k == at - grace - 1:
            steps.slot[count], steps.missing[count] = series.table[s, BASE_SLOT], run - 1
            steps.value[count] = value
            run = 0
            count += 1
    series.table[s, BASE] = max(series.table[s, BASE], at - grace - 1)
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
        i = int(rows[j])
        s, at = ticks.series[i], ticks.position[i]
        if grace > 0 and series.table[s, BASE_SLOT] != UNKNOWN:
            count = _feed_base(series, s, at, missing[i], grace, base, count)
        total += take_in(series, s, at, missing[i], np.nan if np.isnan(z[j]) else ticks.value[i])
        imputed[j] = series.table[s, IMPUTED]
    return total, count


@exact_kernel
def touch(series: Series, rows: I64, ticks: Arrivals, batch: int, out: I64, count: int) -> int:
    """Append the series of ticks `rows` that this batch had not changed yet to `out`; return their number."""
    for j in range(len(rows)):
        s = ticks.series[rows[j]]
        if series.table[s, TOUCHED] != batch:
            series.table[s, TOUCHED] = batch
            out[count] = s
            count += 1
    return count
