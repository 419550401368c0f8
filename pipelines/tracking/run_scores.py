"""Fetch the per-series tables of runs from MLflow; in the process that has MLflow (`child`)."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import TrackingError
from pipelines.tracking.packing import SCORES
from pipelines.tracking.recording import CANDIDATE, CHAMPION, FLEET, JOB_ID, KIND, MODEL, connect
from pipelines.tracking.uri import shown

if TYPE_CHECKING:
    from mlflow.entities import FileInfo, Run
    from mlflow.tracking import MlflowClient

# What else makes scores incomparable: they are means over other windows.
BASIS: Final = ("horizon", "windows", "season_length", "freq")

_PARENT: Final = "mlflow.parentRunId"

# A name that can be no path out of the folder, whatever a server says.
_TABLE: Final = re.compile(r"series/[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.parquet")


def fetch(tracking_uri: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Download the table of each job that the runs belong to, into ``folder``; say what is known of them.

    A run is asked for by its id; ``against`` is a job id, or "champion", or None. The answer has ``runs``, by
    run id, ``jobs``, by the id of the job's run, and the ids of the run that is ``against`` and of the
    ``champion``.
    """
    client = connect(tracking_uri)
    champion = _champion(client, request["fleet"])
    against = _against(client, tracking_uri, request, champion)
    found = {run_id: client.get_run(run_id) for run_id in request["run_ids"]}
    if against is not None:
        found.setdefault(against, client.get_run(against))
    runs = {run_id: _of(run) for run_id, run in found.items()}
    jobs: dict[str, dict[str, Any]] = {}
    for each in runs.values():
        if each["job"] not in jobs:
            job = found.get(each["job"]) or client.get_run(each["job"])
            jobs[each["job"]] = _job(client, job, Path(request["folder"]), int(request["limit_bytes"]))
    return {"runs": runs, "jobs": jobs, "against": against, "champion": champion}


def _of(run: Run) -> dict[str, Any]:
    """Return to which job a run belongs, and which candidate it is; none for the job itself."""
    tags = run.data.tags
    if tags.get(KIND) == "candidate" and _PARENT in tags:
        return {"job": tags[_PARENT], "candidate": tags.get(CANDIDATE, "")}
    return {"job": run.info.run_id, "candidate": ""}


def _job(client: MlflowClient, run: Run, folder: Path, limit_bytes: int) -> dict[str, Any]:
    data = [each.dataset.digest for each in (run.inputs.dataset_inputs if run.inputs else ())]
    basis = {name: run.data.params.get(name, "") for name in BASIS}
    file, why = _table(client, run.info.run_id, folder, limit_bytes)
    return {
        "job_id": run.data.tags.get(JOB_ID, run.info.run_name or ""),
        "model": run.data.tags.get(MODEL, ""), "digest": data[0] if data else "", "basis": basis,
        "file": file, "why": why,
    }  # fmt: skip


def _table(client: MlflowClient, run_id: str, folder: Path, limit_bytes: int) -> tuple[str | None, str]:
    """Return the file of a run's table, or why there is none."""
    listed = [each for each in client.list_artifacts(run_id, "series") if _TABLE.fullmatch(each.path)]
    if not listed:
        return None, "the run has no table of its series"
    chosen: FileInfo = next((each for each in listed if each.path == f"series/{SCORES}"), listed[0])
    if chosen.file_size is not None and chosen.file_size > limit_bytes:
        size, most = chosen.file_size / 1e6, limit_bytes / 1e6
        return None, f"its table has {size:.0f} MB, more than {most:.0f} (--most-mb)"
    target = folder / run_id
    target.mkdir(exist_ok=True)
    with _no_file_over(limit_bytes):
        got = client.download_artifacts(run_id, chosen.path, str(target))
    return got, ""


@contextmanager
def _no_file_over(limit_bytes: int) -> Iterator[None]:
    """Let the system refuse a longer file: a server may send more than it announced."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _champion(client: MlflowClient, fleet: str) -> str | None:
    """Return the run of the version that the alias names; None while no version has it."""
    from mlflow.exceptions import MlflowException

    try:
        run_id = client.get_model_version_by_alias(fleet, CHAMPION).run_id
        return str(run_id) if run_id and client.get_run(run_id).info.lifecycle_stage == "active" else None
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _against(
    client: MlflowClient, tracking_uri: str, request: Mapping[str, Any], champion: str | None
) -> str | None:
    """Return the run that is asked for by job id; "champion" is the one that the alias names."""
    wanted = request["against"]
    if wanted is None:
        return None
    if wanted == CHAMPION:
        if champion is None:
            raise TrackingError(
                f"MLflow at {shown(tracking_uri)} names no champion of {request['fleet']!r}: log its "
                "training (forecast train --resume) or give a job id to --against",
                retriable=False,
            )
        return champion
    experiment = client.get_experiment_by_name(request["experiment"])
    found = [] if experiment is None else client.search_runs(
        [experiment.experiment_id],
        f"tags.`{JOB_ID}` = '{wanted}' and tags.`{FLEET}` = '{request['fleet']}' "
        f"and tags.`{KIND}` != 'candidate' and tags.`{KIND}` != 'bundle'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )  # fmt: skip
    return str(found[0].info.run_id) if found else None
