from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.settings import load_settings
from pipelines.store import open_store
from pipelines.train.job import Job
from pipelines.train.run_folder import create
from tests.pipelines.train.left import left, litter

RESUME = ("train", "--resume", "r-1", "--jobs", 1)


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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.ops)])
def dialect(request):
    return request.param


@pytest.fixture
def new_url(dialect, request):
    """Returns the URL of a store without tables, the SQLite one in the current folder."""
    if dialect == "sqlite":
        return lambda: "sqlite:///forecast.db"
    return request.getfixturevalue("postgres").new_database


def prepare(new_url, job: Job, run_id: str = "r-1") -> str:
    """Make the folder of a job and a store in the current folder; return the URL."""
    sales().to_parquet("sales.parquet", index=False)
    create(Path("runs"), job, run_id)
    url: str = new_url()
    if not url.startswith("sqlite"):
        with open_store(url) as store:
            store.upgrade()
    return url


@pytest.fixture
def whole(dialect, new_url, children, job, tmp_path_factory, monkeypatch, kept={}):  # noqa: B006  # kept between tests
    """What an undisturbed job leaves."""
    if dialect not in kept:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("whole"))
            url = prepare(new_url, job)
            code, said = children.run(*RESUME, "--store", url)
            assert code == 0, said
            kept[dialect] = left(url, "r-1")
            assert litter() == []
    return kept[dialect]
