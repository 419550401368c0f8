"""How jobs run: claimed under a lease, at least once; committed under a fence, exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, TextualSelect, and_, select, text, update

from pipelines.errors import LeaseLostError, StoreError
from pipelines.store.address import SQLITE
from pipelines.store.engine import NOW_MS, affected, dialect, now_ms, stating, writing
from pipelines.store.jobs import FollowUp, delay_ms, put_job, requeue
from pipelines.store.judgements import NewJudgement, put_judgement
from pipelines.store.tables import RetrainJob
from pipelines.store.versions import NewVersion, VersionRow, get_row, put_version

ATTEMPTS: Final = 5
# Characters of an error that are kept: the last lines of a traceback, no flood of numbers.
_ERROR: Final = 4_000

# A job that lost its worker goes before those that wait: its lease says how long it has waited already.
_LATE: Final = "state = 'running' AND lease_until_ms <= {now} ORDER BY lease_until_ms, id LIMIT 1"
_DUE: Final = """
    job.state = 'queued' AND job.run_after_ms <= {now} AND NOT EXISTS (
        SELECT 1 FROM retrain_job AS other WHERE other.state = 'running' AND other.job_key = job.job_key
    )"""
_ORDER: Final = "ORDER BY job.run_after_ms, job.id LIMIT 1"
_TAKE: Final = """
    SET state = 'running', lease_owner = :owner, lease_until_ms = {now} + :ttl,
        fence = retrain_job.fence + 1, attempts = retrain_job.attempts + 1,
        error = CASE WHEN retrain_job.state = 'running' THEN 'attempt ' || retrain_job.attempts
            || ': its worker ' || retrain_job.lease_owner || ' ended, or hung, in the middle'
            ELSE retrain_job.error END"""
_GIVE: Final = "RETURNING id, fleet, job_key, payload, fence, attempts, lease_until_ms"
_CLAIM: Final = {
    SQLITE: f"""
    UPDATE retrain_job {_TAKE}
    WHERE id = coalesce(
        (SELECT id FROM retrain_job WHERE {_LATE}),
        (SELECT job.id FROM retrain_job AS job WHERE {_DUE} {_ORDER})
    ) {_GIVE}""",  # noqa: S608  # of constants
    # Rows that others are about to take, or to join, are passed by: nobody waits. Nor for the disk: what a
    # server that crashed forgets is a claim whose job was not committed, and which waits again.
    "postgresql": f"""
    WITH at_once AS (SELECT set_config('synchronous_commit', 'off', true)),
    late AS (SELECT id FROM retrain_job WHERE {_LATE} FOR UPDATE SKIP LOCKED),
    due AS (
        SELECT job.id FROM retrain_job AS job WHERE {_DUE} AND NOT EXISTS (SELECT 1 FROM late)
        {_ORDER} FOR UPDATE OF job SKIP LOCKED
    )
    UPDATE retrain_job {_TAKE}
    FROM (SELECT id FROM late UNION ALL SELECT id FROM due) AS pick, at_once
    WHERE retrain_job.id = pick.id
    {_GIVE.replace("RETURNING id", "RETURNING retrain_job.id")}""",  # noqa: S608  # likewise
}

_END: Final = """
    UPDATE retrain_job SET state = 'done', finished_ts_ms = {now}, lease_until_ms = NULL, error = NULL,
        note = :note
    WHERE id = :id AND fence = :fence AND lease_owner = :owner AND state = 'running' RETURNING id"""
_EVENTS_DONE: Final = "UPDATE drift_event SET state = 'done' WHERE state = 'coalesced' AND job_id ="
_ENDS: Final = {
    SQLITE: text(_END.format(now=NOW_MS[SQLITE])),
    "postgresql": text(f"""
        WITH job AS ({_END.format(now=NOW_MS["postgresql"])}),
        event AS ({_EVENTS_DONE} (SELECT id FROM job))
        SELECT id FROM job"""),  # noqa: S608  # of constants
}
_EVENTS_END: Final = text(f"{_EVENTS_DONE} :id")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job, until `lease_until_ms`: a value, which goes with the commit that it protects.

    One that expired is still good for a commit as long as nobody took the job over: what counts is the
    fence.
    """

    id: int
    fleet: str
    job_key: str
    payload: Mapping[str, Any]
    fence: int
    attempts: int
    """With this one; counted at the claim, so that a job which kills its workers counts too."""
    lease_until_ms: int
    owner: str


def claim_job(engine: Engine, owner: str, ttl_s: float, attempts: int = ATTEMPTS) -> Claim | None:
    """Take the job that has been due longest, None where none is due.

    A job whose lease expired is taken over. One that used all its `attempts` up that way is made "dead".

    Parameters
    ----------
    owner
        Who runs it, for people; no two workers have the same.
    ttl_s
        Seconds until another may take it over, unless it is renewed.
    attempts
        The most that a job has.
    """
    if not (owner and 0 < ttl_s < inf and attempts >= 1):
        raise StoreError(f"a claim needs an owner, a time and an attempt, got {owner!r}, {ttl_s}, {attempts}")
    values = {"owner": owner, "ttl": round(ttl_s * 1000)}
    while True:
        with stating(engine) as connection:
            row = connection.execute(_STATEMENTS[dialect(connection)], values).first()
        if row is None:
            return None
        claim = Claim(
            row.id, row.fleet, row.job_key, row.payload, row.fence, row.attempts, row.lease_until_ms, owner
        )
        if claim.attempts <= attempts:
            return claim
        # Where this process ends here, the lease does too, and the next claim comes here again.
        with writing(engine) as connection:
            if _changed(connection, claim, {"attempts": claim.attempts - 1}):
                _bury(connection, claim.id)


