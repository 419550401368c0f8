"""Drift events: recorded once, before a job is made of them, in the transaction that makes the job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.errors import StoreError
from pipelines.store.address import SQLITE
from pipelines.store.engine import dialect, now_ms, reading, writing
from pipelines.store.jobs import FollowUp, put_job
from pipelines.store.snapshots import NewSnapshot, put_snapshot
from pipelines.store.tables import EVENT_STATES, DriftEvent

# A statement's parameters are limited, to 32,766 on SQLite.
_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An alarm."""

    fleet: str
    version: str
    """sha256 of the version that served."""
    series_key: str | None
    """`unique_id`; None: the whole fleet."""
    model: str
    """Alias."""
    detector: str
    ts_ms: int
    """Of the tick."""
    statistic: float
    threshold: float
    dedup_key: str
    """Equal keys are one event, however often and by whomever they are recorded."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event that was recorded."""

    id: int
    event: NewEvent
    recorded_ts_ms: int
    """By the clock of the store."""
    state: str
    """"coalesced": its job is to come, runs or is dead; "done"; "ignored": no job was wanted."""
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one call recorded."""

    new: int
    """Events that were not known."""
    jobs: tuple[int, ...]
    """Jobs that they joined, by the name of the fleet."""
    epoch: int | None = None
    """Of the snapshot that was kept with them; None without one."""


def record_events(
    engine: Engine,
    events: Iterable[NewEvent],
    enqueue: bool = True,
    job_key: str | None = None,
    run_after_s: float = 0.0,
    snapshot: NewSnapshot | None = None,
    ignored: Iterable[NewEvent] = (),
) -> Recorded:
    """Record events, the jobs that they ask for and the monitor's snapshot: all, or nothing.

    Parameters
    ----------
    events
        Those whose `dedup_key` is known already are left out.
    enqueue
        False: the events are "ignored", no job is made.
    job_key
        Of the one fleet that the events are of; None: each fleet's own.
    run_after_s
        How long a new job waits for more events, in seconds.
    ignored
        Further events, in the same transaction, that no job is made of.

    Raises
    ------
    ConflictError
        Another monitor wrote the snapshot since.
    StoreError
        An event holds a NaN; a `job_key` is given for several fleets.
    """
    wanted = list(events)
    fleets = sorted({event.fleet for event in wanted})
    if job_key is not None and len(fleets) > 1:
        raise StoreError(f"one job is of one fleet, job_key {job_key!r} was given for {fleets}")
    found = _unique(ignored, "ignored") | _unique(wanted, "coalesced" if enqueue else "ignored")
    with writing(engine) as connection:
        epoch = None if snapshot is None else put_snapshot(connection, snapshot)
        added = _insert(connection, found)
        waiting = sorted({row.fleet for row in added if row.state == "coalesced"})
        jobs = []
        for fleet in waiting:
            jobs.append(put_job(connection, fleet, FollowUp({"kind": "drift"}, job_key, run_after_s)))
            joins = [row.id for row in added if row.fleet == fleet and row.state == "coalesced"]
            _join(connection, joins, jobs[-1])
        return Recorded(len(added), tuple(jobs), epoch)


def list_events(
    engine: Engine,
    fleet: str | None = None,
    job_id: int | None = None,
    state: str | None = None,
    last: int | None = None,
) -> list[EventRow]:
    """Return events, of a fleet, of a job, in a state, the `last` ones, oldest first."""
    if state is not None and state not in EVENT_STATES:
        raise StoreError(f"state {state!r} is unknown; known: {', '.join(EVENT_STATES)}")
    query = select(DriftEvent.__table__).order_by(DriftEvent.id.desc()).limit(last)
    wanted = ((DriftEvent.fleet, fleet), (DriftEvent.job_id, job_id), (DriftEvent.state, state))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    with reading(engine) as connection:
        return [_row(found) for found in connection.execute(query).all()[::-1]]


def _unique(events: Iterable[NewEvent], state: str) -> dict[str, dict[str, Any]]:
    """Return the values of each event by its key."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if math.isnan(event.statistic) or math.isnan(event.threshold):
            raise StoreError(
                f"the event {event.dedup_key!r} of {event.series_key!r} has the statistic {event.statistic} "
                f"and the threshold {event.threshold}: both must be numbers"
            )
        found.setdefault(event.dedup_key, asdict(event) | {"state": state})
    return found


def _insert(connection: Connection, events: Mapping[str, dict[str, Any]]) -> list[Row[int, str, str]]:
    """Insert what is new, and return `id, fleet, state` of it."""
    insert = sqlite.insert if dialect(connection) == SQLITE else postgresql.insert
    now = now_ms(connection)
    keys = sorted(events)  # two writers of the same events never wait for each other in a circle
    added: list[Row[int, str, str]] = []
    for first in range(0, len(keys), _BATCH):
        rows = [events[key] | {"recorded_ts_ms": now} for key in keys[first : first + _BATCH]]
        new = insert(DriftEvent).values(rows).on_conflict_do_nothing(index_elements=["dedup_key"])
        what = DriftEvent.id, DriftEvent.fleet, DriftEvent.state
        added.extend(connection.execute(new.returning(*what)).all())
    return added


def _join(connection: Connection, keys: Sequence[int], job_id: int) -> None:
    for first in range(0, len(keys), _BATCH):
        part = DriftEvent.id.in_(keys[first : first + _BATCH])
        connection.execute(update(DriftEvent).where(part).values(job_id=job_id))


def _row(found: Row[Any]) -> EventRow:
    event = NewEvent(
        found.fleet, found.version, found.series_key, found.model, found.detector, found.ts_ms,
        found.statistic, found.threshold, found.dedup_key,
    )  # fmt: skip
    return EventRow(found.id, event, found.recorded_ts_ms, found.state, found.job_id)
