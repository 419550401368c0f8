"""Stage backtest: the models against the baselines on rolling origins, scored by series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.train.atomic import write_parquet
from pipelines.train.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from forecast.models.panel import Panel
    from forecast.models.spec import Model
    from forecast.selection.backtest import BacktestResult
    from forecast.types import F64, I64

POINT_SCORES: Final = ("mae", "rmse", "smape", "mase", "rmsse")
INTERVAL_SCORES: Final = ("crps", "coverage", "msis")


def backtest(work: Work) -> dict[str, Any]:
    """Score every partition that is not done; 0 windows leave the stage out."""
    if not work.job.windows:
        return {"models": {}, "n_scored": 0}

    def part(k: int) -> None:
        if not scores_file(work, k).exists():
            _score_part(work, k, work.panel(k))

    for _ in work.each_part("backtest", part):
        pass
    scores = _all_scores(work)
    return {
        "models": {str(name): _fleet(group) for name, group in scores.groupby("model", sort=False)},
        "n_scored": int(scores[work.job.id_col].nunique()),
    }


def scores_file(work: Work, k: int) -> Path:
    """Path of the scores of partition `k`."""
    return work.file("backtest", f"part-{k:05d}.parquet")


def score_panel(
    panel: Panel, models: Sequence[Model], job_h: int, windows: int, season_length: int,
    levels: Sequence[float], jobs: int,
) -> pd.DataFrame:  # fmt: skip
    """Return one row a series and model: ``id, model, n_windows`` and a column a score.

    A score is the mean over the windows of a series that have an observation. Series that are too short for a
    window have no row.
    """
    import pandas as pd

    from forecast.selection.backtest import backtest as roll
    from forecast.selection.metrics import ragged_training_scale

    if int(panel.lengths.max()) <= job_h:
        return pd.DataFrame({"id": [], "model": [], "n_windows": []})
    result = roll(panel, models, job_h, windows, levels=levels, jobs=jobs)
    first = panel.indptr[result.series]
    last = first + result.origin
    scale, squared = (ragged_training_scale(panel.values, first, last, season_length, p) for p in (1, 2))
    return pd.concat([_rows(result, model.alias, scale, squared) for model in models], ignore_index=True)


def _rows(result: BacktestResult, alias: str, scale: F64, squared: F64) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from forecast.selection.scoring import Windows, find_metric

    windows = Windows(
        result.y, result.mean[alias], result.levels, result.lo[alias], result.hi[alias], scale, squared
    )
    seen = (~np.isnan(result.y)).any(axis=1)
    series = np.unique(result.series)
    where = np.searchsorted(series, result.series).astype(np.int64)
    columns: dict[str, Any] = {"id": result.panel.ids[series], "model": alias}
    columns["n_windows"] = np.bincount(where, weights=seen).astype(np.int64)
    with np.errstate(invalid="ignore", over="ignore"):  # values of 1e300, whose squares are infinite
        for name in (*POINT_SCORES, *(INTERVAL_SCORES if result.levels else ())):
            metric = find_metric(name)
            known = np.asarray(seen & ~np.isnan(scale) if metric.needs_scale else seen)
            for row, score in metric.score(windows).items():
                columns[row] = _mean(
                    where, np.where(known, np.asarray(score), 0.0), known.astype(np.float64), len(series)
                )
    return pd.DataFrame(columns)


def _mean(where: I64, score: F64, known: F64, n: int) -> F64:
    import numpy as np

    count = np.bincount(where, weights=known, minlength=n)
    mean: F64 = np.bincount(where, weights=score, minlength=n) / np.where(count > 0, count, np.nan)
    return mean


def _score_part(work: Work, k: int, panel: Panel) -> None:
    from pipelines.train.inputs import to_arrow

    job = work.job
    models = [*work.models(), *work.baselines()]
    frame = score_panel(
        panel, models, job.horizon, job.windows, work.season_length, job.levels, work.jobs
    ).rename(columns={"id": job.id_col})
    write_parquet(scores_file(work, k), to_arrow(frame))


def _all_scores(work: Work) -> pd.DataFrame:
    import pandas as pd

    frames = [pd.read_parquet(scores_file(work, k)) for k in range(work.n_parts)]
    full = [frame for frame in frames if len(frame)]
    return pd.concat(full, ignore_index=True) if full else frames[0]


def _fleet(scores: pd.DataFrame) -> dict[str, float]:
    """Mean, median and 90th percentile over series; what no series has is left out."""
    import numpy as np

    found = {}
    for name in scores.columns[3:]:
        values = scores[name].to_numpy(dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            found[f"{name}_mean"] = float(values.mean())
            found[f"{name}_p50"] = float(np.quantile(values, 0.5))
            found[f"{name}_p90"] = float(np.quantile(values, 0.9))
    return found
