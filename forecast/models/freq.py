"""The grid of a panel: integer arithmetic on times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from forecast.errors import FrequencyError
from forecast.kernels import calendar
from forecast.models import offsets
from forecast.models.alias import EXAMPLES, TICKS, Grid, Kind, read_alias
from forecast.types import I64, Bool

# Nanoseconds in the longest month: what a month step spans at most.
_LONGEST_MONTH = 31 * calendar.NS_DAY
# A longer season is left to the caller: 1,440 minutes a day are no useful lag of a default model.
_LONGEST_DEFAULT_SEASON = 100
_NS_WEEK = 7 * calendar.NS_DAY

_SEASONS = {
    "B": 5,
    "C": 5,
    "BMS": 12,
    "BME": 12,
    "CBMS": 12,
    "CBME": 12,
    "SMS": 24,
    "SME": 24,
    "BQS": 4,
    "BQE": 4,
}


@dataclass(frozen=True, slots=True)
class Freq:
    """A regular grid of times, held as int64.

    `text` is the pandas alias ("MS", "h", "W-SUN", "15min") or the digits of an int step; retired
    spellings ("M", "H") become the modern ones, and "W" becomes "W-SUN".
    Times of an int grid are the ints themselves; times of every other grid are nanoseconds
    since 1970, of wall-clock time in `tz` where the unit is a day or longer, of UTC where shorter.

    Raises
    ------
    FrequencyError
        The alias is unknown.
    """

    text: str
    tz: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", read_alias(self.text).text)

    @property
    def grid(self) -> Grid:
        """What the alias means."""
        return read_alias(self.text)

    @property
    def is_int(self) -> bool:
        """True when times are plain integers."""
        return self.grid.kind is Kind.INT

    @property
    def wall(self) -> bool:
        """True when times are wall-clock times of `tz` (a day or longer), False when UTC or plain ints."""
        return self.grid.wall

    def positions(self, times: I64, first: I64) -> tuple[I64, Bool]:
        """Return grid positions of `times` counted from `first` (broadcast), and whether each is on the grid.

        On the grid means: `first` is an anchor of the frequency (a month start, a Sunday), and the time is a
        whole number of steps away from it at the same time of the day. Off the grid the position is that of
        the point before.
        """
        grid = self.grid
        if grid.kind in (Kind.INT, Kind.FIXED):
            gap = np.asarray(times - first, dtype=np.int64)
            place = gap // grid.step
            on = place * grid.step == gap
            return place, on & self.anchored(first) if grid.cycle > 1 else on
        at, start = np.broadcast_arrays(np.asarray(times, np.int64), np.asarray(first, np.int64))
        flat, flat_start = np.ascontiguousarray(at).ravel(), np.ascontiguousarray(start).ravel()
        if flat.size == 0:
            return np.zeros(at.shape, np.int64), np.zeros(at.shape, np.bool_)
        if grid.kind is Kind.OFFSET:
            place, on = offsets.positions(grid, flat, flat_start)
        else:
            place, on = np.empty(flat.size, np.int64), np.empty(flat.size, np.bool_)
            rule = (grid.step, grid.cycle, grid.anchor, grid.late)
            calendar.month_positions(flat, flat_start, *rule, place, on)
        return place.reshape(at.shape), on.reshape(at.shape)

    def times(self, first: I64, positions: I64) -> I64:
        """Return the times at `positions` counted from `first` (broadcast).

        A month after April 2262, which int64 nanoseconds cannot hold, is the least int64: not-a-time.
        """
        grid = self.grid
        if grid.kind in (Kind.INT, Kind.FIXED):
            return np.asarray(first + np.asarray(positions, np.int64) * grid.step, dtype=np.int64)
        start, ahead = np.broadcast_arrays(np.asarray(first, np.int64), np.asarray(positions, np.int64))
        flat, flat_ahead = np.ascontiguousarray(start).ravel(), np.ascontiguousarray(ahead).ravel()
        flat.flags.writeable = False  # as the times of a panel are: one kind of array, one compiled function
        if flat.size == 0:
            return np.zeros(start.shape, np.int64)
        if grid.kind is Kind.OFFSET:
            return offsets.times(grid, flat, flat_ahead).reshape(start.shape)
        out = np.empty(flat.size, np.int64)
        calendar.month_times(flat, flat_ahead, grid.step, grid.late, out)
        return out.reshape(start.shape)

    def floor(self, times: I64) -> I64:
        """Return the last anchor (a month start, a Sunday) on or before each of `times` (m,).

        The time of the day stays. Grids without anchors (ints, days, hours) return `times`.
        """
        grid = self.grid
        if times.size == 0 or (grid.kind in (Kind.INT, Kind.FIXED) and grid.cycle == 1):
            return times
        if grid.kind is Kind.FIXED:
            weekday = (times // calendar.NS_DAY + 3) % 7  # 1970-01-01 was a Thursday
            return np.asarray(times - (weekday - grid.anchor) % 7 * calendar.NS_DAY, dtype=np.int64)
        if grid.kind is Kind.OFFSET:
            return offsets.floor(grid, times)
        out = np.empty(times.size, np.int64)
        calendar.month_floor(np.ascontiguousarray(times), grid.cycle, grid.anchor, grid.late, out)
        return out

    def anchored(self, times: I64) -> Bool:
        """Return whether each of `times` (m,) can begin a grid (is a month start, a Sunday)."""
        at = np.atleast_1d(np.asarray(times, np.int64))
        return np.asarray(self.floor(at.ravel()) == at.ravel()).reshape(at.shape)

    def survey(self, times: I64, scale: int, indptr: I64) -> tuple[I64, I64]:
        """Measure each series of a ragged clock: (n,) grid points, and (n,) first row off the grid or -1.

        Parameters
        ----------
        times
            (N,) strictly increasing within a series.
        scale
            Nanoseconds in one unit of `times`; 1 for ints.
        indptr
            (n + 1,) bounds of the series; none is empty.
        """
        grid = self.grid
        lengths, offending = np.empty(len(indptr) - 1, np.int64), np.empty(len(indptr) - 1, np.int64)
        if grid.kind is Kind.MONTHS:
            rule = (grid.step, grid.cycle, grid.anchor, grid.late)
            calendar.survey_months(times, calendar.NS_DAY // scale, *rule, indptr, lengths, offending)
            return lengths, offending
        if grid.kind is Kind.OFFSET:
            return self._survey_slowly(times * scale, indptr)
        calendar.survey_steps(times, scale, grid.step, indptr, lengths, offending)
        if grid.cycle > 1:
            heads = indptr[:-1]
            lost = ~self.anchored(times[heads] * scale)
            offending[lost] = heads[lost]
        return lengths, offending

    def _survey_slowly(self, times: I64, indptr: I64) -> tuple[I64, I64]:
        heads, counts = indptr[:-1], np.diff(indptr)
        place, on = self.positions(times, np.repeat(times[heads], counts))
        lost = np.where(on, len(times), np.arange(len(times)))
        offending = np.minimum.reduceat(lost, heads)
        return place[indptr[1:] - 1] + 1, np.where(offending == len(times), -1, offending)

    def span(self) -> int:
        """Return an upper bound of one step in the integer units of the grid."""
        grid = self.grid
        if grid.kind is Kind.MONTHS:
            return grid.step * _LONGEST_MONTH
        if grid.kind is Kind.OFFSET:
            return grid.step * 12 * _LONGEST_MONTH
        return grid.step


def parse_freq(freq: object, tz: str | None = None) -> Freq:
    """Return the grid that `freq` names.

    Parameters
    ----------
    freq
        A pandas alias or offset, an int step, a timedelta, or a `Freq` (returned, with `tz`).
    tz
        Time zone of the data.

    Raises
    ------
    FrequencyError
        Names the bad alias, the nearest known one, and examples.
    """
    if isinstance(freq, Freq):
        return Freq(freq.text, tz or freq.tz)
    if isinstance(freq, str) and freq:
        return Freq(freq, tz)
    if isinstance(freq, (int, np.integer)) and not isinstance(freq, (bool, np.bool_, np.timedelta64)):
        return Freq(str(int(freq)), tz)
    if isinstance(freq, (timedelta, np.timedelta64)):
        return Freq(spell_ns(int(np.timedelta64(freq, "ns").astype(np.int64))), tz)
    alias: Any = getattr(freq, "freqstr", None)
    if isinstance(alias, str):
        return Freq(alias, tz)
    raise FrequencyError(f"freq {freq!r} is no frequency; for example {EXAMPLES}")


def spell_ns(ns: int) -> str:
    """Return the alias of a fixed step, in the largest unit that divides it."""
    unit = next(unit for unit, size in TICKS.items() if ns % size == 0)
    count = ns // TICKS[unit]
    return unit if count == 1 else f"{count}{unit}"


def default_season_length(freq: Freq) -> int:
    """Return the season that models assume when none is given; 1 means no season.

    =====================  ====================================================================
    hourly                 24 (a day); "2h" 12, "6h" 4
    15, 20, 30 minutes     a day: 96, 72, 48
    1 to 10 minutes        an hour: 60 for "min", 12 for "5min"
    1 second               a minute, 60; shorter: a second, when it has at most 100 steps
    daily                  7 (a week)
    weekly, ints           1
    monthly, "2MS"         12, 6 (a year)
    quarterly, yearly      4, 1
    business day           5
    =====================  ====================================================================

    Of several cycles that fit, the longest of at most 100 steps; 1 where the step divides none.
    """
    grid = freq.grid
    if grid.kind is Kind.INT:
        return 1
    if grid.kind is Kind.MONTHS:
        return 12 // grid.step if 12 % grid.step == 0 else 1
    if grid.kind is Kind.OFFSET:
        whole = _SEASONS.get(grid.base.partition("-")[0], 1)
        return whole // grid.step if whole % grid.step == 0 else 1
    cycles = (
        (_NS_WEEK,) if grid.step >= calendar.NS_DAY else (TICKS["D"], TICKS["h"], TICKS["min"], TICKS["s"])
    )
    for cycle in cycles:
        if cycle % grid.step == 0 and cycle // grid.step <= _LONGEST_DEFAULT_SEASON:
            return cycle // grid.step
    return 1
