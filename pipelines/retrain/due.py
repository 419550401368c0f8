"""The retraining worker: takes jobs while there are any, or for as long as it is let."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from forecast.errors import ForecastError
from pipelines.errors import LeaseLostError, PipelineError, StoreError
from pipelines.logs import fields, log
from pipelines.retrain.schedule import enqueue_due
from pipelines.retrain.source import Source
from pipelines.retrain.work import Ended, run_job
from pipelines.train.heartbeat import beating

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store import Claim, Store

# What tells others of a new champion: the control topic, MLflow.
Tell = Callable[["Store"], object]
# What logs a run that ended.

# What did not answer is asked again after this long.
_AGAIN_S: Final = 60.0


class JobStopped(Exception):
    """The worker was asked to stop in the middle of a job; the job goes back into the queue."""


@dataclass(slots=True)
class Counts:
    """What a worker did."""

    ended: list[Ended] = field(default_factory=list)
    untold: dict[str, str] = field(default_factory=dict)
    """Why a champion could not be announced, or mirrored; it is tried again with the next."""

    def of(self, outcome: str) -> int:
        """Return how many runs ended so."""
        return sum(one.outcome == outcome for one in self.ended)


class Watcher:
    """Is told what a worker does; this one tells nobody."""

    def begin(self, claim: Claim) -> None:
        """Begin a job."""

    def progress(self, done: int, total: int) -> None:
        """Count an origin of a challenge."""

    def end(self, ended: Ended) -> None:
        """End a job."""


@dataclass(slots=True)
class Worker:
    """One process at the queue; any number may be at it."""

    settings: Settings
    store: Store
    owner: str
    announce: Tell | None = None
    mirror: Tell | None = None
    record: Tell | None = None
    source: Source | None = None
    source_fleet: str | None = None
    """Fleet that `source` is of."""
    watcher: Watcher = field(default_factory=Watcher)
    stop: threading.Event = field(default_factory=threading.Event)
    counts: Counts = field(default_factory=Counts)
    _not_before: dict[str, float] = field(default_factory=dict)

    def drain(self, max_jobs: int | None = None) -> None:
        """Run what is due, until nothing is left, `max_jobs` were run, or it is asked to stop."""
        enqueue_due(self.store, self.settings.schedules)
        self._tell("announce", self.announce)
        while not self.stop.is_set() and (max_jobs is None or len(self.counts.ended) < max_jobs):
            claim = self.store.claim_job(
                self.owner, self.settings.lease_ttl_s, attempts=self.settings.retrain_attempts
            )
            if claim is None:
                break
            with fields(job_id=claim.id, fleet=claim.fleet):
                self.watcher.begin(claim)
                ended = self._run(claim)
                self.counts.ended.append(ended)
                self.watcher.end(ended)
            if ended.outcome == "promoted":
                self._tell("announce", self.announce)
        self._tell("mirror", self.mirror)  # nobody waits for these
        self._tell("record", self.record)

    def _tell(self, name: str, what: Tell | None) -> None:
        """Announce, or mirror, champions that were not; what fails is told and tried again."""
        if what is None or monotonic() < self._not_before.get(name, 0.0):
            return
        try:
            what(self.store)
            self.counts.untold.pop(name, None)
        except (ForecastError, PipelineError, OSError) as error:
            self.counts.untold[name] = str(error)
            # A server that is down may take a minute to say so: jobs go before.
            self._not_before[name] = monotonic() + _AGAIN_S
            log.warning("%s: not all was told, it is tried again: %s", name, error)

    def _run(self, claim: Claim) -> Ended:
        """Run one job; whatever goes wrong with it is noted with it, and the worker goes on."""
        kind = str(claim.payload.get("kind", "drift"))
        ended = Ended(claim.id, claim.fleet, kind, "lost", "")
        try:
            return self._work(claim)
        except LeaseLostError as error:
            log.warning("job %d: %s", claim.id, error)
            return replace(ended, why=str(error))
        except JobStopped:
            self._give_back(claim)
            return replace(ended, outcome="stopped", why="asked to stop; the job goes back into the queue")
        except Exception as error:
            if isinstance(error, StoreError) and error.retriable and not self._answers():
                raise  # nothing can be noted either: the lease ends by itself, and the job is run again
            return self._fail(claim, ended, error)
        except BaseException:  # an interrupt: the job is not to blame
            self._give_back(claim)
            raise

    def _work(self, claim: Claim) -> Ended:
        hold = _Hold(self.store, claim, self.settings.lease_ttl_s)
        with beating(hold, self.settings.lease_ttl_s / 3) as held:

            def progress(done: int, total: int) -> None:
                held()
                if self.stop.is_set():
                    raise JobStopped
                self.watcher.progress(done, total)

            mine = self.source if self.source_fleet in (None, claim.fleet) else None
            return run_job(self.settings, self.store, claim, source=mine, progress=progress)

    def _fail(self, claim: Claim, ended: Ended, error: Exception) -> Ended:
        known = isinstance(error, PipelineError | OSError) or type(error).__module__.startswith("forecast.")
        why = str(error) if known else f"{type(error).__name__}: {error}"
        try:
            state = self.store.fail_job(
                claim, why, attempts=self.settings.retrain_attempts, backoff_s=self.settings.retrain_backoff_s
            )
        except LeaseLostError as lost:
            return replace(ended, why=str(lost))
        dead = state == "dead"
        log.error(
            "job %d of %s failed%s: %s", claim.id, claim.fleet,
            f" for the last time, `forecast retrain --retry {claim.id}` runs it again" if dead else "", why,
            exc_info=not known,
        )  # fmt: skip
        return replace(ended, outcome="dead" if dead else "failed", why=why)

    def _give_back(self, claim: Claim) -> None:
        try:
            self.store.release_job(claim)
        except PipelineError as error:  # its lease ends by itself
            log.warning("job %d could not be given back: %s", claim.id, error)

    def _answers(self) -> bool:
        try:
            self.store.require_current()
        except StoreError:
            return False
        return True


@dataclass(slots=True)
class _Hold:
    """A claim as the heartbeat sees it."""

    store: Store
    claim: Claim
    ttl_s: float

    def renew(self) -> None:
        self.store.renew_job(self.claim, self.ttl_s)


def run_due(
    settings: Settings,
    open_store: Callable[[str], Store],
    *,
    owner: str,
    announce: Tell | None = None,
    mirror: Tell | None = None,
    record: Tell | None = None,
    max_jobs: int | None = None,
    watch_s: float | None = None,
    stop: threading.Event | None = None,
    source: Source | None = None,
    source_fleet: str | None = None,
    watcher: Watcher | None = None,
) -> Counts:
    """Run what is due: jobs of drift, of the clock and by hand, shadows and promotions.

    Any number of workers may do so at once, on any machines that share the store and the folders.

    Parameters
    ----------
    announce, mirror, record
        Called with the store: the first at the beginning and after every promotion, the others at the end.
        What fails is noted, and tried again by this worker and by the next.
    max_jobs
        Return after so many runs.
    watch_s
        Look again after so many seconds, until `stop` is set; None: return when nothing is due.
    source, source_fleet
        Data in place of the history of one fleet, or of all.
    watcher
        Who is told what goes on.

    Raises
    ------
    StoreError
        The store does not answer (with `watch_s` only where a later try cannot help).
    SettingsError
        A schedule makes no sense.
    """
    stop = stop or threading.Event()
    with open_store(settings.store()) as store:
        store.require_current()
        worker = Worker(
            settings, store, owner, announce, mirror, record, source, source_fleet, watcher or Watcher(), stop
        )
        while True:
            try:
                worker.drain(max_jobs)
            except StoreError as error:
                if watch_s is None or not error.retriable:
                    raise
                log.warning("the store does not answer, it is tried again in %g s: %s", watch_s, error)
            full = max_jobs is not None and len(worker.counts.ended) >= max_jobs
            if watch_s is None or full or stop.wait(watch_s):
                return worker.counts
