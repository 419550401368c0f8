"""Jobs of the retraining queue: how they come in, wait and are read; `claims` has how they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, case, exists, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.errors import StoreError
from pipelines.store.address import SQLITE
from pipelines.store.engine import dialect, now_ms, reading, serialize, writing
from pipelines.store.plain import plain
from pipelines.store.tables import JOB_STATES, DriftEvent, Judgement, ModelVersion, RetrainJob

# A job is put off by a day at most, so that one which a person forgot shows itself every day.
MOST_DELAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A job that is put into the queue by the commit of another, of the same fleet."""

    payload: Mapping[str, Any]
    job_key: str | None = None
    """None: the fleet."""
    run_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it is now."""

    id: int
    fleet: str
    job_key: str
    """What it refits: of one key one job waits and one runs, at most."""
    state: str
    """"queued", "running", "done" or "dead"."""
    payload: Mapping[str, Any]
    owner: str | None
    """Who runs it, or did last."""
    lease_until_ms: int | None
    """When another may take it over; None unless it runs."""
    fence: int
    """Grows by one with every claim."""
    attempts: int
    run_after_ms: int
    created_ts_ms: int
    finished_ts_ms: int | None
    error: str | None
    """Of the last attempt that failed; None once it is done."""
    note: str | None
    """How it ended."""
    ver: int | None
    version: str | None
    """What it made: number and sha256."""


def enqueue(
    engine: Engine,
    fleet: str,
    payload: Mapping[str, Any],
    job_key: str | None = None,
    run_after_s: float = 0.0,
    once: bool = False,
) -> int:
    """Put a job into the queue, or join the one that waits under its key; return the job's id.

    Parameters
    ----------
    job_key
        None: the fleet. A job that waits keeps its payload and its time; one that runs is not joined.
    once
        Never again: where any job ever had the key, its id is returned and nothing is done.
    """
    with writing(engine) as connection:
        return put_job(connection, fleet, FollowUp(payload, job_key, run_after_s), once)


def put_job(connection: Connection, fleet: str, job: FollowUp, once: bool = False) -> int:
    """Put a job into the queue in the transaction of `connection`; see `enqueue`.

    A waiting job that is joined is locked until the commit, so that nobody claims, and ends, it before what
    joins it is there.
    """
    key = job.job_key or fleet
    if not fleet:
        raise StoreError("a job needs a fleet")
    serialize_key(connection, key)
    if once:
        first = select(RetrainJob.id).where(RetrainJob.job_key == key).order_by(RetrainJob.id).limit(1)
        known = connection.scalar(first)
        if known is not None:
            return known
    now = now_ms(connection)
    insert = sqlite.insert if dialect(connection) == SQLITE else postgresql.insert
    added = insert(RetrainJob).values(
        fleet=fleet,
        job_key=key,
        state="queued",
        payload=plain(job.payload, "the payload"),
        run_after_ms=now + delay_ms(job.run_after_s),
        created_ts_ms=now,
    )
    joined = added.on_conflict_do_update(
        index_elements=[RetrainJob.job_key],
        # No parameter: a prepared statement would no longer say which index is meant.
        index_where=text("state = 'queued'"),
        set_={"job_key": added.excluded.job_key},
    )
    return int(connection.execute(joined.returning(RetrainJob.id)).scalar_one())


def list_jobs(
    engine: Engine, fleet: str | None = None, state: str | None = None, last: int | None = None
) -> list[JobRow]:
    """Return jobs, of a fleet, in a state, the `last` ones, oldest first."""
    if state is not None and state not in JOB_STATES:
        raise StoreError(f"state {state!r} is unknown; known: {', '.join(JOB_STATES)}")
    query = _rows().order_by(RetrainJob.id.desc())
    if fleet is not None:
        query = query.where(RetrainJob.fleet == fleet)
    if state is not None:
        query = query.where(RetrainJob.state == state)
    with reading(engine) as connection:
        return [_row(found) for found in connection.execute(query.limit(last)).all()[::-1]]


def list_unlogged(engine: Engine) -> list[tuple[JobRow, str]]:
    """Return the jobs that were judged and of whose outcome MLflow was not told, with it, oldest first.

    The outcome is "promoted", or the state of the version that the job made; of none "rejected".
    """
    served = ModelVersion.state.in_(("champion", "retired"))
    outcome = case((served, "promoted"), else_=func.coalesce(ModelVersion.state, "rejected"))
    judged = exists().where(Judgement.job_id == RetrainJob.id, Judgement.stage == "gate")
    untold = or_(RetrainJob.logged.is_(None), RetrainJob.logged != outcome)
    query = _rows().add_columns(outcome.label("outcome")).where(RetrainJob.state == "done", judged, untold)
    with reading(engine) as connection:
        found = connection.execute(query.order_by(RetrainJob.id)).all()
    return [(_row(one), one.outcome) for one in found]


def set_logged(engine: Engine, job_id: int, outcome: str) -> None:
    """Note of which outcome of a job MLflow was told."""
    with writing(engine) as connection:
        connection.execute(update(RetrainJob).where(RetrainJob.id == job_id).values(logged=outcome))


def get_job(engine: Engine, job_id: int) -> JobRow:
    """Return a job; `StoreError` where there is none of this id."""
    with reading(engine) as connection:
        return read_job(connection, job_id)


def read_job(connection: Connection, job_id: int) -> JobRow:
    """Return a job as the transaction of `connection` sees it."""
    found = connection.execute(_rows().where(RetrainJob.id == job_id)).first()
    if found is None:
        raise StoreError(f"there is no job {job_id}")
    return _row(found)


def retry_job(engine: Engine, job_id: int) -> JobRow:
    """Let a dead job wait anew, at once, with all its attempts; what waits under its key joins it.

    Raises
    ------
    StoreError
        There is no such job, or it is not dead.
    """
    with writing(engine) as connection:
        job = read_job(connection, job_id)
        serialize_key(connection, job.job_key)
        job = read_job(connection, job_id)
        if job.state != "dead":
            raise StoreError(f"job {job_id} of {job.fleet!r} is {job.state}: only a dead job is run again")
        requeue(connection, job_id, job.job_key, {"attempts": 0, "run_after_ms": now_ms(connection)})
        return read_job(connection, job_id)


def requeue(connection: Connection, job_id: int, job_key: str, values: Mapping[str, Any]) -> None:
    """Let a job wait again, with `values`; one that came meanwhile under its key gives it its events.

    The caller holds the key (`serialize_key`) or does so with this call.
    """
    serialize_key(connection, job_key)
    came = select(RetrainJob.id).where(RetrainJob.job_key == job_key, RetrainJob.state == "queued")
    other = connection.scalar(came.with_for_update())
    if other is not None:
        connection.execute(update(DriftEvent).where(DriftEvent.job_id == other).values(job_id=job_id))
        ended = {"state": "done", "note": f"joined job {job_id}", "finished_ts_ms": now_ms(connection)}
        connection.execute(update(RetrainJob).where(RetrainJob.id == other).values(ended))
    waits = {"state": "queued", "lease_owner": None, "lease_until_ms": None, "finished_ts_ms": None}
    connection.execute(update(RetrainJob).where(RetrainJob.id == job_id).values({**waits, **values}))


def serialize_key(connection: Connection, job_key: str) -> None:
    """Let one transaction at a time change what waits under a key."""
    serialize(connection, f"job {job_key}")


def delay_ms(seconds: float) -> int:
    """Return a delay in ms, between nothing and a day."""
    if not seconds >= 0:
        raise StoreError(f"a job cannot wait for {seconds!r} seconds")
    return round(min(seconds, MOST_DELAY_S) * 1000)


def _rows() -> Select[Any]:
    return select(RetrainJob.__table__, ModelVersion.ver, ModelVersion.version).outerjoin(
        ModelVersion, ModelVersion.id == RetrainJob.model_version_id
    )


def _row(found: Row[Any]) -> JobRow:
    return JobRow(
        found.id, found.fleet, found.job_key, found.state, found.payload, found.lease_owner,
        found.lease_until_ms, found.fence, found.attempts, found.run_after_ms, found.created_ts_ms,
        found.finished_ts_ms, found.error, found.note, found.ver, found.version,
    )  # fmt: skip
