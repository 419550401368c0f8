"""Logging to a SQLite file and to a real server: the same rules for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pandas as pd
import pytest

import forecast as fc
from forecast.errors import InputError
from pipelines.errors import TrackingError
from pipelines.tracking import METRICS, Tracker, log_job, runs
from tests.pipelines.tracking.conftest import COMPLETE, ROOT, counts

# MLflow is looked for, not imported: the process that logs must not need it.
pytestmark = [
    pytest.mark.ops,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]"),
]


@pytest.fixture(scope="module")
def tracker(uri):
    with Tracker(uri) as started:
        yield started


@pytest.fixture(scope="module")
def logged(uri, tracker, job):
    return log_job(job, uri, 120, tracker=tracker)


def test_there_is_one_run_a_job_and_one_a_candidate(ask, uri, job, logged):
    code = """
runs = mlflow.search_runs(experiment_names=["forecast/shop"], output_format="list",
                          filter_string="tags.`forecast.job_id` = 'night-1'")
found = [[r.info.run_name, r.info.status, r.data.tags.get("mlflow.parentRunId"), r.data.params,
          r.data.metrics] for r in runs]
"""
    found = {name: rest for name, *rest in ask(uri, code)}
    assert found == {
        "night-1": ["FINISHED", None, {"model": "AR", "freq": "MS", "horizon": "6"}, job.metrics],
        "ar2": ["FINISHED", logged.run_id, {"lags": "2"}, {"mase_mean": 0.9}],
        "naive": ["FINISHED", logged.run_id, {}, {"mase_mean": 1.0}],
    }


def test_search_runs_sees_the_fixed_names_only(ask, uri, logged):
    code = 'found = list(mlflow.search_runs(experiment_names=["forecast/shop"]).columns)'
    metrics = {c.removeprefix("metrics.") for c in ask(uri, code) if c.startswith("metrics.")}
    assert metrics
    assert metrics <= set(METRICS)


def test_the_run_holds_table_report_and_data_without_a_password(ask, uri, job, logged, tmp_path):
    code = f"""
run = client.get_run({logged.run_id!r})
data = run.inputs.dataset_inputs
client.download_artifacts({logged.run_id!r}, "", {str(tmp_path)!r})
found = [[d.dataset.name, d.dataset.digest, d.dataset.source, json.loads(d.dataset.profile)] for d in data]
"""
    [[name, digest, source, profile]] = ask(uri, code)
    assert (name, digest) == ("shop", ("cd" * 18))
    assert "db/sales" in source
    assert "secret" not in source
    assert profile == {"n_series": 5, "n_rows": 240, "freq": "MS"}
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "series" / "per_series.parquet"), pd.read_parquet(job.per_series)
    )
    assert (tmp_path / "report" / "report.html").read_text() == "<p>report</p>"
    assert "secret" not in (tmp_path / "summary.json").read_text()
    assert not list((tmp_path / "model").rglob("*.pkl"))


def test_the_registered_model_predicts_what_the_stored_one_does(ask, uri, job, logged, tmp_path):
    code = f"""
model = mlflow.pyfunc.load_model("models:/shop@champion")
ask = pd.DataFrame({{"unique_id": ["s00000", "s00001", "s00002", "s00003", "s00004"]}})
model.predict(ask).to_parquet({str(tmp_path / "default.parquet")!r})
model.predict(ask, params={{"h": 3, "level": [50.0]}}).to_parquet({str(tmp_path / "asked.parquet")!r})
model.predict(ask.assign(h=2)).to_parquet({str(tmp_path / "own.parquet")!r})
s = model.metadata.signature
found = [s.inputs.input_names(), s.outputs.input_names(), [p.name for p in s.params.params],
         model.metadata.saved_input_example_info is not None,
         "python_model" in model.metadata.flavors["python_function"]]
"""
    inputs, outputs, params, has_example, pickled = ask(uri, code)
    assert inputs == ["unique_id", "h"]
    assert outputs == ["unique_id", "ds", "AR", "AR-lo-80", "AR-hi-80", "AR-lo-95", "AR-hi-95"]
    assert params == ["h", "level"]
    assert has_example
    assert not pickled
    stored = fc.load(job.model_folder)
    # Bit for bit: the same arrays through the same kernels.
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "default.parquet"), stored.predict(6, level=[80, 95])
    )
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "asked.parquet"), stored.predict(3, level=[50]))
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "own.parquet"), stored.predict(2, level=[80, 95])
    )


def test_a_second_time_changes_nothing(ask, uri, tracker, job, logged):
    assert log_job(job, uri, 120, tracker=tracker) == logged
    assert ask(uri, counts("night-1")) == {"night-1": COMPLETE}


STOPS = [
    "_job_run", "numbers", "_dataset", "candidates", "_candidate", "_model_version",
]  # fmt: skip


def killed_halfway(uri: str, jobs: list[tuple[str, str, str]]) -> None:
    """Begin each job (summary, step, before or after) in a process that ends there, as by kill -9."""
    code = f"""
