"""What is written to MLflow, in an order that can stop anywhere and go on from there.

Every step looks first for what an earlier attempt left behind. Runs carry their tags from the moment they
exist, so an attempt that ended after "create run" is found again; the model version is made only when its
artifacts lie in place; the tag ``forecast.logged`` comes last.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from pipelines.errors import TrackingError
from pipelines.tracking.file_store import check_file
from pipelines.tracking.log import experiment_of
from pipelines.tracking.summary import METRICS, Candidate, JobSummary, Value
from pipelines.tracking.uri import shown, sqlite_file
from pipelines.tracking.view import experiment_tags

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

JOB_ID: Final = "forecast.job_id"
KIND: Final = "forecast.kind"
FLEET: Final = "forecast.fleet"
VERSION: Final = "forecast.version"
CANDIDATE: Final = "forecast.candidate"
MODEL: Final = "forecast.model"
"""Of a job: the candidate whose metrics the job's are."""

LOGGED: Final = "forecast.logged"
"""Set, to "complete", when nothing is missing."""

CHAMPION: Final = "champion"
MODEL_FOLDER: Final = "model"


class Job(Protocol):
    """A job that has runs of candidates: a training, a retrain."""

    @property
    def job_id(self) -> str: ...

    @property
    def fleet(self) -> str: ...

    @property
    def candidates(self) -> tuple[Candidate, ...]: ...


def connect(tracking_uri: str, write: bool = False) -> MlflowClient:
    """Return a client that reads no setting from elsewhere; a file is tried first, see `check_file`."""
    import mlflow
    from mlflow.tracking import MlflowClient

    path = sqlite_file(tracking_uri)
    if path is not None:
        check_file(path, write)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return MlflowClient(tracking_uri, tracking_uri)


def warm(tracking_uri: str, rehearse: bool) -> None:
    """Import what recording needs; with time to spare, also open the store and pack a small model once."""
    import mlflow.pyfunc  # noqa: F401

    from pipelines.tracking import packing

    if not rehearse:
        return
    path = sqlite_file(tracking_uri)
    if path is not None and path.exists():
        connect(tracking_uri).search_experiments(max_results=1)
    packing.rehearse()


def log(tracking_uri: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Record a job; return its run id and model version."""
    summary = JobSummary.from_json(request["summary"])
    client = connect(tracking_uri, write=True)
    experiment = experiment_id(client, tracking_uri, request["experiment"])
    run = _job_run(client, experiment, summary)
    if run.data.tags.get(LOGGED) != "complete":
        numbers(client, run, {"horizon": summary.horizon, **summary.params}, summary.metrics)
        client.log_inputs(run.info.run_id, [_dataset(summary)])
        candidates(client, experiment, run, summary)
    number = _model_version(client, run, summary)
    if summary.champion:
        client.set_registered_model_alias(summary.fleet, CHAMPION, number)
    if run.data.tags.get(LOGGED) != "complete":
        client.set_tag(run.info.run_id, LOGGED, "complete")
        client.set_terminated(run.info.run_id)
    return {"run_id": run.info.run_id, "model_version": number}


def experiment_id(client: MlflowClient, tracking_uri: str, name: str) -> str:
    """Return the id of an experiment, made if need be."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        path, place = sqlite_file(tracking_uri), None
        if path is not None:
            place = (path.parent / "mlflow-artifacts" / name).as_uri()
        try:
            told = experiment_tags(time.time_ns() // 1_000_000)
            return str(client.create_experiment(name, artifact_location=place, tags=told))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another job of the fleet was first
    return str(_active(tracking_uri, name, found).experiment_id)


def _active(tracking_uri: str, name: str, found: Experiment | None) -> Experiment:
    """Return the experiment; refuse one that was deleted, and what no MLflow server would send."""
    uri = shown(tracking_uri)
    if found is not None and found.lifecycle_stage == "deleted":
        restore = f"`MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {found.experiment_id}`"
        raise TrackingError(
            f"MLflow at {uri}: the experiment {name!r} was deleted; get it back with {restore}",
            retriable=False,
        )
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(f"MLflow at {uri} is no MLflow server; correct the address", retriable=False)
    return found


def _job_run(client: MlflowClient, experiment_id: str, summary: JobSummary) -> Run:
    """Return the one run of this job, new or left by an earlier attempt."""
    found = runs_of(client, experiment_id, summary, "job")
    for twin in found[1:]:  # of two attempts at once
        client.delete_run(twin.info.run_id)
    if found:
        return found[0]
    tags = job_tags(summary, "job") | {VERSION: summary.version, "mlflow.source.name": "forecast train"}
    if summary.candidates:
        tags[MODEL] = summary.candidates[0].name
    run: Run = client.create_run(experiment_id, tags=tags, run_name=summary.job_id)
    return run


def runs_of(client: MlflowClient, experiment_id: str, summary: Job, kind: str) -> list[Run]:
    """Return the runs of a job of one kind, the oldest first."""
    return list(
        client.search_runs(
            [experiment_id],
            f"tags.`{JOB_ID}` = '{summary.job_id}' and tags.`{KIND}` = '{kind}'",
            order_by=["attributes.start_time ASC"],
        )
    )


def job_tags(summary: Job, kind: str) -> dict[str, str]:
    return {JOB_ID: summary.job_id, KIND: kind, FLEET: summary.fleet, "mlflow.source.type": "JOB"}


def candidates(client: MlflowClient, experiment_id: str, parent: Run, summary: Job) -> None:
    """Make one nested run a candidate."""
    present: dict[str, Run] = {}
    for run in runs_of(client, experiment_id, summary, "candidate"):
        name = run.data.tags[CANDIDATE]
        if name in present:
            client.delete_run(run.info.run_id)
        else:
            present[name] = run
    for candidate in summary.candidates:
        found = present.get(candidate.name)
        if found is None or found.info.status != "FINISHED":
            _candidate(client, experiment_id, parent, summary, candidate, found)


def _candidate(
    client: MlflowClient,
    experiment_id: str,
    parent: Run,
    summary: Job,
    candidate: Candidate,
    run: Run | None,
) -> None:
    if run is None:
        tags = job_tags(summary, "candidate") | {
            CANDIDATE: candidate.name,
            "mlflow.parentRunId": parent.info.run_id,
        }
        run = client.create_run(experiment_id, tags=tags, run_name=candidate.name)
    numbers(client, run, candidate.params, candidate.metrics)
    client.set_terminated(run.info.run_id)


def numbers(
    client: MlflowClient, run: Run, params: Mapping[str, Value], metrics: Mapping[str, float]
) -> None:
    """Log params and metrics in one call; the same again changes nothing."""
    from mlflow.entities import Metric, Param

    # The time of the run, not of this call: MLflow keeps a metric once for each time it is given.
    when = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, when, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in params.items()],
    )


