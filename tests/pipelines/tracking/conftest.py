"""A job to log, and the two places it is logged to: a SQLite file and a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from pipelines.tracking import Candidate, JobSummary
from tests.services.mlflow_server import mlflow_server

ROOT = Path(__file__).parents[3]

# Runs code that it is sent, one piece a line, with `uri` and `client`; sends back what is left in `found`.
_ASKED = """
import json, os, sys, warnings
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
warnings.simplefilter("ignore")
import mlflow, mlflow.pyfunc
import pandas as pd
for line in sys.stdin:
    uri, code = json.loads(line)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    names = {"mlflow": mlflow, "pd": pd, "json": json, "uri": uri, "found": None}
    if "client." in code:  # it opens the file
        names["client"] = mlflow.MlflowClient(uri, uri)
    exec(code, names)
    print(json.dumps(names["found"]), file=answers, flush=True)
"""

Ask = Callable[[str, str], object]


@pytest.fixture(scope="session")
def ask():
    """Ask MLflow itself, in one process for all: it stays out of pytest, and loads once."""
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(ROOT)}
    environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    with subprocess.Popen(
        [sys.executable, "-c", _ASKED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:

        def asked(uri: str, code: str) -> object:
            process.stdin.write(json.dumps([uri, code]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, "MLflow's process ended; its last words are in the captured stderr"
            return json.loads(answer)

        yield asked
        process.stdin.close()


def counts(*jobs: str, fleet: str = "shop") -> str:
    """Code that finds runs, their states, model versions and inputs of jobs."""
    return f"""
e = client.get_experiment_by_name("forecast/{fleet}").experiment_id
versions = [v.tags["forecast.job_id"] for v in client.search_model_versions("name = '{fleet}'")]
found = {{}}
for job in {list(jobs)!r}:
    rows = client.search_runs([e], f"tags.`forecast.job_id` = '{{job}}'")
    inputs = sum(len(r.inputs.dataset_inputs) for r in rows)
    found[job] = [len(rows), sorted({{r.info.status for r in rows}}), versions.count(job), inputs]
"""


# A job of the fixture below that is logged once, with all that belongs to it.
COMPLETE = [3, ["FINISHED"], 1, 1]


def long_frame(n: int, t: int = 48) -> pd.DataFrame:
    months = pd.date_range("2015-01-01", periods=t, freq="MS")
    y = np.random.default_rng(0).normal(size=n * t).cumsum()
    ids = np.repeat([f"s{i:05d}" for i in range(n)], t)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(months, n), "y": y})


@pytest.fixture(scope="session")
def job(tmp_path_factory) -> JobSummary:
    return job_of(tmp_path_factory.mktemp("job"))


def job_of(folder: Path) -> JobSummary:
    """A job of five series, whose files lie in `folder`."""
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
