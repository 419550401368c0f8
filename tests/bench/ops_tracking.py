"""Seconds to log a job of 10,000 series to MLflow: a SQLite file and a real lean server.

    python -m tests.bench.ops_tracking [--series N] [--rounds N] [--json FILE]

What the clock holds, medians of five each:

job_s      stage `track` of a job as `forecast train` runs it. MLflow's process was started with the job and
           loaded while it computed; what it still has to load is in the clock, and every job has a new one.
cold_s     `log_job` alone: the start of that process and MLflow's import are in the clock.
first_s    as cold_s, into a place that does not exist yet: the database is made as well. Once.
again_s    a job that is logged already.

The limit is held to the slowest job_s and to the number of runs; the others are told.
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
from pipelines.settings import load_settings
from pipelines.store import open_store
from pipelines.tracking import METRICS, Candidate, JobSummary, log_job, runs
from pipelines.train.job import Job
from pipelines.train.run import run
from pipelines.train.run_folder import create
from pipelines.train.tracking import ready_to_log
from tests.services.mlflow_server import mlflow_server

LIMIT_S = 5.0
CANDIDATES = 4
POINTS = 48


def panel(n: int) -> pd.DataFrame:
    months = pd.date_range("2015-01-01", periods=POINTS, freq="MS")
    y = np.random.default_rng(0).normal(size=n * POINTS).cumsum()
    ids = np.repeat([f"series_{i:07d}" for i in range(n)], POINTS)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(months, n), "y": y})


def a_summary(folder: Path, df: pd.DataFrame) -> JobSummary:
    """A job as it is logged: a fitted and stored model, and a table of a row a series and candidate."""
    fitted = fc.fit(df, model=fc.AR(2), freq="MS")
    fitted.save(folder / "model")
    report = fitted.report()
    pd.concat([report.assign(candidate=str(i)) for i in range(CANDIDATES)]).to_parquet(
        folder / "per_series.parquet"
    )
    some = {name: 1.0 for name in METRICS}
    n = len(report)
    return JobSummary(
        job_id="first",
        fleet="alone",
        params={"model": "AR", "freq": "MS"},
        candidates=tuple(Candidate(f"c{i}", {"lags": i}, some) for i in range(CANDIDATES)),
        metrics=some,
        version="ab" * 32,
        model_folder=str(folder / "model"),
        per_series=str(folder / "per_series.parquet"),
        dataset={"source": "bench", "n_series": n, "n_rows": n * POINTS, "digest": "cd" * 32, "freq": "MS"},
        horizon=12,
        champion=True,
    )


def seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def trained(out: Path, uri: str) -> dict[str, float]:
    """Stage `track`, and all, of one job with a store of its own: the same version is logged but once."""
    settings = load_settings(
        environ={}, store_url=f"sqlite:///{out}/forecast.db", run_root=out / "runs", tracking_uri=uri,
        model_root=out / "models", history_root=out / "history",
    )  # fmt: skip
    job = Job("bench", str(out.parent.parent / "panel.parquet"), models=('AR {"lags": 2}',), freq="MS")
    began = time.perf_counter()
    folder = create(settings.run_root, job)
    with ready_to_log(folder, settings) as log:
        outcome = run(folder, settings, open_store, log)
    if outcome.not_logged is not None:
        raise RuntimeError(outcome.not_logged)
    return {"job": (folder.facts("track") or {})["seconds"], "whole": time.perf_counter() - began}


def measure(summary: JobSummary, folder: Path, uri: str, place: str, rounds: int) -> dict[str, float]:
    first = seconds(lambda: log_job(summary, uri, 300))
    cold = [
        seconds(lambda i=i: log_job(replace(summary, job_id=f"cold{i}"), uri, 300)) for i in range(rounds)
    ]
    again = seconds(lambda: log_job(summary, uri, 300))
    jobs = []
    for i in range(rounds):
        (folder / place / str(i)).mkdir(parents=True)
        jobs.append(trained(folder / place / str(i), uri))
    logged, nested = len(runs(uri, "bench")), len(runs(uri, "bench", candidates=True))
    return {
        f"{place}_job_s": statistics.median(job["job"] for job in jobs),
        f"{place}_job_worst_s": max(job["job"] for job in jobs),
        f"{place}_whole_job_s": statistics.median(job["whole"] for job in jobs),
        f"{place}_cold_s": statistics.median(cold),
        f"{place}_first_s": first,
        f"{place}_again_s": again,
        f"{place}_runs_a_job": (logged + nested) / logged,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # As an installed package has it; without, every start compiles MLflow's sources again.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        df = panel(arguments.series)
        df.to_parquet(folder / "panel.parquet", index=False)
        summary = a_summary(folder, df)
        warm = f"sqlite:///{folder}/warm.db"
        log_job(summary, warm, 300)  # compiles what there is to compile
        found: dict[str, float] = {"n_series": arguments.series, "limit_s": LIMIT_S}
        found |= measure(summary, folder, f"sqlite:///{folder}/mlflow.db", "sqlite", arguments.rounds)
        with mlflow_server(folder) as url:
            found |= measure(summary, folder, url, "server", arguments.rounds)
    found["load_1min"] = os.getloadavg()[0]
    for key, value in found.items():
        print(f"{key:24s} {value:10.3f}")
    held = max(found["sqlite_job_worst_s"], found["server_job_worst_s"]) <= LIMIT_S
    # One a job and one a candidate: the model and three baselines.
    held &= max(found["sqlite_runs_a_job"], found["server_runs_a_job"]) <= 1 + CANDIDATES
    print("ok" if held else "MISSED")
    versions = {p: importlib.metadata.version(p) for p in ("mlflow", "sqlalchemy", "pandas", "numpy")}
    if arguments.json:
        arguments.json.write_text(json.dumps(found | {"held": held, "versions": versions}, indent=2))
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