def _dataset(summary: JobSummary) -> Any:  # noqa: ANN401  # a DatasetInput
    from mlflow.entities import DatasetInput, InputTag

    from pipelines.tracking.packing import dataset

    return DatasetInput(dataset(summary), [InputTag("mlflow.data.context", "training")])


def _model_version(client: MlflowClient, run: Run, summary: JobSummary) -> str:
    """Return the number of the job's version of the registered model; make it if it is not there."""
    from mlflow.exceptions import MlflowException

    from pipelines.tracking.packing import pack

    found = sorted(
        client.search_model_versions(f"run_id = '{run.info.run_id}'"), key=lambda v: int(v.version)
    )
    for twin in found[1:]:
        client.delete_model_version(summary.fleet, twin.version)
    if found:
        return str(found[0].version)
    with tempfile.TemporaryDirectory() as folder:
        pack(summary, folder)
        client.log_artifacts(run.info.run_id, folder)
    try:
        client.create_registered_model(summary.fleet, description=f"Forecasts of the fleet {summary.fleet}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        summary.fleet,
        source=f"{run.info.artifact_uri}/{MODEL_FOLDER}",
        run_id=run.info.run_id,
        tags={JOB_ID: summary.job_id, VERSION: summary.version},
    )
    return str(made.version)


def runs(tracking_uri: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the runs of an experiment, the newest first, as rows; or, when it is not there, all fleets."""
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(request["experiment"])
    if experiment is None:
        return {"rows": [], "fleets": _fleets(client)}
    _active(tracking_uri, request["experiment"], experiment)
    # MLflow knows no "or": jobs are trainings and retrains, whatever is no candidate and no bundle.
    kinds = f"tags.`{KIND}` != 'candidate' and tags.`{KIND}` != 'bundle'"
    if request["candidates"]:
        kinds = f"tags.`{KIND}` = 'candidate'"
    found: Iterable[Run] = client.search_runs(
        [experiment.experiment_id],
        f"{kinds} and tags.`{FLEET}` = '{request['fleet']}'",
        max_results=request["last"],
        order_by=["attributes.start_time DESC"],
    )
    return {"rows": [_row(run) for run in found], "fleets": None}


def _fleets(client: MlflowClient) -> list[str]:
    """Return the fleets that have an experiment of the usual name."""
    prefix = experiment_of("")
    found = client.search_experiments(filter_string=f"name LIKE '{prefix}%'")
    return sorted(each.name.removeprefix(prefix) for each in found)


def _row(run: Run) -> dict[str, Any]:
    tags = run.data.tags
    return {
        "job_id": tags.get(JOB_ID, run.info.run_name or ""),
        "candidate": tags.get(CANDIDATE, ""),
        "kind": tags.get(KIND, ""),
        "run_id": run.info.run_id,
        "started_ms": run.info.start_time,
        "status": run.info.status,
        "version": tags.get(VERSION, ""),
        "params": dict(run.data.params),
        "metrics": {name: run.data.metrics[name] for name in METRICS if name in run.data.metrics},
    }
