"""Forecasts that wait for what they forecast."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from forecast.errors import ForecastError
from forecast.types import F64, I64, Bool
from pipelines.errors import PipelineError
from pipelines.kernels.admission import FAR
from pipelines.monitor.matured import Scored, score_paths
from pipelines.monitor.maturing_dump import Head, pack, unpack
from pipelines.monitor.reference import Reference
from pipelines.stream.grid import Grid
from pipelines.wire.message import MAX_TS_MS

NONE: Final = -1

# How far a tick may lie from its grid point, in steps, to count as its value; as the stream has it.
TOLERANCE: Final = 0.5

# Versions after which the numbers of those that no path is of are given again, the oldest first: a few are
# at work at a time, one more with each promotion.
_NAMES: Final = 256

# End of the path of a series that had none yet.
_NEVER: Final = -(2**62)


class Made(NamedTuple):
    """k forecasts, in the order of the log; arguments of `Maturing.open`."""

    rows: I64
    offset: I64
    """(k,) of the tick that each was made of."""
    ts: I64
    mean: F64
    lo: F64
    hi: F64
    dt: I64
    tag: I64


class Seen(NamedTuple):
    """k ticks, in the order of the log."""

    rows: I64
    offset: I64
    ts: I64
    y: F64
    """(k,) NaN where missing."""


class Maturing:
    """One open forecast path a series at a time, and its actuals as they come.

    A path is opened by a forecast, takes the ticks of its h grid points in any order, and is closed by a tick
    of the last of them or later; forecasts that begin before its end are passed over. So paths of one
    series never overlap, and their scores have no point in common. A path that another version began
    goes on: it is scored as that version's.

    A forecast has to come after the tick it was made of, and before later ticks: `feed` sees to that.

    Parameters
    ----------
    n
        Series; rows are 0..n-1, see `grow`.
    h
        Points of every path.
    levels
        (L,) per cent, ascending.
    season_length
        m of the MASE, in grid points.
    grid
        Of the model. Months and business days differ in length, wall clocks jump: only the grid knows
        the times of the points. Left out, point k is at ``ts + k dt``.
    tolerance
        How far a tick may lie from its point, in steps.

    Notes
    -----
    Memory: ``4 h (2 + 2 L) + 52`` bytes a series, and `Reference`. Values are float32 differences from
    the first point of the mean, so that a series far from zero loses no digit of its errors.
    """

    def __init__(
        self, n: int, h: int, levels: tuple[float, ...], season_length: int = 1,
        grid: Grid | None = None, tolerance: float = TOLERANCE,
    ) -> None:  # fmt: skip
        self.h, self.levels = int(h), tuple(float(level) for level in levels)
        if self.h < 1 or any(not 0 < level < 100 for level in self.levels):
            raise PipelineError(f"a path needs h >= 1 and levels in (0, 100), got {h} and {levels}")
        self.grid, self.tolerance = grid, tolerance
        self.reference = Reference(n, season_length)
        self.names: list[tuple[str, str]] = []
        """Version and model of each number in `tag`."""
        self._oldest = -1
        width = 2 + 2 * len(self.levels)
        self._values = np.zeros((n, self.h, width), dtype=np.float32)
        self._tag = np.full(n, NONE, dtype=np.int32)
        self._base = np.zeros(n)
        self._ts = np.zeros(n, dtype=np.int64)
        self._dt = np.ones(n, dtype=np.int64)
        # Origin in the units of the grid, and time of the last point on the wire; both stay after the path.
        self._start = np.zeros(n, dtype=np.int64)
        self._end = np.full(n, _NEVER)
        self._anchor = np.full(n, FAR)

    def __len__(self) -> int:
        return len(self._tag)

    @property
    def shape(self) -> tuple[int, tuple[float, ...]]:
        """Horizon and levels of the forecasts that can be taken."""
        return self.h, self.levels

    def grow(self, n: int) -> None:
        """Make room for n series; those there stay."""
        more = n - len(self)
        if more <= 0:
            return
        self.reference.grow(n)
        self._values = np.concatenate([self._values, np.zeros((more, *self._values.shape[1:]), np.float32)])
        self._tag = np.concatenate([self._tag, np.full(more, NONE, dtype=np.int32)])
        self._base = np.concatenate([self._base, np.zeros(more)])
        self._ts = np.concatenate([self._ts, np.zeros(more, dtype=np.int64)])
        self._dt = np.concatenate([self._dt, np.ones(more, dtype=np.int64)])
        self._start = np.concatenate([self._start, np.zeros(more, dtype=np.int64)])
        self._end = np.concatenate([self._end, np.full(more, _NEVER)])
        self._anchor = np.concatenate([self._anchor, np.full(more, FAR)])

    def number(self, version: str, model: str) -> int:
        """Return the number of a version and its model, for `open`; use it soon, see `_NAMES`."""
        author = version, model
        if author not in self.names:
            used = set(np.unique(self._tag).tolist()) if len(self.names) >= _NAMES else set()
            for _ in range(len(self.names) if used else 0):
                self._oldest = (self._oldest + 1) % len(self.names)
                if self._oldest not in used:  # no path is of it any more
                    self.names[self._oldest] = author
                    return self._oldest
            self.names.append(author)
        return self.names.index(author)

    def is_open(self, rows: I64) -> Bool:
        """(k,) whether series wait for actuals."""
        return np.asarray(self._tag[rows] != NONE)

    def open(
        self, rows: I64, ts: I64, mean: F64, lo: F64, hi: F64, dt: I64 | int, tag: I64 | int = 0
    ) -> Scored | None:
        """Begin paths where none is under way, the first of each series; return those that this ends.

        Parameters
        ----------
        rows, ts
            (k,) series, and origins on the wire's clock.
        mean
            (k, h)
        lo, hi
            (L, k, h)
        dt
            Nominal step, one for all or (k,).
        tag
            `number` of who made the forecast, one for all or (k,).
        """
        self._check(rows, mean, lo, hi)
        dt, tag = np.broadcast_to(dt, rows.shape), np.broadcast_to(tag, rows.shape)
        now = self._first(rows, ts, np.isfinite(mean[:, 0]) & (dt >= 1))
        if not len(now):
            return None
        rows, ts = rows[now], ts[now]
        held = self._tag[rows] != NONE
        # The clock of its series was set back: what such a path waits for never comes.
        self.drop(rows[held & (ts < self._end[rows])])
        ended = rows[held & (ts >= self._end[rows])]
        scored = self._close(ended) if len(ended) else None
        self._begin(rows, ts, mean[now], lo[:, now], hi[:, now], dt[now], tag[now])
        return scored

    def feed(self, made: Made, seen: Seen) -> Scored | None:
        """Take forecasts and ticks of one partition in the order of the ticks' offsets.

        All forecasts made of the ticks up to the last one in `seen` must have been given, now or before:
        a tick that is fed ahead of a forecast is no actual of it.
        """
        found, waiting = [], np.ones(len(seen.rows), dtype=np.bool_)
        usable = np.isfinite(made.mean[:, 0]) & (made.dt >= 1)
        while len(now := self._first(made.rows, made.ts, usable)):
            rows, offset = made.rows[now], made.offset[now]
            before = waiting & _up_to(seen.rows, seen.offset, rows, offset)
            found.append(self.actual(seen.rows[before], seen.ts[before], seen.y[before]))
            waiting &= ~before
            paths = made.mean[now], made.lo[:, now], made.hi[:, now]
            found.append(self.open(rows, made.ts[now], *paths, made.dt[now], made.tag[now]))
            usable &= _after(made.rows, rows, now)
        found.append(self.actual(seen.rows[waiting], seen.ts[waiting], seen.y[waiting]))
        return Scored.join(found)

    def actual(self, rows: I64, ts: I64, y: F64) -> Scored | None:
        """Take ticks (k,), in the order they came, and return the paths that they end.

        A value that comes again for its point replaces the first; one that is missing or infinite replaces
        nothing. A tick that lies more than h beyond the end of its path ends nothing: it may be a
        clock gone wrong; if the stream believes it, its next forecast ends the path.
        """
        sound = np.abs(ts) <= MAX_TS_MS
        rows, ts, y = rows[sound], ts[sound], np.where(np.isfinite(y), y, np.nan)[sound]
        if not len(rows):
            return None
        self._learn(rows, ts, y)
        held = self._tag[rows] != NONE
        rows, ts, y = rows[held], ts[held], y[held]
        place = self._positions(ts, rows, self._start)
        inside = (place >= 1) & (place <= self.h) & ~np.isnan(y)
        ending = np.flatnonzero((place >= self.h) & (place <= 2 * self.h))
        ended, first = np.unique(rows[ending], return_index=True)
        if len(ended):  # what comes after the end comes too late, in this call as in the next
            inside &= ~_after(rows, ended, ending[first])
        some = np.flatnonzero(inside)
        with np.errstate(over="ignore"):
            self._values[rows[some], place[some] - 1, -1] = y[some] - self._base[rows[some]]
        return self._close(ended) if len(ended) else None

    def expire(self, ts: int) -> Scored | None:
        """Close the paths whose last point lies before `ts`: of series that went silent."""
        rows = np.flatnonzero(self._tag != NONE)
        rows = rows[self._end[rows] < ts]
        return self._close(rows) if len(rows) else None

    def drop(self, rows: I64) -> None:
        """Forget what these series wait for, unscored."""
        self._tag[rows] = NONE

    def dump(self) -> bytes:
        """Return all that is open, and the scales, as bytes for `load`."""
        rows = np.flatnonzero(self._tag != NONE)
        head = Head(len(self), self.h, self.levels, self.reference.m, tuple(self.names))
        return pack(head, {
            "row": rows, "values": self._values[rows], "base": self._base[rows], "dt": self._dt[rows],
            **{name: getattr(self, f"_{name}") for name in _WHOLE}, **self.reference.parts(),
        })  # fmt: skip

    @classmethod
    def load(cls, data: bytes, grid: Grid | None = None, tolerance: float = TOLERANCE) -> Maturing:
        """Return what `dump` was called on; `PipelineError` for bytes that are not that."""
        head, parts = unpack(data)
        made = cls(head.n, head.h, head.levels, head.season_length, grid, tolerance)
        made.names = list(head.names)
        rows = parts["row"]
        made._values[rows], made._base[rows], made._dt[rows] = parts["values"], parts["base"], parts["dt"]
        for name in _WHOLE:
            getattr(made, f"_{name}")[:] = parts[name]
        made.reference.restore(parts)
        return made

    def _first(self, rows: I64, ts: I64, usable: Bool) -> I64:
        """Return positions of the first forecast of each series that can begin a path."""
        back = ts + (self._end[rows] - self._ts[rows]) <= self._ts[rows]
        fits = usable & (np.abs(ts) <= MAX_TS_MS) & ((ts >= self._end[rows]) | back)
        some = np.flatnonzero(fits)
        return some[np.unique(rows[some], return_index=True)[1]]

    def _check(self, rows: I64, mean: F64, lo: F64, hi: F64) -> None:
        k, n_levels = len(rows), len(self.levels)
        for name, found, wanted in (
            ("mean", mean.shape, (k, self.h)),
            ("lo", lo.shape, (n_levels, k, self.h)),
            ("hi", hi.shape, (n_levels, k, self.h)),
        ):
            if found != wanted:
                raise PipelineError(f"{name} of the forecasts is {found}, needs {wanted}")

    def _begin(self, rows: I64, ts: I64, mean: F64, lo: F64, hi: F64, dt: I64, tag: I64) -> None:
        n_levels, base = len(self.levels), mean[:, 0]
        start = self._times(ts)
        end = self._ends(ts, start, dt)
        self._ts[rows], self._dt[rows], self._base[rows], self._start[rows] = ts, dt, base, start
        # A path beyond the calendar has no points: it is not opened.
        self._tag[rows], self._end[rows] = np.where(end > ts, tag, NONE), end
        new = self._anchor[rows] == FAR
        self._anchor[rows[new]] = start[new]
        with np.errstate(over="ignore", invalid="ignore"):
            self._values[rows, :, 0] = mean - base[:, None]
            self._values[rows, :, 1 : 1 + n_levels] = np.moveaxis(lo - base[:, None], 0, 2)
            self._values[rows, :, 1 + n_levels : -1] = np.moveaxis(hi - base[:, None], 0, 2)
        self._values[rows, :, -1] = np.nan

    def _close(self, rows: I64) -> Scored:
        """Score the paths of `rows` (k,), all open, and let them go."""
        scale, source = self.reference.scales(rows)
        scored = score_paths(
            rows, self._ts[rows], self._end[rows], self._tag[rows].astype(np.int64), tuple(self.names),
            self._values[rows], self.levels, scale, source,
        )  # fmt: skip
        self._tag[rows] = NONE
        return scored

    def _learn(self, rows: I64, ts: I64, y: F64) -> None:
        """Show ticks to the reference, those of series whose grid is known."""
        some = np.flatnonzero((self._anchor[rows] != FAR) & self.reference.wants(rows))
        if len(some):
            rows = rows[some]
            place = self._positions(ts[some], rows, self._anchor)
            near = place != FAR
            self.reference.take(rows[near], place[near], y[some][near])

    def _times(self, ts: I64) -> I64:
        return ts if self.grid is None else self.grid.times(ts)

    def _positions(self, ts: I64, rows: I64, starts: I64) -> I64:
        """(k,) nearest points counted from `starts` (n,), times of the grid; `FAR` off the grid."""
        if self.grid is not None:
            return self.grid.positions(self.grid.times(ts), rows, starts[:, None], self.tolerance)
        step, gap = self._dt[rows], ts - starts[rows]
        place = -((step - 2 * gap) // (2 * step))  # of two as near the earlier
        return np.asarray(np.where(np.abs(gap - place * step) <= self.tolerance * step, place, FAR))

    def _ends(self, ts: I64, start: I64, dt: I64) -> I64:
        """(k,) times of the last points; the origin's own where the calendar ends before."""
        if self.grid is None:
            return np.asarray(ts + self.h * dt)
        try:
            return self.grid.ts_ms(start, np.full(len(start), self.h))
        except (ForecastError, ValueError, ArithmeticError, IndexError):  # a calendar of pandas ends
            if len(ts) == 1:
                return ts
            one_by_one = [self._ends(ts[i : i + 1], start[i : i + 1], dt[i : i + 1]) for i in range(len(ts))]
            return np.concatenate(one_by_one)


# Arrays that are dumped whole, a number a series.
_WHOLE: Final = ("tag", "ts", "start", "end", "anchor")


def _up_to(rows: I64, offset: I64, chosen: I64, last: I64) -> Bool:
    """(k,) whether ticks are of series in `chosen`, ascending, and no later than the `last` of theirs."""
    at = np.minimum(np.searchsorted(chosen, rows), len(chosen) - 1)
    return np.asarray((chosen[at] == rows) & (offset <= last[at]))


def _after(rows: I64, chosen: I64, now: I64) -> Bool:
    """(k,) whether forecasts are of series in `chosen`, ascending, and behind the one at `now`."""
    at = np.minimum(np.searchsorted(chosen, rows), len(chosen) - 1)
    return np.asarray((chosen[at] == rows) & (np.arange(len(rows)) > now[at]))
