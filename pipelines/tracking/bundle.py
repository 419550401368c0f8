"""Log an edge bundle: a child of the run that trained its model, with the graphs as MLflow ONNX models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from forecast.errors import InputError
from pipelines.tracking.log import TIMEOUT_S, answer_of, experiment_of
from pipelines.tracking.summary import Value, check_plain
from pipelines.tracking.tracker import Tracker


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """What MLflow is told of a bundle."""

    fleet: str
    name: str
    bundle_version: int
    digest: str
    """sha256 of the manifest: one run in MLflow for each."""
    version: str
    """sha256 of the model version."""
    run_id: str | None
    """Of the job that trained it; None: MLflow does not know of it."""
    models: Mapping[str, str]
    """Artifact name to .onnx file: ``{"model": ..., "step": ...}``."""
    documents: tuple[str, ...]
    """Files that go beside them: manifest, schema, report."""
    params: Mapping[str, Value]
    metrics: Mapping[str, float]
    key_id: str | None

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> BundleSummary:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return BundleSummary(**{**found, "documents": tuple(found["documents"])})


def log_bundle(
    summary: BundleSummary,
    tracking_uri: str,
    timeout_s: float = TIMEOUT_S,
    experiment: str | None = None,
    tracker: Tracker | None = None,
) -> str:
    """Log a bundle and return the id of its run; the same digest again completes what is missing.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses; `retriable` when it may go better later.
    InputError
        The tracking URI is of another kind, or a name cannot be told to MLflow.
    """
    check_plain("fleet", summary.fleet)
    if not summary.models:
        raise InputError("a bundle has at least one model; give its .onnx file")
    whole = replace(
        summary,
        models={name: os.path.abspath(path) for name, path in summary.models.items()},
        documents=tuple(os.path.abspath(path) for path in summary.documents),
    )
    request = {
        "do": "bundle",
        "summary": whole.to_json(),
        "experiment": experiment or experiment_of(summary.fleet),
    }
    return str(answer_of(request, tracking_uri, timeout_s, tracker)["run_id"])
