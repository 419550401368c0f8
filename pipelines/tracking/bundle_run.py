"""What is written to MLflow of a bundle; in the process that has MLflow (`child`)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.tracking.bundle import BundleSummary
from pipelines.tracking.recording import FLEET, KIND, LOGGED, VERSION, connect, experiment_id, numbers

if TYPE_CHECKING:
    import onnx
    from mlflow.entities import Run
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient
    from mlflow.types import TensorSpec

DIGEST: Final = "forecast.bundle"


def log(tracking_uri: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Record a bundle; return the id of its run."""
    summary = BundleSummary.from_json(request["summary"])
    client = connect(tracking_uri, write=True)
    run = _run(client, experiment_id(client, tracking_uri, request["experiment"]), summary)
    if run.data.tags.get(LOGGED) != "complete":
        numbers(client, run, summary.params, summary.metrics)
        with tempfile.TemporaryDirectory() as folder:
            _pack(summary, Path(folder))
            client.log_artifacts(run.info.run_id, folder)
        client.set_tag(run.info.run_id, LOGGED, "complete")
        client.set_terminated(run.info.run_id)
    return {"run_id": run.info.run_id}


def _run(client: MlflowClient, experiment: str, summary: BundleSummary) -> Run:
    """Return the one run of this bundle, new or left by an earlier attempt."""
    found = client.search_runs(
        [experiment], f"tags.`{DIGEST}` = '{summary.digest}'", order_by=["attributes.start_time ASC"]
    )
    for twin in found[1:]:  # of two attempts at once
        client.delete_run(twin.info.run_id)
    if found:
        kept: Run = found[0]
        return kept
    tags = {
        DIGEST: summary.digest, KIND: "bundle", FLEET: summary.fleet, VERSION: summary.version,
        "forecast.bundle_name": summary.name, "forecast.bundle_version": str(summary.bundle_version),
        "forecast.key_id": summary.key_id or "unsigned", "mlflow.source.type": "JOB",
        "mlflow.source.name": "forecast export",
    }  # fmt: skip
    if summary.run_id is not None and _known(client, summary.run_id):
        tags["mlflow.parentRunId"] = summary.run_id
    run: Run = client.create_run(
        experiment, tags=tags, run_name=f"bundle {summary.name} {summary.bundle_version}"
    )
    return run


def _known(client: MlflowClient, run_id: str) -> bool:
    """Whether a run is there: a store may name one of another MLflow, or one that was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_run(run_id).info.lifecycle_stage) == "active"
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return False


def _pack(summary: BundleSummary, folder: Path) -> None:
    """Put what is uploaded into `folder`, as it will lie in the run."""
    import onnx
    from mlflow.onnx import save_model

    for path in summary.documents:
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    metadata = {"forecast.bundle": summary.digest, "forecast.fleet": summary.fleet}
    for name, path in summary.models.items():
        graph = onnx.load(path)
        save_model(
            graph,
            str(folder / name),
            signature=_signature(graph),
            pip_requirements=_requirements(),
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
            metadata=metadata,
        )


def _signature(model: onnx.ModelProto) -> ModelSignature:
    """Return the tensors of a graph: `pyfunc` then refuses a missing one by name, and the page lists them."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    return ModelSignature(
        Schema([_tensor(each) for each in model.graph.input]),
        Schema([_tensor(each) for each in model.graph.output]),
    )


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    from mlflow.types import TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = value.type.tensor_type
    shape = tuple(int(dim.dim_value) if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    return TensorSpec(tensor_dtype_to_np_dtype(kind.elem_type), shape, value.name)


def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("numpy", "onnx", "onnxruntime")]
