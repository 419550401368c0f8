"""Log a job."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from pipelines.tracking.summary import JobSummary
from pipelines.tracking.tracker import Tracker

# A cold start of MLflow and a first SQLite file take ten seconds on a slow machine, a large model
# through a slow line longer; a scheduled job can spare a minute.
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Logged:
    """Where a job is found in MLflow."""

    run_id: str
    model_version: str
    """Number of the version of the fleet's registered model, as MLflow writes it."""


def log_job(
    summary: JobSummary,
    tracking_uri: str,
    timeout_s: float = TIMEOUT_S,
    experiment: str | None = None,
    tracker: Tracker | None = None,
) -> Logged:
    """Log a finished job; again for the same `job_id` completes what is missing and makes nothing twice.

    Parameters
    ----------
    tracking_uri
        ``sqlite:///FILE`` (artifacts lie beside it) or ``http(s)://HOST:PORT``; the registry is there too.
    timeout_s
        For everything, the start of MLflow included.
    experiment
        By default ``forecast/FLEET``.
    tracker
        One that was started before, with the same URI, to save the start; it stays open.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses; `retriable` when it may go better later.
    InputError
        The tracking URI is of another kind.
    """
    whole = replace(
        summary,
        model_folder=os.path.abspath(summary.model_folder),
        per_series=os.path.abspath(summary.per_series),
        report=None if summary.report is None else os.path.abspath(summary.report),
        scores=None if summary.scores is None else os.path.abspath(summary.scores),
    )
    request = {
        "do": "log",
        "summary": whole.to_json(),
        "experiment": experiment or experiment_of(summary.fleet),
    }
    answer = answer_of(request, tracking_uri, timeout_s, tracker)
    return Logged(answer["run_id"], answer["model_version"])


def answer_of(
    request: dict[str, Any], tracking_uri: str, timeout_s: float, tracker: Tracker | None
) -> dict[str, Any]:
    """Ask the tracker that is there, or one of our own."""
    if tracker is not None:
        return tracker.ask(request, timeout_s)
    with Tracker(tracking_uri) as own:
        return own.ask(request, timeout_s)


def experiment_of(fleet: str) -> str:
    """Return the name of a fleet's experiment."""
    return f"forecast/{fleet}"
