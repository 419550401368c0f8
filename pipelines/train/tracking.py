"""Stage track: the finished job goes to MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.errors import TrackingError
from pipelines.train.reporting import REPORT, SCORES, SUMMARY
from pipelines.train.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.settings import Settings
    from pipelines.tracking.summary import JobSummary
    from pipelines.train.registering import Store
    from pipelines.train.run_folder import RunFolder


class Logged(Protocol):
    """Where a job is found in MLflow."""

    @property
    def run_id(self) -> str: ...

    @property
    def model_version(self) -> str: ...


class LogJob(Protocol):
    """Logs a finished job; see `pipelines.tracking.log_job`."""

    def __call__(self, summary: JobSummary, tracking_uri: str, timeout_s: float, /) -> Logged: ...


@contextmanager
def ready_to_log(folder: RunFolder, settings: Settings) -> Iterator[LogJob]:
    """Yield what logs the job; the seconds that MLflow takes to load pass while the job computes.

    Raises
    ------
    InputError
        The tracking URI is of a kind that there is not.
    TrackingError
        MLflow is not installed.
    """
    from functools import partial

    from pipelines.tracking import Tracker, log_job

    with closing(Tracker(settings.tracking_uri)) as tracker:
        if folder.facts("track") is None:
            try:
                tracker.start()
            except TrackingError as error:
                if not error.retriable:
                    raise  # before any work; anything else is tried again when the job is done
        yield partial(log_job, tracker=tracker)


def track(work: Work, store: Store, log_job: LogJob) -> dict[str, Any]:
    """Log the job, and note in the store where its version is found: in the newest job that made it."""
    row = store.version(work.job.fleet, work.facts("version")["version"])
    work.progress.stage("track", 1)
    settings = work.settings
    logged = log_job(job_summary(work, store), settings.tracking_uri, settings.tracking_timeout_s)
    store.set_tracking(row, mlflow_run_id=logged.run_id, mlflow_version=logged.model_version)
    work.progress.step()
    return {"run_id": logged.run_id, "model_version": logged.model_version}


def job_summary(work: Work, store: Store) -> JobSummary:
    """Return what MLflow is told of a job."""
    from pipelines.tracking.summary import JobSummary

    job, version = work.job, work.facts("version")
    champion = store.champion(job.fleet)
    snapshot = work.facts("snapshot")
    return JobSummary(
        job_id=work.folder.run_id,
        fleet=job.fleet,
        params=_given(job.models[0])
        | {
            "model": work.models()[0].alias, "models": "; ".join(model.alias for model in work.models()),
            "horizon": job.horizon, "freq": snapshot["freq"],
            "season_length": work.season_length, "windows": job.windows, "duplicates": job.duplicates,
            "exog": ", ".join(job.exog), "partition_size": job.partition_size,
        },
        candidates=_candidates(work),
        metrics=fleet_metrics(work),
        version=version["version"],
        model_folder=version["folder"],
        per_series=str(work.file(REPORT)),
        dataset={
            "source": "query" if job.sql else job.input, "n_series": snapshot["n_series"],
            "n_rows": snapshot["n_rows"], "digest": snapshot["digest"], "freq": snapshot["freq"],
        },
        horizon=job.horizon,
        input_example=_example(work),
        champion=champion is not None and champion.version.version == version["version"],
        report=str(work.file(SUMMARY)),
        # A job that was begun before there were such files has none.
        scores=str(work.file(SCORES)) if work.file(SCORES).exists() else None,
    )  # fmt: skip


def _given(model: str) -> dict[str, str]:
    """Return the arguments that the job gives to its model, each a param of its own: axes of MLflow's plots.

    A setting of the job that has the same name goes before.
    """
    import json

    arguments = json.loads(model.strip().partition(" ")[2].strip() or "{}")
    return {name: str(value) for name, value in arguments.items() if name != "alias"}


def fleet_metrics(work: Work) -> dict[str, float]:
    """Return the metrics of the first model, and counts, under the names of `METRICS`."""
    scores: Mapping[str, dict[str, float]] = work.facts("backtest")["models"]
    alias = work.models()[0].alias
    metrics = _scores(scores.get(alias, {}))
    baselines = [
        scores[m.alias]["mase_mean"] for m in work.baselines() if "mase_mean" in scores.get(m.alias, {})
    ]
    if baselines and "mase_mean" in metrics:
        metrics["baseline_mase_mean"] = min(baselines)
        if min(baselines) > 0:
            metrics["mase_skill"] = 1.0 - metrics["mase_mean"] / min(baselines)
    return {**metrics, **_counts(work), **_seconds(work)}


def _scores(found: Mapping[str, float]) -> dict[str, float]:
    names = ("mase_mean", "mase_p50", "mase_p90", "smape_mean", "rmsse_mean", "crps_mean")
    metrics = {name: found[name] for name in names if name in found}
    for level in ("80", "95"):
        if f"coverage-{level}_mean" in found:
            metrics[f"coverage_{level}"] = found[f"coverage-{level}_mean"]
    return metrics


def _counts(work: Work) -> dict[str, float]:
    snapshot, statuses = work.facts("snapshot"), work.facts("fit")["statuses"]
    fitted = {"ok", "gaps", "rescaled", "collinear_exog", "repaired"}
    apart = {*fitted, "guarded", "failed"}
    return {
        "n_series": snapshot["n_series"],
        "n_rows": snapshot["n_rows"],
        "n_gaps": snapshot["statuses"].get("gaps", 0),
        "n_ok": sum(statuses.get(name, 0) for name in fitted - {"repaired"}),
        "n_repaired": statuses.get("repaired", 0),
        "n_guarded": statuses.get("guarded", 0),
        "n_fallback": sum(count for name, count in statuses.items() if name not in apart),
        "n_failed": statuses.get("failed", 0),
    }


def _seconds(work: Work) -> dict[str, float]:
    spent = {name: facts["seconds"] for name in _TIMED if (facts := work.folder.facts(name)) is not None}
    named = {"fit": "fit_seconds", "backtest": "backtest_seconds", "forecast": "predict_seconds"}
    return {
        **{metric: spent[stage] for stage, metric in named.items() if stage in spent},
        "total_seconds": sum(spent.values()),
    }


_TIMED = ("snapshot", "check", "fit", "backtest", "version", "forecast", "report", "register")


def _candidates(work: Work) -> tuple[Any, ...]:
    from forecast.models.spec import describe
    from pipelines.tracking.summary import Candidate

    scores = work.facts("backtest")["models"]
    found = []
    for model in [*work.models(), *work.baselines()]:
        text = describe(model)
        params = {"model": text.name, **{key: str(value) for key, value in text.arguments.items()}}
        found.append(Candidate(model.alias, params, _scores(scores.get(model.alias, {}))))
    return tuple(found)


def _example(work: Work) -> dict[str, list[Any]]:
    """Return the future regressors of one series; nothing where there are none."""
    from pipelines.train.snapshot import FUTURE

    if work.job.future is None:
        return {}
    import pandas as pd

    future = pd.read_parquet(work.file(FUTURE))
    job = work.job
    first = future[future[job.id_col] == future[job.id_col].iloc[0]].head(job.horizon)
    columns = [job.id_col, job.time_col, *job.exog]
    return {
        name: [v.isoformat() if hasattr(v, "isoformat") else v for v in first[name].tolist()]
        for name in columns
    }
