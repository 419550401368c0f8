"""A trained fleet of hourly series, ticks of its archive, and events of drift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pipelines.history.tick_files import TickFile
from pipelines.history.tick_rows import make_table
from pipelines.retrain.due import Counts, run_due
from pipelines.settings import Settings
from pipelines.store import NewEvent, Store, open_store
from pipelines.train.job import Job
from pipelines.train.run import run
from pipelines.train.run_folder import create
from tests.pipelines.retrain.fleet import START_MS, frame, values

FLEET = "plant"
IDS = ("p0", "p1", "p2")
POINTS = 240
HOUR_MS = 3_600_000


def settings_in(folder: Path, **more) -> Settings:
    return Settings(**{
        "store_url": f"sqlite:///{folder}/store.db",
        "tracking_uri": f"sqlite:///{folder}/mlflow.db",
        "model_root": folder / "models",
        "history_root": folder / "history",
        "run_root": folder / "runs",
        "shadow_ticks": 0,
        "retrain_backoff_s": 0.01,
        "jobs": 1,
    } | more)  # fmt: skip


@dataclass
class Plant:
    settings: Settings
    store: Store
    written: int = 0

    def train(self, data: pd.DataFrame | None = None, **more) -> None:
        """Train the fleet, which makes its first champion."""
        folder = self.settings.run_root.parent
        path = folder / "plant.parquet"
        (whole() if data is None else data).to_parquet(path, index=False)
        asked = {"models": ('AR {"lags": 2}',), "horizon": 6, "freq": "h", "windows": 1, "partition_size": 2}
        job = Job(FLEET, str(path), **(asked | more))
        run(create(self.settings.run_root, job, None), self.settings, open_store, None)

    def archive(self, columns: dict[str, np.ndarray], first: int = POINTS, **exog: np.ndarray) -> None:
        """Archive ticks of series from hour `first` on."""
        folder = self.settings.history_root / FLEET / "ticks"
        folder.mkdir(parents=True, exist_ok=True)
        for key, y in columns.items():
            ts = START_MS + HOUR_MS * (first + np.arange(len(y)))
            last = self.written + len(y) - 1
            offsets = self.written + np.arange(len(y))
            table = make_table([key] * len(y), ts, np.asarray(y, dtype=np.float64), offsets, exog)
            pq.write_table(table, folder / TickFile.written(0, self.written, last).name)
            self.written = last + 1

    def drift(self, *keys: str, name: str = "e") -> int:
        """Record an event of each series; return their job."""
        champion = self.store.champion(FLEET)
        version = champion.version.version if champion else "0" * 64
        events = [
            NewEvent(FLEET, version, key, "AR", "mean", START_MS, 9.0, 8.0, f"{name}-{key}") for key in keys
        ]
        return self.store.record_events(events).jobs[0]

    def run(self, **more) -> Counts:
        settings = more.pop("settings", self.settings)
        return run_due(settings, open_store, owner="worker-1", **more)

    def with_settings(self, **more) -> Settings:
        return self.settings.model_copy(update=more)

    def outcomes(self, **more) -> list[str]:
        return [one.outcome for one in self.run(**more).ended]


def whole(n: int = POINTS, ids=IDS) -> pd.DataFrame:
    return frame({key: values(i, n) for i, key in enumerate(ids)})


def shifted(key_seed: int, n: int, by: float, calm: int = 10) -> np.ndarray:
    """What comes after the training: about the old level for a while, and then `by` above it."""
    y = values(100 + key_seed, n)
    y[calm:] += by
    return y


__all__ = ["FLEET", "IDS", "POINTS", "Plant", "settings_in", "shifted", "whole"]
