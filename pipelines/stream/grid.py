"""Times and positions on the grid of a model, for many ticks a call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.errors import ForecastError
from forecast.kernels.calendar import NOT_A_TIME
from forecast.models.alias import Kind
from forecast.models.freq import Freq
from forecast.types import I64
from pipelines.kernels.admission import FAR, fixed_positions
from pipelines.stream.served import NS_PER_MS
from pipelines.stream.zone import Zone, zone_of
from pipelines.wire.message import MAX_TS_MS


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The grid of a frequency; its times are ints of the data, or ns of UTC or of a wall clock."""

    freq: Freq
    zone: Zone | None
    """Where the grid is one of a wall clock."""
    step: int
    """Length of a step where all are equally long, 0 where they are not."""
    unit: int
    """Units of the grid in a millisecond; of an int grid 1."""

    @staticmethod
    def of(freq: Freq) -> Grid:
        """Return the grid of `freq`; `StreamError` where its time zone is unknown."""
        zone = zone_of(freq.tz) if freq.wall and freq.tz is not None else None
        step = freq.grid.step if freq.grid.kind in (Kind.INT, Kind.FIXED) else 0
        return Grid(freq, zone, step, 1 if freq.is_int else NS_PER_MS)

    def times(self, ts_ms: I64) -> I64:
        """Return wire times as times of the grid."""
        utc = ts_ms * self.unit
        return utc if self.zone is None else self.zone.wall(utc)

    def ts_ms(self, start: I64, position: I64) -> I64:
        """Return wire times of positions counted from times `start` of the grid."""
        times = start + position * self.step if self.step else self.freq.times(start, position)
        return np.asarray((times if self.zone is None else self.zone.utc(times)) // self.unit)

    def positions(self, times: I64, series: I64, table: I64, tolerance: float) -> I64:
        """(n,) nearest positions of times of the grid, `FAR` where that is farther than `tolerance` steps.

        Parameters
        ----------
        series
            (n,) rows of `table`; below 0: none, the position is `FAR`.
        table
            (rows, any) first the time of position 0.

        Points whose own time no message can hold are `FAR` too.
        """
        out = np.empty(len(times), dtype=np.int64)
        if self.step:
            fixed_positions(times, series, table, self.step, tolerance, out)
        else:
            out[:] = FAR
            some = np.flatnonzero(series >= 0)
            if len(some):
                out[some] = self._nearest(times[some], table[series[some], 0], tolerance)
        edge = np.flatnonzero((np.abs(times) > MAX_TS_MS * self.unit // 2) & (out != FAR))
        if len(edge):
            ts_ms = self.ts_ms(table[series[edge], 0], out[edge])
            # Beyond the last nanosecond of an int64 comes the first.
            held = (np.abs(ts_ms) <= MAX_TS_MS) & ((ts_ms < 0) == (times[edge] < 0))
            out[edge[~held]] = FAR
        return out

    def _nearest(self, times: I64, start: I64, tolerance: float) -> I64:
        try:
            floor, _ = self.freq.positions(times, start)
            places = floor[:, None] + np.arange(-1, 3)
            points = self.freq.times(start[:, None], places)
        except (ForecastError, ValueError, ArithmeticError, IndexError):  # a calendar of pandas ends
            return np.full(len(times), FAR) if len(times) == 1 else self._one_by_one(times, start, tolerance)
        points = np.where(points == NOT_A_TIME, np.iinfo(np.int64).max, points).astype(np.float64)
        gap = np.abs(points - times[:, None])
        best = 1 + np.argmin(gap[:, 1:3], axis=1)  # of two as near the earlier
        best = np.where(gap[:, 0] < gap[np.arange(len(times)), best], 0, best)
        rows = np.arange(len(times))
        after = points[rows, best] < times
        step = np.where(
            after, points[rows, best + 1] - points[rows, best], points[rows, best] - points[rows, best - 1]
        )
        return np.where(gap[rows, best] <= tolerance * np.abs(step), places[rows, best], FAR)

    def _one_by_one(self, times: I64, start: I64, tolerance: float) -> I64:
        """Find out which of several times it is that the calendar cannot hold."""
        found = [self._nearest(times[i : i + 1], start[i : i + 1], tolerance) for i in range(len(times))]
        return np.concatenate(found)
