"""Tables of scores from frames of forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.api.arguments import check_count
from forecast.api.cross_validation import CrossValidation, Training
from forecast.api.cross_validation import cross_validation as cross_validation
from forecast.api.window_table import CUTOFF, WindowTable, as_frame, window_table
from forecast.errors import InputError, UnknownSeriesError
from forecast.models.frames import to_panel
from forecast.models.freq import default_season_length
from forecast.selection.metrics import ragged_training_scale
from forecast.selection.scoring import Metric, Windows, find_metric
from forecast.types import F64, I64, Bool


def evaluate(
    cv: Any,  # noqa: ANN401  # a pandas frame, or what turns into one
    metrics: Any = None,  # noqa: ANN401  # a function, a name, a Metric, or several
    season_length: int | None = None,
    train_df: Any = None,  # noqa: ANN401  # a pandas frame, or what turns into one
    by: str | Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    freq: Any = None,  # noqa: ANN401  # whatever pandas takes for an offset, or an int
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
) -> pd.DataFrame:
    """Score the forecasts of every model.

    Parameters
    ----------
    cv
        What `cross_validation` returned, or any frame with ``unique_id, ds, y``, a column a model and, for
        several windows a series, ``cutoff``: the last time that was known.
    metrics
        Of `forecast`: ``[fc.mase, fc.smape]``, or their names. Left out: mae, rmse, smape and mase, and crps
        and coverage where there are intervals. Scores of intervals have a row a level (``coverage-95``),
        `pinball` has one a quantile.
    season_length
        m of the scale of `mase`, `rmsse` and `msis`; left out, that of the cross-validation, or of the
        frequency.
    train_df
        Data up to the cutoffs, needed by these three where `cv` is not fresh from `cross_validation`
        (reading it from a file loses the data it carried). Rows after a cutoff are not used for it.
    by
        None: a row a metric, the mean over series of the mean over their windows. ``"unique_id"``,
        ``"cutoff"`` or both: a row for each of them.
    models
        Columns to score; left out, every numeric column that is nothing else.
    freq
        Of `train_df`; inferred when left out.
    id_col, time_col, target_col
        Names of the columns, where `cv` is a frame that does not know them.

    Returns
    -------
    DataFrame
        The columns of `by`, ``metric``, and a column a model. ``attrs["left_out"]`` counts by metric the
        windows that no model can have a score for: those without an observation, or whose training series
        has a scale of zero. A forecast that is missing where there is an observation makes the mean NaN.

    Raises
    ------
    InputError
        An unknown metric, a missing column, a scale is needed and there is no training data, or intervals are
        needed and there are none.
    """
    frame = as_frame(cv)
    train = frame.train if isinstance(frame, CrossValidation) else None
    names = train.names if train else (id_col, time_col, target_col)
    keys = _keys(by, names[0])
    if season_length is not None:
        season_length = check_count("season_length", season_length)
    table = window_table(frame, names, models)
    if missing := [key for key in keys if key not in table.keys.columns]:
        raise InputError(f"by={missing[0]!r} needs a column {missing[0]!r} in the frame")
    wanted = _metrics(metrics, table)
    scale, squared = _scales(table, wanted, season_length, train, train_df, freq)
    scores = _scores(table, wanted, scale, squared)
    return _summary(table, scores, keys)


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Scores of all windows under one metric."""

    name: str
    by_model: F64
    """(w, models)"""
    defined: Bool
    """(w,) whether the window can have a score, whatever was forecast."""


def _keys(by: object, id_col: str) -> list[str]:
    given = [by] if isinstance(by, str) else list(by) if isinstance(by, (list, tuple)) else by
    if given is None:
        return []
    if not isinstance(given, list) or not set(given) <= {id_col, "unique_id", CUTOFF}:
        raise InputError(f"by must be None, {id_col!r}, {CUTOFF!r} or both, got {by!r}")
    return [CUTOFF if key == CUTOFF else id_col for key in given]


def _metrics(given: object, table: WindowTable) -> list[Metric]:
    intervals = any(table.levels(model) for model in table.models)
    if given is None:
        given = ["mae", "rmse", "smape", "mase", *(["crps", "coverage"] if intervals else [])]
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    wanted = [find_metric(metric) for metric in several]
    if not wanted:
        raise InputError("the list of metrics is empty; leave it out for the usual ones")
    for metric in wanted:
        if metric.needs_intervals and not intervals:
            raise InputError(
                f"{metric.name} needs intervals, and no model has them; pass level= to cross_validation"
            )
    return wanted


def _scales(
    table: WindowTable,
    metrics: list[Metric],
    season_length: int | None,
    train: Training | None,
    train_df: object,
    freq: object,
) -> tuple[F64, F64]:
    """Return (w,) mean absolute and mean squared seasonal difference before each window; NaN if unused."""
    needy = [metric.name for metric in metrics if metric.needs_scale]
    if not needy:
        unknown = np.full(table.n_windows, np.nan)
        return unknown, unknown
    if train_df is not None:
        train, rows = _training(table, as_frame(train_df), freq)
    elif train is not None:
        rows = train.find(table.keys)
    else:
        raise InputError(
            f"{needy[0]} divides by the errors of a naive forecast inside the training data, which this "
            "frame does not carry (a file does not keep them); pass train_df="
        )
    m = season_length or train.season_length
    first = train.panel.indptr[train.series[rows]]
    last = first + train.origin[rows]
    scale, squared = (ragged_training_scale(train.panel.values, first, last, m, power) for power in (1, 2))
    return scale, squared


