"""A job from beginning to end, or from where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import PipelineError, TrainError
from pipelines.logs import fields, log
from pipelines.models import parse_model
from pipelines.train.checking import check
from pipelines.train.fitting import fit
from pipelines.train.forecasting import forecast
from pipelines.train.heartbeat import beating
from pipelines.train.judging import backtest
from pipelines.train.publishing import publish
from pipelines.train.registering import Store, begin, register
from pipelines.train.reporting import report, summary
from pipelines.train.snapshot import snapshot
from pipelines.train.tracking import LogJob, track
from pipelines.train.work import Progress, Silent, Work

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.train.run_folder import RunFolder

# What is computed, in this order; begin comes before, register and track follow.
STAGES: Final[dict[str, Callable[[Work], dict[str, Any]]]] = {
    "snapshot": snapshot,
    "check": check,
    "fit": fit,
    "backtest": backtest,
    "version": publish,
    "forecast": forecast,
    "report": report,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    summary: dict[str, Any]
    """As in ``summary.json``, with what was registered and logged."""
    not_logged: str | None
    """Why MLflow does not know of it; None when it does, or was not asked to."""


def run(
    folder: RunFolder,
    settings: Settings,
    open_store: Callable[[str], Store],
    log_job: LogJob | None,
    progress: Progress | None = None,
) -> Outcome:
    """Do what is not done of a job.

    A stage that is done is never done again, so that a job which was killed anywhere and resumed leaves
    what it would have left.

    Parameters
    ----------
    open_store
        Opens the store at a URL.
    log_job
        Logs a finished job to MLflow; None leaves that out.

    Raises
    ------
    PipelineError
        ``retriable`` when the same job can succeed later: the store is down, the fleet is being trained.
    ForecastError
        The input cannot be used.
    """
    from forecast.api.arguments import check_jobs

    work = Work(folder, folder.job, settings, check_jobs(settings.jobs), progress or Silent())
    with fields(run_id=folder.run_id, fleet=work.job.fleet), folder.locked():
        return _run(work, open_store, log_job)


def _run(work: Work, open_store: Callable[[str], Store], log_job: LogJob | None) -> Outcome:
    from forecast.api.arguments import check_models

    check_models([parse_model(text) for text in work.job.models])  # told before any work
    with open_store(work.settings.store()) as store:
        _ready(store, work.settings.store_url)
        with store.lease(work.job.fleet, work.folder.run_id, work.settings.lease_ttl_s) as lease:
            with beating(lease, work.settings.lease_ttl_s / 3) as held:
                work = replace(work, held=held)
                _check_history(work)
                _once(work, "begin", lambda: begin(work, store))
                for name, stage in STAGES.items():
                    _once(work, name, lambda stage=stage: stage(work))  # type: ignore[misc]
                _once(work, "register", lambda: register(work, store, lease))
            not_logged = _track(work, store, log_job)
    found = summary(work) | {"register": work.facts("register"), "track": work.folder.facts("track")}
    return Outcome(found, not_logged)


def _ready(store: Store, url: str) -> None:
    """Make the tables of a new SQLite store; anything else is for `forecast db upgrade`."""
    if url.startswith("sqlite") and store.schema_state() == "absent":
        store.upgrade()
    store.require_current()


def _check_history(work: Work) -> None:
    """Refuse to go on from a snapshot that is not the one that this job wrote."""
    if work.folder.facts("snapshot") is None or work.folder.facts("register") is not None:
        return
    damage = work.history().damage()
    if damage is not None:
        raise TrainError(f"{work.history().folder}: {damage}; start the job anew")


def _once(work: Work, name: str, stage: Callable[[], dict[str, Any]]) -> None:
    if work.folder.facts(name) is not None:
        return
    work.held()
    with fields(stage=name), _timed() as clock, _naming_damage(work, name):
        facts = stage()
    work.folder.finish(name, {**facts, "seconds": clock()})


@contextmanager
def _naming_damage(work: Work, name: str) -> Iterator[None]:
    """Say that a file of an earlier stage cannot be read, and which run it is of."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise TrainError(
            f"stage {name} of {work.folder.path}: a file is damaged ({reason}); start it anew"
        ) from error


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    began = time.perf_counter()
    yield lambda: round(time.perf_counter() - began, 3)


def _track(work: Work, store: Store, log_job: LogJob | None) -> str | None:
    """Log to MLflow; a job whose results are kept does not fail for it."""
    if log_job is None:
        return None
    try:
        _once(work, "track", lambda: track(work, store, log_job))
    except PipelineError as error:
        log.warning("not logged to MLflow: %s", error)
        return str(error)
    return None
