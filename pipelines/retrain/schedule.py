"""Refits by the clock: every fire time of a schedule becomes one job, whoever looks and how often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from forecast.errors import nearest
from pipelines.logs import log
from pipelines.retrain.cron import parse_cron

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.store import Store


@dataclass(frozen=True, slots=True)
class Due:
    """A fleet that is to be refitted."""

    fleet: str
    fire_ms: int
    """When its schedule said so."""

    @property
    def job_key(self) -> str:
        """One for each fire time, for ever."""
        when = datetime.fromtimestamp(self.fire_ms / 1000, UTC).isoformat(timespec="minutes")
        return f"{self.fleet}/clock/{when}"


def due_schedules(schedules: Mapping[str, str], since: Mapping[str, int], now_ms: int) -> list[Due]:
    """Return which fleets are due: at most one fire time each, the last one up to now.

    After downtime what was missed is made up for once, not once for every time that passed.

    Parameters
    ----------
    schedules
        Cron expressions by fleet, in UTC.
    since
        By fleet: fire times up to then have been seen to; ms UTC. Fleets that are not in it are left out.
    now_ms
        ms UTC.

    Raises
    ------
    SettingsError
        An expression makes no sense (all are read first), or APScheduler is not installed.
    """
    clocks = {fleet: parse_cron(fleet, text) for fleet, text in schedules.items()}
    found = []
    for fleet, clock in clocks.items():
        if fleet in since:
            fire = clock.last(_time(since[fleet]), _time(now_ms))
            if fire is not None:
                found.append(Due(fleet, round(fire.timestamp() * 1000)))
    return found


def enqueue_due(store: Store, schedules: Mapping[str, str], now_ms: int | None = None) -> list[int]:
    """Put a refit of every fleet that is due into the queue; return the ids of their jobs, new or known.

    A fire time before the fleet was last fitted whole is seen to already. Several workers at once, or one
    with a wrong clock, make one job of a fire time: its key is taken for ever.

    Raises
    ------
    SettingsError
        As `due_schedules`.
    StoreError
        The store does not answer.
    """
    if not schedules:
        return []
    since: dict[str, int] = {}
    for row in store.versions():
        if row.parent_version is None:
            since[row.fleet] = max(since.get(row.fleet, 0), row.added_ts_ms)
    for fleet in schedules:
        if fleet not in since:
            log.warning("schedules: fleet %r has no version to refit%s", fleet, nearest(fleet, since))
    now = store.now_ms() if now_ms is None else now_ms
    return [
        store.enqueue(due.fleet, {"kind": "refit", "fire_ms": due.fire_ms}, job_key=due.job_key, once=True)
        for due in due_schedules(schedules, since, now)
    ]


def _time(ts_ms: int) -> datetime:
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