def _training(table: WindowTable, past: pd.DataFrame, freq: object) -> tuple[Training, I64]:
    """Make a panel with one series a window: the rows of `past` up to its cutoff."""
    id_col, time_col, target_col = table.names
    column = CUTOFF if CUTOFF in table.keys.columns else None
    known = pd.Index(past[id_col].unique()) if id_col in past.columns else pd.Index([])
    unknown = table.keys.loc[~table.keys[id_col].isin(known), id_col]
    if len(unknown):
        raise UnknownSeriesError(
            f"train_df has no rows of {len(unknown)} windows, such as {unknown.iloc[0]!r}"
        )
    ends = table.keys.assign(_window=np.arange(table.n_windows))
    if column is None:
        ends["_end"] = table.frame.groupby(table.row)[time_col].min().to_numpy()
    else:
        ends["_end"] = ends[column]
    rows = past[[id_col, time_col, target_col]].merge(ends[[id_col, "_window", "_end"]], on=id_col)
    try:
        before = rows[time_col] < rows["_end"] if column is None else rows[time_col] <= rows["_end"]
    except TypeError as error:
        raise InputError(
            f"times of train_df are {past[time_col].dtype}, those of the forecasts {ends['_end'].dtype}; "
            "give both the same type"
        ) from error
    rows = rows.loc[before, ["_window", time_col, target_col]]
    if len(rows) == 0:
        raise InputError("train_df has no rows up to the cutoffs")
    panel, _ = to_panel(rows, freq, id_col="_window", time_col=time_col, target_col=target_col)
    where = pd.Index(panel.ids).get_indexer(pd.Index(np.arange(table.n_windows)))
    lengths = np.where(where < 0, 0, panel.lengths[where])
    training = Training(
        panel, table.names, default_season_length(panel.freq), table.keys, np.maximum(where, 0), lengths
    )
    return training, np.arange(table.n_windows)


def _scores(table: WindowTable, metrics: list[Metric], scale: F64, squared: F64) -> list[_Scores]:
    y = table.matrix(table.names[2])
    found: dict[str, dict[str, F64]] = {}
    needs_scale: dict[str, bool] = {}
    with np.errstate(invalid="ignore", over="ignore"):  # values of 1e300, whose squares are infinite
        for model in table.models:
            windows = Windows(
                y, table.matrix(model), table.levels(model), table.interval(model, "lo"),
                table.interval(model, "hi"), scale, squared,
            )  # fmt: skip
            for metric in metrics:
                for name, score in metric.score(windows).items():
                    found.setdefault(name, {})[model] = score
                    needs_scale[name] = metric.needs_scale
    seen = np.asarray((~np.isnan(y)).any(axis=1))
    scaled = seen & ~np.isnan(scale)
    absent = np.full(table.n_windows, np.nan)
    return [
        _Scores(
            name,
            np.column_stack([by_model.get(model, absent) for model in table.models]),
            scaled if needs_scale[name] else seen,
        )
        for name, by_model in found.items()
    ]


def _summary(table: WindowTable, scores: list[_Scores], keys: list[str]) -> pd.DataFrame:
    """Average over windows, then over series, or as `keys` say."""
    per_series, _ = _groups(table, [table.names[0]])
    group, labels = _groups(table, keys) if keys else (per_series, pd.DataFrame())
    blocks = np.stack([_mean_by(group, score) for score in scores], axis=1)
    if not keys:
        known = np.stack([np.bincount(group, weights=score.defined) > 0 for score in scores], axis=1)
        blocks = _mean_of_known(blocks, known)[None]
    n, k, _ = blocks.shape
    columns: dict[str, Any] = {name: np.repeat(labels[name].to_numpy(), k) for name in keys}
    columns["metric"] = [score.name for score in scores] * n
    for j, model in enumerate(table.models):
        columns[model] = blocks[:, :, j].ravel()
    out = pd.DataFrame(columns)
    out.attrs["left_out"] = {s.name: int((~s.defined).sum()) for s in scores if not s.defined.all()}
    return out


def _groups(table: WindowTable, keys: list[str]) -> tuple[I64, pd.DataFrame]:
    """Return (w,) the group of each window, and the groups: series as they appear, cutoffs by time."""
    groups = table.keys.groupby(keys, sort=keys == [CUTOFF], observed=True, dropna=False)
    group = np.asarray(groups.ngroup(), dtype=np.int64)
    _, first = np.unique(group, return_index=True)
    return group, table.keys.iloc[first][keys]


def _mean_by(group: I64, score: _Scores) -> F64:
    """Return (groups, models) means over the windows that can have a score; NaN where none can."""
    out = np.empty((int(group.max()) + 1, score.by_model.shape[1]))
    count = np.bincount(group, weights=score.defined, minlength=len(out))
    for j in range(out.shape[1]):
        total = np.bincount(
            group, weights=np.where(score.defined, score.by_model[:, j], 0.0), minlength=len(out)
        )
        out[:, j] = total / np.where(count > 0, count, np.nan)
    return out


def _mean_of_known(blocks: F64, known: Bool) -> F64:
    """Return (metrics, models) means of (series, metrics, models) over the series that have a score."""
    count = known.sum(axis=0)[:, None]
    total = np.where(known[:, :, None], blocks, 0.0).sum(axis=0)
    mean: F64 = total / np.where(count > 0, count, np.nan)
    return mean
