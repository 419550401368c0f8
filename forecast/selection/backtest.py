"""Rolling origin: fit on the past of each window, forecast it, move on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError
from forecast.models.assemble import place, take
from forecast.models.filtering import advance
from forecast.models.forecasting import Forecasts, forecast
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.spec import Model
from forecast.types import F64, I64, U8, Bool, Status

Progress = Callable[[int, int], None]
"""Called with how many fits are done, and how many there are."""


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """Forecasts of w windows, by series and then by time; every window has h points.

    `mean` is (w, h), `lo` and `hi` are (w, len(levels), h), `status` is (w,), each by alias of the model.
    """

    panel: Panel
    levels: tuple[float, ...]
    series: I64
    """(w,) position in `panel`."""
    origin: I64
    """(w,) points before the window: the cutoff is point origin - 1, the window begins at point origin."""
    window: I64
    """(w,) number of the window, 0 the earliest."""
    y: F64
    """(w, h) what came true, NaN where missing."""
    mean: Mapping[str, F64]
    lo: Mapping[str, F64]
    hi: Mapping[str, F64]
    status: Mapping[str, U8]
    notes: Mapping[int, str]
    """Sentences about series that are too short for some windows, by position."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Which series have which windows, and the rows of the result they fill."""

    origins: I64
    """(n_windows, n) points before each window, not positive where the series is too short."""
    h: int

    @property
    def counts(self) -> I64:
        """(n,) windows of each series: the last ones."""
        counts: I64 = (self.origins > 0).sum(axis=0)
        return counts

    def active(self, window: int) -> I64:
        """Series that have this window; those of an earlier window are among them."""
        return np.flatnonzero(self.origins[window] > 0)

    def rows(self, window: int) -> I64:
        """Rows of the result that `active` series fill."""
        counts = self.counts
        end = np.cumsum(counts)
        rows: I64 = (end - (len(self.origins) - window))[self.active(window)]
        return rows


def rolling_cutoffs(panel: Panel, h: int, n_windows: int = 1, step_size: int | None = None) -> I64:
    """Return (n_windows, n) how many points come before each window, the earliest window first.

    Window w of a series of T points holds the h points after T - h - (n_windows - 1 - w) step_size:
    the last window ends with the series. Values below 1 mean that the series is too short for the window.
    """
    back = (h + np.arange(n_windows - 1, -1, -1, dtype=np.int64) * (step_size or h))[:, None]
    origins: I64 = panel.lengths[None, :] - back
    return origins


def backtest(
    panel: Panel,
    models: Sequence[Model],
    h: int,
    n_windows: int = 1,
    step_size: int | None = None,
    refit: bool | int = True,
    levels: Sequence[float] = (80, 95),
    input_size: int | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> BacktestResult:
    """Forecast the last windows of every series from what came before them.

    Parameters
    ----------
    panel
        Its regressors are taken as known over a window, as they are for a future frame.
    models
        Specifications with different aliases.
    h
        Points of a window.
    n_windows, step_size
        How many windows, and the points from one to the next (None: h). A series that is too short for
        all of them has fewer, the last ones; one too short for any has none. Both are told in `notes`.
    refit
        True: fit at every window. False: fit at the first window of a series and move the record on over
        the data that follow. k: fit at every k-th window, and move on in between. A series with a gap in
        a regressor since the last window is fitted again.
    levels
        Of the intervals, in percent.
    input_size
        Fit on at most this many points before the window; None: on all.
    jobs
        Threads; the result does not depend on it.
    progress
        Called after every window of every model.

    Raises
    ------
    InputError
        Two models share an alias, a count is not positive, or no series has a window.
    """
    _check(models, h, n_windows, step_size, refit, input_size)
    layout = _Layout(rolling_cutoffs(panel, h, n_windows, step_size), h)
    total = int(layout.counts.sum())
    if total == 0:
        longest = int(panel.lengths.max())
        raise InputError(f"no series is longer than h = {h} (the longest has {longest} points); lower h")
    series = np.repeat(np.arange(panel.n_series), layout.counts)
    window = np.concatenate([np.arange(n_windows - c, n_windows) for c in layout.counts]).astype(np.int64)
    origin = layout.origins[window, series]
    levels = tuple(float(level) for level in levels)
    every = n_windows if refit is False else int(refit)
    tracks: dict[str, _Track] = {}
    for k, model in enumerate(models):
        track = tracks[model.alias] = _Track(total, h, len(levels))
        records: Records | None = None
        for w in range(n_windows):
            records = _reach(records, panel, model, layout, w, every, input_size, jobs)
            if records is not None:
                track.put(
                    layout.rows(w), records, forecast(records, h, levels, _future(panel, layout, w), jobs)
                )
            if progress is not None:
                progress(k * n_windows + w + 1, len(models) * n_windows)
    y = panel.values[_points(panel, series, origin, h)]
    mean, lo, hi = ({name: getattr(t, part) for name, t in tracks.items()} for part in ("mean", "lo", "hi"))
    status = {name: track.status for name, track in tracks.items()}
    notes = _notes(layout, n_windows)
    return BacktestResult(panel, levels, series, origin, window, y, mean, lo, hi, status, notes)


class _Track:
    """Forecasts of one model over all windows, filled window by window."""

    def __init__(self, total: int, h: int, n_levels: int) -> None:
        self.mean = np.full((total, h), np.nan)
        self.lo, self.hi = (np.full((total, n_levels, h), np.nan) for _ in range(2))
        self.status = np.full(total, Status.OK, dtype=np.uint8)

    def put(self, rows: I64, records: Records, ahead: Forecasts) -> None:
        self.mean[rows], self.lo[rows], self.hi[rows] = ahead.mean, ahead.lo, ahead.hi
        self.status[rows] = records.status


def cut(panel: Panel, rows: I64, first: I64, last: I64) -> Panel:
    """Return points ``first[i]:last[i]`` of the series `rows`, each (m,), as a panel of its own.

    Of what was found in the whole series only a broken clock is told of the piece. The rest may lie
    beyond the cut, and a model finds it again in the piece; a value that was infinite is missing there.
    """
    lengths = last - first
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    where = np.repeat(panel.indptr[rows] + first - indptr[:-1], lengths) + np.arange(indptr[-1])
    clock = panel.status[rows] == Status.IRREGULAR_CLOCK
    return Panel(
        panel.values[where],
        indptr,
        panel.ids[rows],
        panel.freq.times(panel.start[rows], first),
        panel.freq,
        {name: column[where] for name, column in panel.exog.items()},
        np.where(clock, Status.IRREGULAR_CLOCK, Status.OK).astype(np.uint8),
    )


def _check(
    models: Sequence[Model],
    h: int,
    n_windows: int,
    step_size: int | None,
    refit: bool | int,
    input_size: int | None,
) -> None:
    aliases = [model.alias for model in models]
    twice = sorted({alias for alias in aliases if aliases.count(alias) > 1})
    if twice:
        raise InputError(f"two models are called {twice[0]!r}; give one another name with alias=")
    counts = {"h": h, "n_windows": n_windows, "step_size": step_size, "input_size": input_size}
    if refit is not False:
        counts["refit"] = refit
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} must be 1 or more, got {value!r}")


