"""A retrain in MLflow, beside the trainings: what it was asked for, how it was judged, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forecast.errors import ForecastError
from pipelines.errors import PipelineError
from pipelines.logs import log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.store import JobRow, JudgementRow, Store
    from pipelines.tracking import RetrainSummary


def record(store: Store, tracking_uri: str, timeout_s: float) -> int:
    """Log the retrains of whose outcome MLflow was not told yet; return how many there were.

    What was told is noted in the store last: after a crash, or a day without MLflow, the next call does what
    is missing. Logged again, as after its promotion, a run is told of the new outcome.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses; where it refuses one, the others are told all the same.
    """
    due = store.unlogged_jobs()
    refused: ForecastError | PipelineError | None = None
    for job, outcome in due:
        try:
            _log(store, job, outcome, tracking_uri, timeout_s)
        except (ForecastError, PipelineError) as error:
            if error.retriable:
                raise
            refused = error
            log.warning("MLflow refuses job %d: %s", job.id, error)
        else:
            store.set_logged(job.id, outcome)
    if refused is not None:
        raise refused
    return len(due)


def _log(store: Store, job: JobRow, outcome: str, tracking_uri: str, timeout_s: float) -> None:
    summary = summary_of(store, job, outcome)
    if summary is None:
        return
    from pipelines.tracking import log_retrain

    log_retrain(summary, tracking_uri, timeout_s)


def summary_of(store: Store, job: JobRow, outcome: str) -> RetrainSummary | None:
    """Return what MLflow is told of a job; None where nothing was compared."""
    from pipelines.tracking import Candidate, RetrainSummary

    gate = _gate(store, job)
    if gate is None or gate.against is None:
        return None
    parent = store.version(job.fleet, gate.against)
    found = gate.evidence
    coverage = {side: _number(found, "coverage", side) for side in ("challenger", "champion")}
    loss = {side: _number(found, "loss", side) for side in ("challenger", "champion")}
    gain = 1.0 - loss["challenger"] / loss["champion"] if loss["champion"] > 0 else float("nan")
    return RetrainSummary(
        job=job.id,
        fleet=job.fleet,
        outcome=outcome,
        reason=str(found.get("why", "")),
        parent_version=parent.version,
        parent_run_id=parent.mlflow_run_id,
        version=job.version,
        params={
            "model": str(found.get("model", "")), "horizon": int(found.get("h", 0)), "freq": parent.freq,
            "windows": int(found.get("folds", 0)),
        },
        metrics={
            "champion_gain": gain, "coverage_95": coverage["challenger"],
            "p_value": _number(found, "p_value"),
            "n_events": len(store.job_events(job.id)),
            "n_refit": 0 if job.version is None else store.version(job.fleet, job.version).n_series,
        },
        candidates=tuple(
            Candidate(side, {}, {"coverage_95": value}) for side, value in coverage.items()
        ),
        evidence=dict(found),
    )  # fmt: skip


def _gate(store: Store, job: JobRow) -> JudgementRow | None:
    found = [one for one in store.judgements(job.fleet) if one.job_id == job.id and one.stage == "gate"]
    return found[-1] if found else None


def _number(evidence: Mapping[str, Any], *names: str) -> float:
    """Return a number of the evidence, NaN where it has none."""
    value: Any = evidence
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else float("nan")
