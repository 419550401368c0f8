"""One data set through the trainer, the store and MLflow."""

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

    from pipelines.settings import Settings
    from pipelines.train.job import Job
    from pipelines.train.tracking import LogJob

# Origins of the backtest, one horizon apart.
_WINDOWS: Final = 3
LEVELS: Final = (80.0, 95.0)


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
    not_logged: str | None = None
    """Why MLflow does not know of it."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where the demo keeps everything: the store, MLflow, models, one sub-folder a data set."""

    out: Path

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.out / 'forecast.db'}"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.out / 'mlflow.db'}"

    def settings(self) -> Settings:
        """Return settings that the surroundings have no say in."""
        from pipelines.settings import load_settings

        return load_settings(
            environ={}, store_url=self.store_url, tracking_uri=self.tracking_uri,
            model_root=self.out / "models", history_root=self.out / "history", run_root=self.out / "runs",
        )  # fmt: skip


def run_demo(out: Path, progress: Callable[[str], object] = lambda name: None) -> list[Outcome]:
    """Train every data set; files go to the folder `out`, one sub-folder a data set."""
    from functools import partial

    from pipelines.tracking import Tracker, log_job

    out.mkdir(parents=True, exist_ok=True)
    room, outcomes = Room(out), []
    with Tracker(room.tracking_uri) as tracker:  # one start of MLflow for all
        for dataset in DATASETS:
            progress(dataset.name)
            outcomes.append(run_dataset(dataset, room, partial(log_job, tracker=tracker)))
    return outcomes


def run_dataset(dataset: Dataset, room: Room, log_job: LogJob | None) -> Outcome:
    """Train on all but the last `h` points, and judge the forecasts by those."""
    import pandas as pd

    import forecast as fc
    from pipelines.store import open_store
    from pipelines.train.run import run
    from pipelines.train.run_folder import create

    began = time.perf_counter()
    out = room.out / dataset.name
    out.mkdir(parents=True, exist_ok=True)
    whole = dataset.read()
    train, test = whole.iloc[: -dataset.h], whole.iloc[-dataset.h :]
    settings = room.settings()
    folder = create(settings.run_root, _job(dataset, train, test, out))
    done = run(folder, settings, open_store, log_job)
    forecasts = pd.read_parquet(folder.file("forecasts.parquet"))
    scored = forecasts.merge(test[["unique_id", "ds", "y"]])
    held_out = _scores(
        fc.evaluate(scored, [fc.mase], dataset.season_length, train_df=train, freq=dataset.freq)
    )
    inside = fc.evaluate(scored, [fc.coverage], models=["AutoAR"]).set_index("metric")["AutoAR"]
    write_table(forecasts, out / "forecasts.csv")
    picture = draw(dataset, whole, forecasts, out / "forecast.png")
    return Outcome(
        dataset, pd.read_parquet(folder.file("quality.parquet")).iloc[0],
        _row(pd.read_parquet(folder.file("report.parquet")), "AutoAR"),
        {alias: scores["mase_mean"] for alias, scores in done.summary["backtest"].items()},
        float(inside["coverage-95"]), held_out, time.perf_counter() - began,
        tuple(path for path in (picture, out / "forecasts.csv", Path(done.summary["folder"])) if path),
        done.not_logged,
    )  # fmt: skip


def _job(dataset: Dataset, train: pd.DataFrame, test: pd.DataFrame, out: Path) -> Job:
    from pipelines.train.job import Job

    write_table(train, out / "input.parquet")
    if dataset.exog:
        write_table(test.drop(columns="y"), out / "future.parquet")
    seasonal = ("SeasonalNaive",) if dataset.season_length > 1 else ()
    return Job(
        fleet=dataset.name, input=str(out / "input.parquet"), 
        models=("AutoAR", "Naive", "Drift", *seasonal),
        horizon=dataset.h, freq=dataset.freq, season_length=dataset.season_length,
        levels=LEVELS, windows=_WINDOWS,
        exog=tuple(dataset.exog), future=str(out / "future.parquet") if dataset.exog else None,
    )  # fmt: skip


def _row(report: pd.DataFrame, alias: str) -> pd.Series[Any]:
    return report[report["model"] == alias].iloc[0]


def _scores(table: pd.DataFrame) -> dict[str, float]:
    row = table[table["metric"] == "mase"].iloc[0]
    return {str(name): float(row[name]) for name in table.columns if name != "metric"}
