from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.settings import load_settings
from pipelines.train.job import Job


def sales(n: int = 6, t: int = 40) -> pd.DataFrame:
    """n monthly series; the second has gaps, the last is constant."""
    rng = np.random.default_rng(7)
    y = 50 + rng.normal(size=(n, t)).cumsum(axis=1)
    y[-1] = 3.0
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i}" for i in range(n)], t),
            "ds": np.tile(pd.date_range("2020-01-01", periods=t, freq="MS"), n),
            "y": y.ravel(),
        }
    )
    return frame.drop(index=[t + 5, t + 6], errors="ignore").reset_index(drop=True)


@pytest.fixture
def room(tmp_path, monkeypatch):
    """An empty folder with one input, and nothing from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORECAST_CONFIG", "FORECAST_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    sales().to_parquet("sales.parquet", index=False)
    return tmp_path


@pytest.fixture
def settings(room):
    return load_settings(environ={}, jobs=1)


@pytest.fixture
def job():
    """Small partitions, a quick model."""
    return Job("sales", "sales.parquet", models=('AR {"lags": 2}',), horizon=3, windows=2, partition_size=4)