def _reach(
    records: Records | None,
    panel: Panel,
    model: Model,
    layout: _Layout,
    window: int,
    every: int,
    input_size: int | None,
    jobs: int,
) -> Records | None:
    """Bring the records up to the origin of `window`: refitted, or moved on, or fitted for a first time."""
    active = layout.active(window)
    if len(active) == 0:
        return None
    here = layout.origins[window]
    known = layout.active(window - 1) if window else active[:0]
    if window % every == 0 or records is None:
        return model.fit(_past(panel, active, here, input_size), jobs)
    since = cut(panel, known, layout.origins[window - 1][known], here[known])
    going = np.flatnonzero(~_holes(since))
    new = np.setdiff1d(active, known[going])
    if len(new) == len(active):
        return model.fit(_past(panel, active, here, input_size), jobs)
    if len(going) < len(known):
        records, since = take(records, going), since.take(going)
    moved = advance(records, since)
    if len(new) == 0:
        return moved
    fitted = model.fit(_past(panel, new, here, input_size), jobs)
    where = [np.searchsorted(active, rows).astype(np.int64) for rows in (known[going], new)]
    return place([moved, fitted], where, len(active))


def _holes(panel: Panel) -> Bool:
    """(n,) whether a regressor is missing at some point: a record cannot be moved on over that."""
    holes = np.zeros(panel.n_series, dtype=np.bool_)
    series = np.repeat(np.arange(panel.n_series), panel.lengths)
    for column in panel.exog.values():
        holes[series[np.isnan(column)]] = True
    return holes


def _past(panel: Panel, rows: I64, origins: I64, input_size: int | None) -> Panel:
    last = origins[rows]
    first = np.zeros_like(last) if input_size is None else np.maximum(last - input_size, 0)
    return cut(panel, rows, first, last)


def _future(panel: Panel, layout: _Layout, window: int) -> dict[str, F64] | None:
    if not panel.exog:
        return None
    rows = layout.active(window)
    points = _points(panel, rows, layout.origins[window][rows], layout.h)
    return {name: column[points] for name, column in panel.exog.items()}


def _points(panel: Panel, series: I64, origin: I64, h: int) -> I64:
    """(w, h) positions in the values of the panel."""
    points: I64 = (panel.indptr[series] + origin)[:, None] + np.arange(h)
    return points


def _notes(layout: _Layout, n_windows: int) -> dict[int, str]:
    counts = layout.counts
    lengths = layout.origins[-1] + layout.h
    return {
        int(i): f"{lengths[i]} points are enough for {counts[i]} of {n_windows} windows"
        for i in np.flatnonzero(counts < n_windows)
    }
