"""Seconds to log a job of 10,000 series to MLflow: a SQLite file and a real lean server.

Run: ``python -m tests.bench.ops_tracking [--series N] [--json FILE]``. Medians of five jobs each.
"cold" counts the start of MLflow's process, "warm" has a `Tracker` that loaded while the job computed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import forecast as fc
from pipelines.tracking import METRICS, Candidate, JobSummary, Tracker, log_job, runs
from tests.services.mlflow_server import mlflow_server

LIMIT_S = 5.0
REPEAT = 5
CANDIDATES = 4


def a_job(folder: Path, n: int, t: int = 48) -> JobSummary:
    """A job of `n` monthly series, fitted and stored."""
    months = pd.date_range("2015-01-01", periods=t, freq="MS")
    y = np.random.default_rng(0).normal(size=n * t).cumsum()
    ids = np.repeat([f"series_{i:07d}" for i in range(n)], t)
    df = pd.DataFrame({"unique_id": ids, "ds": np.tile(months, n), "y": y})
    fitted = fc.fit(df, model=fc.AR(2), freq="MS")
    fitted.save(folder / "model")
    report = fitted.report()
    pd.concat([report.assign(candidate=str(i)) for i in range(CANDIDATES)]).to_parquet(
        folder / "per_series.parquet"
    )
    some = {name: 1.0 for name in METRICS}
    return JobSummary(
        job_id="bench",
        fleet="bench",
        params={"model": "AR", "freq": "MS"},
        candidates=tuple(Candidate(f"c{i}", {"lags": i}, some) for i in range(CANDIDATES)),
        metrics=some,
        version="ab" * 32,
        model_folder=str(folder / "model"),
        per_series=str(folder / "per_series.parquet"),
        dataset={"source": "bench", "n_series": n, "n_rows": n * t, "digest": "cd" * 32, "freq": "MS"},
        horizon=12,
        champion=True,
    )


def seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(job: JobSummary, uri: str, place: str) -> dict[str, float]:
    log_job(job, uri, 300)  # creates the database, compiles what there is to compile
    cold = [seconds(lambda i=i: log_job(replace(job, job_id=f"cold{i}"), uri, 300)) for i in range(REPEAT)]
    with Tracker(uri) as tracker:
        tracker.wait(300)
        warm = [
            seconds(lambda i=i: log_job(replace(job, job_id=f"warm{i}"), uri, 300, tracker=tracker))
            for i in range(REPEAT)
        ]
        again = seconds(lambda: log_job(replace(job, job_id="warm0"), uri, 300, tracker=tracker))
    jobs, nested = len(runs(uri, "bench")), len(runs(uri, "bench", candidates=True))
    return {
        f"{place}_cold_s": statistics.median(cold),
        f"{place}_warm_s": statistics.median(warm),
        f"{place}_again_s": again,
        f"{place}_runs_a_job": (jobs + nested) / jobs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # As an installed package has it; without, every start compiles MLflow's sources again.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        job = a_job(folder, arguments.series)
        found: dict[str, float] = {"n_series": arguments.series, "limit_s": LIMIT_S}
        found |= measure(job, f"sqlite:///{folder}/mlflow.db", "sqlite")
        with mlflow_server(folder) as url:
            found |= measure(job, url, "server")
    found["load_1min"] = os.getloadavg()[0]
    for key, value in found.items():
        print(f"{key:24s} {value:10.3f}")
    versions = {p: importlib.metadata.version(p) for p in ("mlflow", "sqlalchemy", "pandas", "numpy")}
    if arguments.json:
        arguments.json.write_text(json.dumps(found | {"versions": versions}, indent=2))
    return 0 if max(found["sqlite_warm_s"], found["server_warm_s"]) <= LIMIT_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
