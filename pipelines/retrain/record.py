"""A retrain in MLflow, beside the trainings: what it was asked for, how it was judged, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipelines.retrain.work import DRIFT, REFIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.retrain.work import Ended
    from pipelines.store import JobRow, JudgementRow, Store
    from pipelines.tracking import RetrainSummary

_OUTCOMES: Final = {"champion": "promoted", "retired": "promoted"}


def record(store: Store, ended: Ended, tracking_uri: str, timeout_s: float) -> str | None:
    """Log the retrain that a run of a job belongs to; return the id of its run in MLflow, None for none.

    Logged again, as after its promotion, the same run is told of the new outcome.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses.
    """
    summary = summary_of(store, ended)
    if summary is None:
        return None
    from pipelines.tracking import log_retrain

    return log_retrain(summary, tracking_uri, timeout_s)


def summary_of(store: Store, ended: Ended) -> RetrainSummary | None:
    """Return what MLflow is told of; None where nothing was judged, as of a job that failed or waits."""
    from pipelines.tracking import Candidate, RetrainSummary

    job = _job(store, ended)
    gate = None if job is None else _gate(store, job)
    if job is None or gate is None or gate.against is None:
        return None
    parent = store.version(job.fleet, gate.against)
    found = gate.evidence
    state = "rejected" if job.version is None else store.version(job.fleet, job.version).state
    coverage = {side: _number(found, "coverage", side) for side in ("challenger", "champion")}
    loss = {side: _number(found, "loss", side) for side in ("challenger", "champion")}
    gain = 1.0 - loss["challenger"] / loss["champion"] if loss["champion"] > 0 else float("nan")
    return RetrainSummary(
        job=job.id,
        fleet=job.fleet,
        outcome=_OUTCOMES.get(state, state),
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


def _job(store: Store, ended: Ended) -> JobRow | None:
    """Return the job of drift, or of the clock, behind a run: its own, or that which it goes on from."""
    job = store.job(ended.job_id)
    if ended.kind in (DRIFT, REFIT):
        return job if ended.outcome in ("passed", "kept") else None
    made = job.payload.get("job")
    decided = ended.outcome in ("promoted", "kept", "again")
    return store.job(made) if decided and isinstance(made, int) else None


def _gate(store: Store, job: JobRow) -> JudgementRow | None:
    found = [one for one in store.judgements(job.fleet) if one.job_id == job.id and one.stage == "gate"]
    return found[-1] if found else None


def _number(evidence: Mapping[str, Any], *names: str) -> float:
    """Return a number of the evidence, NaN where it has none."""
    value: Any = evidence
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else float("nan")
