"""What is written to MLflow of a retrain; in the process that has MLflow (`child`)."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.tracking.packing import SCORES
from pipelines.tracking.recording import (
    JOB_ID,
    KIND,
    MODEL,
    VERSION,
    candidates,
    connect,
    experiment_id,
    job_tags,
    numbers,
    runs_of,
)
from pipelines.tracking.retrain import RetrainSummary

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RETRAIN: Final = "retrain"

# Not `LOGGED`: that one speaks of the model, which is logged apart, maybe later (`mirror_run`).
EVIDENCE: Final = "forecast.evidence"

# MLflow shows this text on the page of a run.
_NOTE: Final = "mlflow.note.content"


def log(tracking_uri: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Record a retrain; return the id of its run."""
    summary = RetrainSummary.from_json(request["summary"])
    client = connect(tracking_uri, write=True)
    experiment = experiment_id(client, tracking_uri, request["experiment"])
    run = _run(client, experiment, summary)
    for name, value in _said(summary).items():  # the outcome may be another by now
        if run.data.tags.get(name) != value:
            client.set_tag(run.info.run_id, name, value)
    if run.data.tags.get(EVIDENCE) != "complete":
        _numbers(client, run, summary)
        _data(client, run, summary)
        candidates(client, experiment, run, summary)
        with tempfile.TemporaryDirectory() as folder:
            _pack(summary, Path(folder))
            client.log_artifacts(run.info.run_id, folder)
        client.set_tag(run.info.run_id, EVIDENCE, "complete")
        client.set_terminated(run.info.run_id)
    return {"run_id": run.info.run_id}


def _run(client: MlflowClient, experiment: str, summary: RetrainSummary) -> Run:
    """Return the one run of this retrain: left by an earlier attempt, made for its version, or new."""
    found = runs_of(client, experiment, summary, RETRAIN)
    for twin in found[1:]:  # of two attempts at once
        client.delete_run(twin.info.run_id)
    if not found and summary.version is not None:
        made = client.search_runs(
            [experiment],
            f"tags.`{KIND}` = '{RETRAIN}' and tags.`{VERSION}` = '{summary.version}'",
            order_by=["attributes.start_time ASC"],
        )
        found = [each for each in made if JOB_ID not in each.data.tags]
    if found:
        return found[0]
    tags = job_tags(summary, RETRAIN) | {"mlflow.source.name": "forecast retrain"} | _said(summary)
    run: Run = client.create_run(experiment, tags=tags, run_name=summary.job_id)
    return run


def _said(summary: RetrainSummary) -> dict[str, str]:
    """Return the tags that name a retrain, and say what came of it."""
    tags = {
        JOB_ID: summary.job_id, "forecast.outcome": summary.outcome,
        "forecast.parent_version": summary.parent_version, _NOTE: f"{summary.outcome}: {summary.reason}",
    }  # fmt: skip
    if summary.version is not None:
        tags[VERSION] = summary.version
    if summary.parent_run_id is not None:
        tags["forecast.parent_run"] = summary.parent_run_id
    if summary.candidates:
        tags[MODEL] = summary.candidates[0].name
    return tags


def _numbers(client: MlflowClient, run: Run, summary: RetrainSummary) -> None:
    """Log what the run has not: a param cannot be changed, and the first who told a metric measured it."""
    params = {name: value for name, value in summary.params.items() if name not in run.data.params}
    metrics = {name: value for name, value in summary.metrics.items() if name not in run.data.metrics}
    numbers(client, run, params, metrics)


def _data(client: MlflowClient, run: Run, summary: RetrainSummary) -> None:
    from mlflow.entities import DatasetInput, InputTag

    from pipelines.tracking.packing import told_dataset

    known = run.inputs.dataset_inputs if run.inputs else []
    if summary.digest is None or known:
        return
    data = told_dataset(summary.fleet, summary.digest, "archived ticks", {})
    client.log_inputs(run.info.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "judging")])])


def _pack(summary: RetrainSummary, folder: Path) -> None:
    """Put what is uploaded into `folder`, as it will lie in the run."""
    (folder / "evidence.json").write_text(
        json.dumps(dict(summary.evidence), indent=1, sort_keys=True), encoding="utf-8"
    )
    if summary.scores is not None:
        (folder / "series").mkdir()
        shutil.copy(summary.scores, folder / "series" / SCORES)
