"""One data set from check to forecast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.demo.datasets import DATASETS, Dataset
from pipelines.demo.pictures import draw
from pipelines.tables import write_table

if TYPE_CHECKING:
    import pandas as pd

    from forecast.models.spec import Model

# Origins of the backtest, one horizon apart.
_WINDOWS: Final = 3
LEVELS: Final = (80, 95)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the demo found out about one data set."""

    dataset: Dataset
    check: pd.Series[Any]
    """Row of `fc.stationarity`."""
    report: pd.Series[Any]
    """Row of `Fitted.report` for AutoAR."""
    mase: dict[str, float]
    """Mean absolute scaled error over the backtest, by model."""
    coverage: float
    """Share of the held-out points inside the 95 % interval of AutoAR."""
    held_out: dict[str, float]
    """Mean absolute scaled error over the points held out, by model."""
    seconds: float
    files: tuple[Path, ...]


def run_demo(out: Path, progress: Callable[[str], object] = lambda name: None) -> list[Outcome]:
    """Run every data set; files go to the folder `out`, one sub-folder a data set."""
    outcomes = []
    for dataset in DATASETS:
        progress(dataset.name)
        outcomes.append(run_dataset(dataset, out / dataset.name))
    return outcomes


def run_dataset(dataset: Dataset, out: Path) -> Outcome:
    """Check, backtest, fit, forecast the last `h` points, save."""
    import forecast as fc

    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    whole = dataset.read()
    train, test = whole.iloc[: -dataset.h], whole.iloc[-dataset.h :]
    check = fc.stationarity(train, dataset.freq, season_length=dataset.season_length).iloc[0]
    models = _models(dataset)
    cv = fc.cross_validation(
        train, models, h=dataset.h, n_windows=_WINDOWS, freq=dataset.freq, exog=dataset.exog,
        season_length=dataset.season_length, level=LEVELS,
    )  # fmt: skip
    fitted = fc.fit(train, models, dataset.freq, dataset.exog, season_length=dataset.season_length)
    future = test.drop(columns="y") if dataset.exog else None
    forecasts = fitted.predict(dataset.h, level=LEVELS, X_df=future)
    scored = forecasts.merge(test[["unique_id", "ds", "y"]])
    held_out = _scores(
        fc.evaluate(scored, [fc.mase], dataset.season_length, train_df=train, freq=dataset.freq)
    )
    inside = fc.evaluate(scored, [fc.coverage], models=["AutoAR"]).set_index("metric")["AutoAR"]
    fitted.save(out / "model")
    write_table(forecasts, out / "forecasts.csv")
    picture = draw(dataset, whole, forecasts, out / "forecast.png")
    return Outcome(
        dataset, check, fitted.report().iloc[0], _scores(fc.evaluate(cv, [fc.mase], dataset.season_length)),
        float(inside["coverage-95"]), held_out, time.perf_counter() - began,
        tuple(path for path in (picture, out / "forecasts.csv", out / "model") if path),
    )  # fmt: skip


def _models(dataset: Dataset) -> list[Model]:
    import forecast as fc

    seasonal = [fc.SeasonalNaive()] if dataset.season_length > 1 else []
    return [fc.AutoAR(), fc.Naive(), fc.Drift(), *seasonal]


def _scores(table: pd.DataFrame) -> dict[str, float]:
    row = table[table["metric"] == "mase"].iloc[0]
    return {str(name): float(row[name]) for name in table.columns if name != "metric"}
