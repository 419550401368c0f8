"""Cross-validation by rolling origin: frame in, frame out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.api.arguments import (
    check_count,
    check_horizon,
    check_jobs,
    check_levels,
    check_models,
    check_takes_exog,
    resolve_models,
)
from forecast.api.reading import read_panel
from forecast.api.window_table import CUTOFF
from forecast.errors import InputError
from forecast.models.clock import stamps
from forecast.models.freq import default_season_length
from forecast.models.output import id_column
from forecast.models.panel import Panel
from forecast.models.rows import Duplicates
from forecast.models.schema import Schema
from forecast.selection.backtest import BacktestResult, backtest
from forecast.types import I64


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """The data behind the windows of a cross-validation: what scaled scores are scaled by."""

    panel: Panel
    names: tuple[str, str, str]
    """Columns of the id, the time and the observation."""
    season_length: int
    keys: pd.DataFrame
    """(w, 2) id and cutoff."""
    series: I64
    """(w,) position in `panel`."""
    origin: I64
    """(w,) points up to the cutoff."""

    def find(self, keys: pd.DataFrame) -> I64:
        """Rows of the windows `keys`; InputError where one is unknown."""
        names = [self.names[0], CUTOFF]
        if CUTOFF not in keys.columns:
            raise InputError("the frame has lost its column 'cutoff'; pass train_df=")
        rows = pd.MultiIndex.from_frame(self.keys[names]).get_indexer(pd.MultiIndex.from_frame(keys[names]))
        if (rows < 0).any():
            lost = tuple(keys[names].iloc[int(np.argmax(rows < 0))])
            raise InputError(f"the window {lost} is not of this cross-validation; pass train_df=")
        return np.asarray(rows, dtype=np.int64)


class CrossValidation(pd.DataFrame):
    """A frame ``unique_id, ds, cutoff, y, <Model>, <Model>-lo-95, <Model>-hi-95, ...``.

    It carries the data before the cutoffs, so that `evaluate` can scale errors by them. Rows may be
    selected and columns added; what is read back from a file, or concatenated, carries nothing.
    """

    _metadata = ["train", "notes"]  # noqa: RUF012  # pandas reads this list
    train: Training | None = None
    notes: tuple[str, ...] = ()
    """Sentences about series that are too short for some windows."""

    @property
    def _constructor(self) -> type[CrossValidation]:
        return CrossValidation


def cross_validation(
    df: Any,  # noqa: ANN401  # a pandas frame, or what turns into one
    model: Any = None,  # noqa: ANN401  # a model, or several
    h: int = 1,
    n_windows: int = 1,
    step_size: int | None = None,
    refit: bool | int = True,
    level: Any = (80, 95),  # noqa: ANN401  # a number, several, or None
    freq: Any = None,  # noqa: ANN401  # whatever pandas takes for an offset, or an int
    exog: Sequence[str] = (),
    season_length: int | None = None,
    input_size: int | None = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    duplicates: Duplicates = "raise",
    n_jobs: int = 1,
    progress: bool | Callable[[int, int], None] = False,
) -> CrossValidation:
    """Forecast the last windows of every series from what came before them.

    Parameters
    ----------
    df
        Long frame ``unique_id, ds, y`` and the columns of `exog`; pandas, or an Arrow table.
    model
        One model or a list; left out, `AutoAR`.
    h
        Points of a window.
    n_windows, step_size
        How many windows, and the points from one to the next (left out: h). The last window ends with the
        series. A series too short for all of them contributes the last ones, one too short for any
        contributes no rows; both are named in ``notes`` of the result.
    refit
        True: fit at every window. False: fit once, and move the model on over the data that follow. k: fit at
        every k-th window. A series with a gap in a regressor since the last window is fitted again.
    level
        Of the intervals, in percent; None for none.
    freq
        Frequency of the time column; inferred when left out.
    exog
        Columns used as regressors. Over a window their values are taken from `df`: they count as known in
        advance.
    season_length
        For models that leave it open, and for `evaluate`; left out, from the frequency.
    input_size
        Fit on at most this many points before a cutoff.
    id_col, time_col, target_col
        Names of the columns.
    duplicates
        ``"raise"``, ``"last"`` or ``"mean"``: what to do with two rows for one (id, time).
    n_jobs
        Threads; -1: all cores.
    progress
        True writes a line to the standard error stream; a function is called with fits done and fits in all.

    Returns
    -------
    CrossValidation
        ``cutoff`` is the last time that was known. Times of the grid that `df` lacks have NaN in ``y``.

    Raises
    ------
    InputError
        An argument makes no sense (before any work), the data cannot be used, or no series is longer than h.
    """
    h, levels = check_horizon(h), check_levels(level)
    n_windows, n_jobs = check_count("n_windows", n_windows), check_jobs(n_jobs)
    step_size = None if step_size is None else check_count("step_size", step_size)
    input_size = None if input_size is None else check_count("input_size", input_size)
    season = None if season_length is None else check_count("season_length", season_length)
    refit = refit if isinstance(refit, bool) else check_count("refit", refit)
    for one in check_models(model):
        if one.alias in (id_col, time_col, target_col, CUTOFF):
            raise InputError(
                f"a model is called {one.alias!r}, which is a column of the result; give it an alias="
            )
    check_takes_exog(check_models(model), exog)
    panel, schema = read_panel(df, freq, exog, id_col, time_col, target_col, duplicates)
    season = season or default_season_length(panel.freq)
    models = resolve_models(model, season)
    tell = (_line if progress else None) if isinstance(progress, bool) else progress
    result = backtest(panel, models, h, n_windows, step_size, refit, levels, input_size, n_jobs, tell)
    return _to_frame(result, schema, season)


def _to_frame(result: BacktestResult, schema: Schema, season_length: int) -> CrossValidation:
    panel, (w, h) = result.panel, result.y.shape
    start = panel.start[result.series]
    cutoff = stamps(panel.freq.times(start, result.origin - 1), panel.freq, schema)
    points = panel.freq.times(start[:, None], result.origin[:, None] + np.arange(h)).ravel()
    ids = id_column(panel.ids, 1, schema).take(result.series).reset_index(drop=True)
    every = np.repeat(np.arange(w), h)
    columns: dict[str, Any] = {
        schema.id_col: ids.take(every).reset_index(drop=True),
        schema.time_col: stamps(points, panel.freq, schema),
        CUTOFF: cutoff.take(every).reset_index(drop=True),
        schema.target_col: result.y.ravel(),
    }
    for name, mean in result.mean.items():
        columns[name] = mean.ravel()
        for i, level in enumerate(result.levels):
            columns[f"{name}-lo-{level:g}"] = result.lo[name][:, i].ravel()
            columns[f"{name}-hi-{level:g}"] = result.hi[name][:, i].ravel()
    keys = pd.DataFrame({schema.id_col: ids, CUTOFF: cutoff})
    frame = CrossValidation(columns)
    names = (schema.id_col, schema.time_col, schema.target_col)
    frame.train = Training(panel, names, season_length, keys, result.series, result.origin)
    frame.notes = tuple(f"{panel.ids[i]}: {note}" for i, note in result.notes.items())
    return frame


def _line(done: int, total: int) -> None:
    """Rewrite one line of the standard error stream."""
    sys.stderr.write(f"\rcross-validation: {done} of {total} fits{'' if done < total else chr(10)}")
    sys.stderr.flush()
