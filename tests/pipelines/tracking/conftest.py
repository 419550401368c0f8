"""A job to log, and the two places it is logged to: a SQLite file and a real server."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from pipelines.tracking import Candidate, JobSummary
from tests.services.mlflow_server import mlflow_server


def long_frame(n: int, t: int = 48) -> pd.DataFrame:
    months = pd.date_range("2015-01-01", periods=t, freq="MS")
    y = np.random.default_rng(0).normal(size=n * t).cumsum()
    ids = np.repeat([f"s{i:05d}" for i in range(n)], t)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(months, n), "y": y})


@pytest.fixture(scope="session")
def job(tmp_path_factory) -> JobSummary:
    folder = tmp_path_factory.mktemp("job")
    fitted = fc.fit(long_frame(5), model=fc.AR(2), freq="MS", n_jobs=1)
    fitted.save(folder / "model")
    fitted.report().to_parquet(folder / "per_series.parquet")
    (folder / "report.html").write_text("<p>report</p>")
    return JobSummary(
        job_id="night-1",
        fleet="shop",
        params={"model": "AR", "freq": "MS"},
        candidates=(
            Candidate("ar2", {"lags": 2}, {"mase_mean": 0.9}),
            Candidate("naive", {}, {"mase_mean": 1.0}),
        ),
        metrics={"mase_mean": 0.9, "mase_skill": 0.1, "n_series": 5, "coverage_80": 0.78},
        version="ab" * 32,
        model_folder=str(folder / "model"),
        per_series=str(folder / "per_series.parquet"),
        dataset={
            "source": "postgresql://ann:secret@db/sales",
            "n_series": 5,
            "n_rows": 240,
            "digest": "cd" * 32,
            "freq": "MS",
        },
        horizon=6,
        champion=True,
        report=str(folder / "report.html"),
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(scope="session", params=["file", "server"])
def uri(request, tmp_path_factory) -> str:
    """Both stores: what holds for one holds for the other."""
    if request.param == "server":
        return request.getfixturevalue("server")
    return f"sqlite:///{tmp_path_factory.mktemp('file')}/mlflow.db"
