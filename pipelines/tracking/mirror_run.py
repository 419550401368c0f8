"""What is written to MLflow of versions and aliases; in the process that has MLflow (`child`)."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.tracking.mirroring import VersionTold
from pipelines.tracking.recording import (
    CHAMPION,
    FLEET,
    KIND,
    LOGGED,
    MODEL_FOLDER,
    VERSION,
    connect,
    experiment_id,
    numbers,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHALLENGER: Final = "challenger"
_RETRAIN: Final = "retrain"


def mirror(tracking_uri: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Register versions and set aliases; return run id and number of each version."""
    told = request["told"]
    fleet: str = told["fleet"]
    versions = [VersionTold(**each) for each in told["versions"]]
    client = connect(tracking_uri, write=True)
    found: dict[str, tuple[str, str]] = {}
    registered = _registered(client, fleet)
    for each in versions:
        known = _known(registered, each)
        if known is None:
            experiment = experiment_id(client, tracking_uri, request["experiment"])
            known = _register(client, experiment, fleet, each, versions, found)
        found[each.version] = (str(known.run_id), str(known.version))
    for alias, version in ((CHAMPION, told["champion"]), (CHALLENGER, told["challenger"])):
        if version is not None:
            client.set_registered_model_alias(fleet, alias, found[version][1])
        elif found or _has_model(client, fleet):
            _drop_alias(client, fleet, alias)
    return {"versions": found}


def _registered(client: MlflowClient, fleet: str) -> dict[str, list[ModelVersion]]:
    """Return the model versions of a fleet by the version that they are of, the lowest number first."""
    found: dict[str, list[ModelVersion]] = {}
    page = client.search_model_versions(f"name = '{fleet}'")
    while True:
        for each in page:
            found.setdefault(each.tags.get(VERSION, ""), []).append(each)
        if not page.token:
            break
        page = client.search_model_versions(f"name = '{fleet}'", page_token=page.token)
    return {version: sorted(group, key=lambda each: int(each.version)) for version, group in found.items()}


def _known(registered: Mapping[str, list[ModelVersion]], told: VersionTold) -> ModelVersion | None:
    """Return the model version of a version: where the store says, or where an earlier attempt left it.

    The store may speak of another MLflow, or of one that was emptied since.
    """
    group = registered.get(told.version, [])
    for each in group:
        if str(each.version) == told.number:
            return each
    return group[0] if group else None


def _register(
    client: MlflowClient, experiment: str, fleet: str, told: VersionTold, versions: list[VersionTold],
    found: Mapping[str, tuple[str, str]],
) -> ModelVersion:  # fmt: skip
    from mlflow.exceptions import MlflowException

    run = _run(client, experiment, fleet, told)
    if run.data.tags.get(LOGGED) != "complete":
        # The run may be that of the retrain job: what it was told stays, for a param cannot be changed.
        params = {name: value for name, value in told.params.items() if name not in run.data.params}
        metrics = {
            name: value
            for name, value in told.metrics.items()
            if math.isfinite(value) and name not in run.data.metrics
        }
        numbers(client, run, params, metrics)
        with tempfile.TemporaryDirectory() as folder:
            _pack(fleet, told, versions, found, Path(folder))
            client.log_artifacts(run.info.run_id, folder)
        client.set_tag(run.info.run_id, LOGGED, "complete")
        client.set_terminated(run.info.run_id)
    try:
        client.create_registered_model(fleet, description=f"Forecasts of the fleet {fleet}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
    return client.create_model_version(
        fleet, source=source, run_id=run.info.run_id, tags={VERSION: told.version}
    )


def _run(client: MlflowClient, experiment: str, fleet: str, told: VersionTold) -> Run:
    """Return the one run of this version, new or left by an earlier attempt."""
    found = client.search_runs(
        [experiment],
        f"tags.`{KIND}` = '{_RETRAIN}' and tags.`{VERSION}` = '{told.version}'",
        order_by=["attributes.start_time ASC"],
    )
    for twin in found[1:]:  # of two attempts at once
        client.delete_run(twin.info.run_id)
    if found:
        kept: Run = found[0]
        return kept
    tags = {
        KIND: _RETRAIN, FLEET: fleet, VERSION: told.version, "mlflow.source.type": "JOB",
        "mlflow.source.name": "forecast retrain",
    }  # fmt: skip
    run: Run = client.create_run(experiment, tags=tags, run_name=told.name)
    return run


def _pack(
    fleet: str, told: VersionTold, versions: list[VersionTold], found: Mapping[str, tuple[str, str]],
    folder: Path,
) -> None:  # fmt: skip
    """Put what is uploaded into `folder`: the files of the version itself, and where its parents are."""
    from pipelines.tracking.packing import save_version

    by_version = {each.version: each for each in versions}
    line: dict[str, str] = {}
    parent = told.parent
    while parent is not None:
        line[parent] = found[parent][1]
        parent = by_version[parent].parent
    parents = None
    if line:
        parents = folder / "parents.json"
        parents.write_text(json.dumps({"fleet": fleet, "parents": line}), encoding="utf-8")
    metadata = {"forecast.version": told.version, "forecast.fleet": fleet}
    save_version(
        told.folder, folder / MODEL_FOLDER, told.horizon, metadata,
        lambda version: by_version[version].folder, parents,
    )  # fmt: skip
    if parents is not None:
        parents.unlink()  # it lies in the model by now


def _has_model(client: MlflowClient, fleet: str) -> bool:
    return bool(client.search_registered_models(f"name = '{fleet}'", max_results=1))


def _drop_alias(client: MlflowClient, fleet: str, alias: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.delete_registered_model_alias(fleet, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