def renew_job(engine: Engine, claim: Claim, ttl_s: float) -> Claim:
    """Begin the time to live anew and return the claim with it; `LeaseLostError` when another has the job."""
    with writing(engine) as connection:
        until = now_ms(connection) + round(ttl_s * 1000)
        _change(connection, claim, {"lease_until_ms": until})
    return replace(claim, lease_until_ms=until)


def release_job(engine: Engine, claim: Claim, run_after_s: float = 0.0) -> None:
    """Let the job wait again without a fault of its own: the attempt does not count."""
    with writing(engine) as connection:
        _change(connection, claim, {"attempts": RetrainJob.attempts - 1})
        _wait(connection, claim, run_after_s)


def finish_job(
    engine: Engine,
    claim: Claim,
    version: NewVersion | None = None,
    judgements: Iterable[NewJudgement] = (),
    follow_up: FollowUp | None = None,
    note: str = "",
) -> VersionRow | None:
    """Commit a job: its version, judgements and follow-up, the job and its events "done", all or nothing.

    A commit whose answer was lost may be sent again: it finds its own, and returns what that made.

    Raises
    ------
    LeaseLostError
        Another took the job over; nothing was written.
    StoreError
        A version or a judgement is refused; nothing was written, and the job is still the caller's.
    """
    judgements = tuple(judgements)
    alone = version is None and not judgements and follow_up is None
    with (stating if alone else writing)(engine) as connection:
        if not _end(connection, claim, note):
            return _committed(connection, claim)
        if alone:
            return None
        row = None if version is None else put_version(connection, claim.fleet, version)
        for judgement in judgements:
            put_judgement(connection, claim.fleet, judgement, claim.id, row)
        if row is not None:
            mine = RetrainJob.id == claim.id
            connection.execute(update(RetrainJob).where(mine).values(model_version_id=row.id))
        if follow_up is not None:
            put_job(connection, claim.fleet, follow_up)
        return row


def fail_job(engine: Engine, claim: Claim, error: str, attempts: int, backoff_s: float) -> str:
    """Note why a job failed; return "queued", to be run again later, or "dead" after the last attempt.

    The wait is `backoff_s` after the first attempt and doubles with each, up to a day. A dead job keeps its
    error and its events for people to see; `retry_job` lets it run again.
    """
    with writing(engine) as connection:
        kept = error[-_ERROR:]
        _change(connection, claim, {"error": kept})
        if claim.attempts >= attempts:
            _bury(connection, claim.id)
            return "dead"
        # 2**20 times a millisecond is a quarter of an hour, times a minute two years: the day is the limit.
        _wait(connection, claim, backoff_s * 2 ** min(claim.attempts - 1, 20))
        return "queued"


def _end(connection: Connection, claim: Claim, note: str) -> bool:
    """Make a job and its events "done" if it is still the caller's; return whether it was."""
    values = {"id": claim.id, "fence": claim.fence, "owner": claim.owner, "note": note}
    kind = dialect(connection)
    if connection.execute(_ENDS[kind], values).first() is None:
        return False
    if kind == SQLITE:
        connection.execute(_EVENTS_END, {"id": claim.id})
    return True


def _wait(connection: Connection, claim: Claim, seconds: float) -> None:
    due = now_ms(connection) + delay_ms(seconds)
    requeue(connection, claim.id, claim.job_key, {"run_after_ms": due})


def _bury(connection: Connection, job_id: int) -> None:
    dead = {"state": "dead", "lease_until_ms": None, "finished_ts_ms": now_ms(connection)}
    connection.execute(update(RetrainJob).where(RetrainJob.id == job_id).values(dead))


def _change(connection: Connection, claim: Claim, values: Mapping[str, Any]) -> None:
    """Change a job that is still the caller's, and hold its row; else `LeaseLostError`."""
    if not _changed(connection, claim, values):
        raise _lost(connection, claim)


def _changed(connection: Connection, claim: Claim, values: Mapping[str, Any]) -> bool:
    mine = _of(claim, "running")
    return affected(connection.execute(update(RetrainJob).where(mine).values(dict(values)))) == 1


def _of(claim: Claim, state: str) -> ColumnElement[bool]:
    """Whether a job is in `state` by this claim.

    The fence would do, but for a server that crashed and forgot a claim: the next one has the same fence.
    """
    return and_(
        RetrainJob.id == claim.id,
        RetrainJob.fence == claim.fence,
        RetrainJob.lease_owner == claim.owner,
        RetrainJob.state == state,
    )


def _committed(connection: Connection, claim: Claim) -> VersionRow | None:
    """Return what this very claim committed before; `LeaseLostError` when it did not."""
    own = select(RetrainJob.model_version_id).where(_of(claim, "done"))
    found = connection.execute(own).first()
    if found is None:
        raise _lost(connection, claim)
    return None if found.model_version_id is None else get_row(connection, found.model_version_id)


def _lost(connection: Connection, claim: Claim) -> LeaseLostError:
    now = connection.execute(select(RetrainJob.__table__).where(RetrainJob.id == claim.id)).first()
    is_now = "gone" if now is None else f"{now.state}, last with {now.lease_owner!r}"
    return LeaseLostError(
        f"job {claim.id} of fleet {claim.fleet!r} was lost: {claim.owner!r} did not renew it in time and it "
        f"is {is_now}; nothing of this write was kept"
    )


def _typed(kind: str) -> TextualSelect:
    names = ("id", "fleet", "job_key", "payload", "fence", "attempts", "lease_until_ms")
    statement = text(_CLAIM[kind].format(now=NOW_MS[kind]))
    return statement.columns(*(getattr(RetrainJob, name) for name in names))


_STATEMENTS: Final = {kind: _typed(kind) for kind in _CLAIM}
