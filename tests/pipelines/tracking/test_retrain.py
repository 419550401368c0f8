"""A retrain in MLflow: one run a job of the queue, beside the trainings, the same run as its version's."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pandas as pd
import pytest

from pipelines.errors import TrackingError
from pipelines.tracking import Candidate, RetrainSummary, Tracker, log_job, log_retrain, runs
from pipelines.tracking.mirroring import FleetTold, VersionTold, mirror_fleet

RETRAIN = RetrainSummary(
    job=12,
    fleet="again",
    outcome="shadow",
    reason="significant gain",
    parent_version="ab" * 32,
    version="ef" * 32,
    params={"trigger": "drift", "horizon": 6, "windows": 4},
    metrics={"mase_mean": 0.8, "champion_mase_mean": 1.0, "p_value": 0.01, "n_events": 3, "n_refit": 2},
    candidates=(
        Candidate("challenger", {}, {"mase_mean": 0.8}),
        Candidate("champion", {}, {"mase_mean": 1.0}),
    ),
    evidence={"p": 0.01, "odd": float("nan"), "losses": [1.0, float("inf")]},
    digest="12" * 32,
)

pytestmark = [
    pytest.mark.ops,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]"),
]


@pytest.fixture(scope="module")
def tracker(uri):
    with Tracker(uri) as started:
        yield started


def test_it_lies_beside_the_trainings_with_its_evidence(ask, uri, tracker, job, tmp_path):
    trained = log_job(replace(job, fleet="again"), uri, 120, tracker=tracker)
    table = pd.DataFrame({"unique_id": ["a"], "model": ["challenger"], "mase": [0.8]})
    table.to_parquet(tmp_path / "judged.parquet")
    told = replace(RETRAIN, parent_run_id=trained.run_id, scores=str(tmp_path / "judged.parquet"))
    run_id = log_retrain(told, uri, 120, tracker=tracker)
    assert log_retrain(told, uri, 120, tracker=tracker) == run_id
    found = ask(
        uri,
        f"""
run = client.get_run({run_id!r})
client.download_artifacts({run_id!r}, "", {str(tmp_path)!r})
below = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
t = run.data.tags
found = [run.info.run_name, run.info.status, run.data.params, run.data.metrics, "mlflow.parentRunId" in t,
     t["forecast.outcome"], t["forecast.parent_run"], t["forecast.version"], t["mlflow.note.content"],
     sorted(r.info.run_name for r in below), len(run.inputs.dataset_inputs)]
""",
    )
    params = {"trigger": "drift", "horizon": "6", "windows": "4"}
    assert found == [
        "retrain-12", "FINISHED", params, RETRAIN.metrics, False, "shadow", trained.run_id, "ef" * 32,
        "shadow: significant gain", ["challenger", "champion"], 1,
    ]  # fmt: skip
    assert json.loads((tmp_path / "evidence.json").read_text())["odd"] == "nan"
    assert (tmp_path / "series" / "scores.parquet").exists()
    shown = runs(uri, "again", tracker=tracker)
    assert dict(zip(shown["job_id"], shown["kind"], strict=True)) == {
        "retrain-12": "retrain",
        "night-1": "job",
    }


def test_the_outcome_of_later_is_told_and_nothing_else_changes(ask, uri, tracker):
    first = replace(RETRAIN, fleet="later")
    run_id = log_retrain(first, uri, 120, tracker=tracker)
    promoted = replace(first, outcome="promoted", metrics={"mase_mean": 9.0})
    assert log_retrain(promoted, uri, 120, tracker=tracker) == run_id
    code = f"""
run = client.get_run({run_id!r})
found = [run.data.tags["forecast.outcome"], run.data.metrics["mase_mean"]]
"""
    assert ask(uri, code) == ["promoted", 0.8]


@pytest.mark.parametrize("mirrored_first", [True, False])
def test_the_run_of_its_version_is_the_same_run(uri, tracker, job, mirrored_first):
    fleet = f"one-{mirrored_first}"
    version = VersionTold(
        RETRAIN.version, f"{fleet}@2", job.model_folder, None, None, {"models": "AR", "ver": 2}, {}, 6
    )
    told, retrain = FleetTold(fleet, (version,), version.version), replace(RETRAIN, fleet=fleet)

    def mirrored() -> str:
        return mirror_fleet(told, uri, 120, tracker=tracker)[version.version].run_id

    if mirrored_first:
        run_id = mirrored()
        assert log_retrain(retrain, uri, 120, tracker=tracker) == run_id
    else:
        run_id = log_retrain(retrain, uri, 120, tracker=tracker)
        assert mirrored() == run_id
    assert list(runs(uri, fleet, tracker=tracker)["job_id"]) == ["retrain-12"]


def test_one_without_a_version_is_logged_too(uri, tracker):
    rejected = replace(RETRAIN, fleet="rejected", version=None, outcome="rejected", digest=None)
    assert log_retrain(rejected, uri, 120, tracker=tracker)
    assert list(runs(uri, "rejected", tracker=tracker)["version"]) == [""]


def test_mlflow_down_is_told_and_may_go_better():
    with pytest.raises(TrackingError) as caught:
        log_retrain(RETRAIN, "http://127.0.0.1:9", timeout_s=30)
    assert caught.value.retriable
