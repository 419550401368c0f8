"""What the store knows of drift and retraining: events, the queue, judgements, snapshots of monitors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Engine

from pipelines.store import claims, snapshots
from pipelines.store import events as _events
from pipelines.store import jobs as _jobs
from pipelines.store import judgements as _judgements
from pipelines.store.claims import ATTEMPTS, Claim
from pipelines.store.events import EventRow, NewEvent, Recorded
from pipelines.store.jobs import FollowUp, JobRow
from pipelines.store.judgements import JudgementRow, NewJudgement
from pipelines.store.snapshots import NewSnapshot, SnapshotRow
from pipelines.store.versions import NewVersion, VersionRow


class Queue:
    """The part of a `Store` that the monitor and the workers use; every method is one transaction.

    A job is run at least once and committed exactly once.
    """

    _engine: Engine

    # Events and snapshots

    def record_events(
        self,
        events: Iterable[NewEvent],
        *,
        enqueue: bool = True,
        job_key: str | None = None,
        run_after_s: float = 0.0,
        snapshot: NewSnapshot | None = None,
        ignored: Iterable[NewEvent] = (),
    ) -> Recorded:
        """Record events, one job a fleet for them, and the monitor's snapshot: all, or nothing.

        Events whose `dedup_key` is known are left out. `ConflictError` when another monitor wrote the
        snapshot since. Without `enqueue` the events are "ignored".
        """
        return _events.record_events(self._engine, events, enqueue, job_key, run_after_s, snapshot, ignored)

    def events(
        self,
        fleet: str | None = None,
        job_id: int | None = None,
        state: str | None = None,
        last: int | None = None,
    ) -> list[EventRow]:
        """Return events, of a fleet, of a job, in a state, the `last` ones, oldest first."""
        return _events.list_events(self._engine, fleet, job_id, state, last)

    def job_events(self, job_id: int) -> list[EventRow]:
        """Return the events that a job is about, oldest first."""
        return _events.list_events(self._engine, job_id=job_id)

    def snapshot(self, group: str, topic: str, partition: int) -> SnapshotRow | None:
        """Return what a monitor of `group` last knew of a partition, None before the first."""
        return snapshots.get_snapshot(self._engine, group, topic, partition)

    # Jobs

    def enqueue(
        self,
        fleet: str,
        payload: Mapping[str, Any],
        *,
        job_key: str | None = None,
        run_after_s: float = 0.0,
        once: bool = False,
    ) -> int:
        """Put a job into the queue, or join the one that waits under its key, whose payload stays.

        With `once` nothing is done where any job ever had the key. The key is the fleet unless given.
        """
        return _jobs.enqueue(self._engine, fleet, payload, job_key, run_after_s, once)

    def claim_job(self, owner: str, ttl_s: float, *, attempts: int = ATTEMPTS) -> Claim | None:
        """Take the job that has been due longest for `ttl_s` seconds, None where none is due.

        A job whose lease expired is taken over, and made "dead" after `attempts` of those.
        """
        return claims.claim_job(self._engine, owner, ttl_s, attempts)

    def renew_job(self, claim: Claim, ttl_s: float) -> Claim:
        """Begin the time to live anew and return the claim with it; `LeaseLostError` when it is another's."""
        return claims.renew_job(self._engine, claim, ttl_s)

    def release_job(self, claim: Claim, run_after_s: float = 0.0) -> None:
        """Let the job wait again without a fault of its own: the attempt does not count."""
        claims.release_job(self._engine, claim, run_after_s)

    def finish_job(
        self,
        claim: Claim,
        *,
        version: NewVersion | None = None,
        judgements: Iterable[NewJudgement] = (),
        follow_up: FollowUp | None = None,
        note: str = "",
    ) -> VersionRow | None:
        """Commit a job with all that it made, under its fence; `LeaseLostError` and nothing when it is lost.

        Sent again after its answer was lost, it returns what the first commit made.
        """
        return claims.finish_job(self._engine, claim, version, judgements, follow_up, note)

    def fail_job(self, claim: Claim, error: str, *, attempts: int = ATTEMPTS, backoff_s: float) -> str:
        """Note why a job failed; return "queued", to be run again after a back-off, or "dead"."""
        return claims.fail_job(self._engine, claim, error, attempts, backoff_s)

    def retry_job(self, job_id: int) -> JobRow:
        """Let a dead job wait anew, at once, with all its attempts."""
        return _jobs.retry_job(self._engine, job_id)

    def jobs(
        self, fleet: str | None = None, state: str | None = None, last: int | None = None
    ) -> list[JobRow]:
        """Return jobs, of a fleet, in a state, the `last` ones, oldest first."""
        return _jobs.list_jobs(self._engine, fleet, state, last)

    def job(self, job_id: int) -> JobRow:
        """Return one job."""
        return _jobs.get_job(self._engine, job_id)

    def unlogged_jobs(self) -> list[tuple[JobRow, str]]:
        """Return judged jobs of whose outcome MLflow was not told, oldest first, with that outcome."""
        return _jobs.list_unlogged(self._engine)

    def set_logged(self, job_id: int, outcome: str) -> None:
        """Note of which outcome of a job MLflow was told."""
        _jobs.set_logged(self._engine, job_id, outcome)

    # Judgements

    def add_judgement(
        self, fleet: str, judgement: NewJudgement, *, job_id: int | None = None
    ) -> JudgementRow:
        """Keep a judgement that is no part of a job's commit."""
        return _judgements.add_judgement(self._engine, fleet, judgement, job_id)

    def judgements(self, fleet: str, version: VersionRow | str | None = None) -> list[JudgementRow]:
        """Return the judgements of a fleet, or of one of its versions, oldest first."""
        return _judgements.list_judgements(self._engine, fleet, version)