import json, os, sys
from pipelines.tracking import packing, recording
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
packing.rehearse()  # imports what every attempt would import; nothing of the store is open yet
for summary, step, when in json.loads(sys.stdin.read()):
    pid = os.fork()
    if pid:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9, step
        continue
    real = getattr(recording, step)
    def dies(*args):
        if when == "after":
            real(*args)
        os._exit(9)
    setattr(recording, step, dies)
    recording.log({uri!r}, {{"summary": summary, "experiment": "forecast/shop"}})
    os._exit(0)
"""
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        input=json.dumps(jobs),
        text=True,
        env=environment,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_job_killed_halfway_is_completed(ask, uri, tracker, job, logged):
    cases = {f"halfway-{step}-{when}": (step, when) for step in STOPS for when in ("before", "after")}
    summaries = {name: replace(job, job_id=name) for name in cases}
    killed_halfway(uri, [(summaries[name].to_json(), *at) for name, at in cases.items()])
    for summary in summaries.values():
        first = log_job(summary, uri, 120, tracker=tracker)
        assert log_job(summary, uri, 120, tracker=tracker) == first
    assert ask(uri, counts(*cases)) == {name: COMPLETE for name in cases}


def test_twins_of_two_attempts_at_once_are_reduced_to_one(ask, uri, tracker, job):
    summary = replace(job, job_id="twins")
    code = """
e = client.get_experiment_by_name("forecast/shop").experiment_id
for kind, name in [("job", "-"), ("job", "-"), ("candidate", "ar2"), ("candidate", "ar2")]:
    client.create_run(e, tags={"forecast.job_id": "twins", "forecast.kind": kind, "forecast.candidate": name})
found = None
"""
    ask(uri, code)
    log_job(summary, uri, 120, tracker=tracker)
    assert ask(uri, counts("twins")) == {"twins": COMPLETE}


def test_the_alias_follows_the_champion(ask, uri, tracker, job, logged):
    code = 'found = client.get_model_version_by_alias("shop", "champion").version'
    challenger = log_job(replace(job, job_id="night-2", champion=False), uri, 120, tracker=tracker)
    log_job(job, uri, 120, tracker=tracker)
    assert str(ask(uri, code)) == logged.model_version
    promoted = log_job(replace(job, job_id="night-2", champion=True), uri, 120, tracker=tracker)
    assert promoted == challenger
    assert str(ask(uri, code)) == challenger.model_version
    log_job(job, uri, 120, tracker=tracker)  # a rollback
    assert str(ask(uri, code)) == logged.model_version


def test_runs_are_read_back(ask, uri, tracker, job, logged):
    foreign = """
e = client.get_experiment_by_name("forecast/shop").experiment_id
by_hand = client.create_run(e, run_name="by hand").info.run_id
client.log_metric(by_hand, "loss", 1.0)
halves = {"forecast.kind": "job", "forecast.fleet": "shop"}  # ours, but for its name and numbers
client.log_metric(client.create_run(e, run_name="odd", tags=halves).info.run_id, "mase_mean", float("nan"))
"""
    ask(uri, foreign)
    table = runs(uri, "shop", tracker=tracker)
    assert "by hand" not in set(table["job_id"])
    assert table.loc[table["job_id"] == "odd", "mase_mean"].isna().all()
    row = table[table["job_id"] == "night-1"].iloc[0]
    assert row["run_id"] == logged.run_id
    assert row["version"] == job.version
    assert row["params.model"] == "AR"
    assert row["mase_mean"] == 0.9
    assert len(runs(uri, "shop", last=1, tracker=tracker)) == 1
    assert set(runs(uri, "shop", candidates=True, tracker=tracker)["candidate"]) == {"ar2", "naive"}


def test_a_fleet_that_there_is_not_names_the_nearest(uri, tracker, logged):
    with pytest.raises(InputError, match="has no runs of 'shpo'; did you mean 'shop'"):
        runs(uri, "shpo", tracker=tracker)
    with pytest.raises(InputError, match="letters, digits"):
        runs(uri, "shop' or tags.x = 'y", tracker=tracker)


def test_nothing_is_left_where_the_job_ran(uri, job, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    log_job(job, uri, 120)
    assert not list(tmp_path.iterdir())
    assert dict(os.environ) == before
    assert "mlflow" not in sys.modules


@pytest.mark.parametrize("name", ["model_folder", "per_series", "report"])
def test_a_file_that_is_gone_is_no_reason_to_try_again(uri, tracker, job, name, tmp_path):
    summary = replace(job, job_id=f"gone-{name}", **{name: str(tmp_path / "gone")})
    with pytest.raises(TrackingError, match="gone") as caught:
        log_job(summary, uri, 120, tracker=tracker)
    assert not caught.value.retriable


def test_a_job_that_says_something_else_the_second_time_is_refused(uri, tracker, job):
    half = replace(job, job_id="half", per_series="/nowhere")
    with pytest.raises(TrackingError):
        log_job(half, uri, 120, tracker=tracker)
    with pytest.raises(TrackingError, match="param") as caught:
        log_job(replace(job, job_id="half", params={"model": "ARIMA"}), uri, 120, tracker=tracker)
    assert not caught.value.retriable
