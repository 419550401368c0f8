"""Drift events: recorded once, before a job is made of them, in the transaction that makes the job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
    found, noted = _unique(events), _unique(ignored)
    fleets = sorted({event.fleet for event in found})
    if job_key is not None and len(fleets) > 1:
        raise StoreError(f"one job is of one fleet, job_key {job_key!r} was given for {fleets}")
    with writing(engine) as connection:
        epoch = None if snapshot is None else put_snapshot(connection, snapshot)
        state = "coalesced" if enqueue else "ignored"
        keys = _insert(connection, found, state)
        jobs = []
        for fleet in sorted(keys):
            if enqueue:
                jobs.append(put_job(connection, fleet, FollowUp({"kind": "drift"}, job_key, run_after_s)))
                _join(connection, keys[fleet], jobs[-1])
        notes = _insert(connection, noted, "ignored")
        return Recorded(sum(map(len, (*keys.values(), *notes.values()))), tuple(jobs), epoch)


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


def _unique(events: Iterable[NewEvent]) -> list[NewEvent]:
    """Return the events in the order of their keys: two writers of the same ones never wait in a circle."""
    found = {event.dedup_key: event for event in reversed(list(events))}
    for event in found.values():
        if math.isnan(event.statistic) or math.isnan(event.threshold):
            raise StoreError(
                f"the event {event.dedup_key!r} of {event.series_key!r} has the statistic {event.statistic} "
                f"and the threshold {event.threshold}: both must be numbers"
            )
    return [found[key] for key in sorted(found)]


def _insert(connection: Connection, events: Sequence[NewEvent], state: str) -> dict[str, list[int]]:
    """Insert what is new, and return its row ids by fleet."""
    insert = sqlite.insert if dialect(connection) == SQLITE else postgresql.insert
    more = {"state": state, "recorded_ts_ms": now_ms(connection)}
    keys: dict[str, list[int]] = {}
    for first in range(0, len(events), _BATCH):
        rows = [asdict(event) | more for event in events[first : first + _BATCH]]
        added = insert(DriftEvent).values(rows).on_conflict_do_nothing(index_elements=["dedup_key"])
        for key, fleet in connection.execute(added.returning(DriftEvent.id, DriftEvent.fleet)):
            keys.setdefault(fleet, []).append(key)
    return keys


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
