"""Why a version serves, or does not: everything the store knows of its way, in one value."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.store import EventRow, JobRow, JudgementRow, PromotionRow, Store, VersionRow

# Names of series that are listed; the number of all is told beside them.
_NAMED: Final = 20

# Numbers of a judgement that a line shows, the first ones; --json has all.
_FIGURES: Final = 24


@dataclass(frozen=True, slots=True)
class Alarms:
    """Drift events of one job by one detector."""

    detector: str
    count: int
    n_series: int
    series: tuple[str, ...]
    """The first of them by name."""
    first: str
    """Time of the first tick that alarmed, ISO 8601."""
    last: str
    largest: float
    """Largest statistic over its threshold."""


@dataclass(frozen=True, slots=True)
class Run:
    """A job that led to the version, or was about it."""

    id: int
    kind: str
    state: str
    attempts: int
    owner: str | None
    created: str
    finished: str | None
    note: str | None
    error: str | None
    alarms: tuple[Alarms, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """One judgement."""

    stage: str
    passed: bool
    ts: str
    job_id: int | None
    against: str | None
    """``FLEET@N``"""
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the champion that the version took part in."""

    row_version: int
    ts: str
    to: str
    """Who served from then on."""
    before: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Trail:
    """The way of a version."""

    name: str
    version: str
    state: str
    added: str
    n_series: int
    """That it holds itself: the changed ones, where it has parents."""
    parents: tuple[str, ...]
    """The nearest first."""
    jobs: tuple[Run, ...]
    judgements: tuple[Tested, ...]
    changes: tuple[Change, ...]
    serves: bool
    announced: bool | None
    """Whether streams were told of the champion; None where another version serves."""
    mirrored: bool | None
    """Likewise of MLflow."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def trail(store: Store, fleet: str, version: str | int) -> Trail:
    """Return the trail of a version.

    Parameters
    ----------
    version
        Its number, its sha256, or "champion".

    Raises
    ------
    StoreError
        There is no such version.
    """
    row = store.version(fleet, version)
    champion = store.champion(fleet)
    serves = champion is not None and champion.version.id == row.id
    told = None if champion is None or not serves else champion
    jobs = jobs_behind(store, row)
    return Trail(
        name=row.name,
        version=row.version,
        state=row.state,
        added=_time(row.added_ts_ms),
        n_series=row.n_series,
        parents=_parents(store, row),
        jobs=tuple(_run(store, job) for job in jobs),
        judgements=tuple(_tested(fleet, one) for one in _judgements(store, row, jobs)),
        changes=tuple(_change(fleet, one) for one in store.promotions(fleet) if _is_of(one, row)),
        serves=serves,
        announced=None if told is None else told.announced >= told.row_version,
        mirrored=None if told is None else told.mirrored >= told.row_version,
    )


def lines(found: Trail) -> list[tuple[str, str]]:
    """Return a trail for people: what a line is about, and the line."""
    out: list[tuple[str, str]] = []
    for job in found.jobs:
        out += [("event", _alarm_line(one)) for one in job.alarms]
        out.append(("job", _job_line(job)))
    out += [("judgement", _judgement_line(one)) for one in found.judgements]
    for one in found.changes:
        before = "" if one.before is None else f", in place of {one.before}"
        out.append(("promotion", f"{one.row_version}: {one.ts} {one.to}{before}; {one.reason or '-'}"))
    if found.serves:
        stream = "streams were told" if found.announced else "streams are not told yet"
        mlflow = "MLflow was told" if found.mirrored else "MLflow is not told yet"
        out.append(("serves", f"yes; {stream}, {mlflow}"))
    else:
        out.append(("serves", f"no, {found.state}"))
    return out


def _job_line(job: Run) -> str:
    who = f" by {job.owner}" if job.owner else ""
    text = f"{job.id}: {job.created} {job.kind}, {job.state}, attempts {job.attempts}{who}"
    text += f", ended {job.finished}" if job.finished else ""
    text += f": {job.note}" if job.note else ""
    return text + (f"; it failed: {job.error.splitlines()[-1]}" if job.error else "")


def _alarm_line(one: Alarms) -> str:
    more = f" and {one.n_series - len(one.series)} more" if one.n_series > len(one.series) else ""
    names = ", ".join(one.series) if one.series else "the whole fleet"
    return (
        f"{one.detector}: {one.count} from {one.first} to {one.last}, at most {one.largest:.3g} times the "
        f"threshold: {names}{more}"
    )


def _judgement_line(one: Tested) -> str:
    verdict = "passed" if one.passed else "failed"
    against = "" if one.against is None else f" against {one.against}"
    why = one.evidence.get("why") or one.evidence.get("reason") or ""
    figures = ", ".join(f"{name} {text}" for name, text in _figures(one.evidence)[:_FIGURES])
    return f"{one.stage}: {one.ts} {verdict}{against}: {why}" + (f" ({figures})" if figures else "")


def _figures(evidence: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Return the numbers of an evidence by their path, in its order; lists, texts and facts are left out."""
    found: list[tuple[str, str]] = []
    for name, value in evidence.items():
        where = f"{path}.{name}" if path else str(name)
        if isinstance(value, dict):
            found += _figures(value, where)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((where, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return found


def jobs_behind(store: Store, row: VersionRow) -> list[JobRow]:
    """Return the jobs that made a version, or were about it, and those that led to these, oldest first."""
    jobs = {job.id: job for job in store.jobs(row.fleet)}
    judged = {one.job_id for one in store.judgements(row.fleet, row)}
    found: set[int] = set()
    waiting = [
        job.id
        for job in jobs.values()
        if job.version == row.version or job.id in judged or job.payload.get("version") == row.version
    ]
    while waiting:  # a promotion, a shadow, a second judgement name the job before them
        job = jobs.get(waiting.pop())
        if job is not None and job.id not in found:
            found.add(job.id)
            before = job.payload.get("job")
            waiting += [before] if isinstance(before, int) else []
    return [jobs[key] for key in sorted(found)]


def _judgements(store: Store, row: VersionRow, jobs: Sequence[JobRow]) -> list[JudgementRow]:
    """Return the judgements of a version, and of what it was before it was put on top of another."""
    mine, own = {one.id for one in store.judgements(row.fleet, row)}, {job.id for job in jobs}
    return [one for one in store.judgements(row.fleet) if one.id in mine or one.job_id in own]


def _run(store: Store, job: JobRow) -> Run:
    return Run(
        id=job.id,
        kind=str(job.payload.get("kind", "drift")),
        state=job.state,
        attempts=job.attempts,
        owner=job.owner,
        created=_time(job.created_ts_ms),
        finished=None if job.finished_ts_ms is None else _time(job.finished_ts_ms),
        note=job.note,
        error=job.error,
        alarms=_alarms(store.job_events(job.id)),
    )


def _alarms(events: Sequence[EventRow]) -> tuple[Alarms, ...]:
    found = []
    for detector in Counter(row.event.detector for row in events):
        own = [row.event for row in events if row.event.detector == detector]
        names = sorted({event.series_key for event in own if event.series_key is not None})
        times = [event.ts_ms for event in own]
        largest = max(
            (abs(event.statistic / event.threshold) for event in own if event.threshold), default=0.0
        )
        found.append(
            Alarms(
                detector,
                len(own),
                len(names),
                tuple(names[:_NAMED]),
                _time(min(times)),
                _time(max(times)),
                largest,
            )
        )
    return tuple(found)


def _tested(fleet: str, one: JudgementRow) -> Tested:
    against = None if one.against_ver is None else f"{fleet}@{one.against_ver}"
    return Tested(one.stage, one.passed, _time(one.ts_ms), one.job_id, against, one.evidence)


def _change(fleet: str, one: PromotionRow) -> Change:
    before = None if one.previous_ver is None else f"{fleet}@{one.previous_ver}"
    return Change(one.row_version, _time(one.ts_ms), f"{fleet}@{one.ver}", before, one.reason)


def _is_of(one: PromotionRow, row: VersionRow) -> bool:
    return row.ver in (one.ver, one.previous_ver)


def _parents(store: Store, row: VersionRow) -> tuple[str, ...]:
    found = []
    parent = row.parent_version
    while parent is not None:
        above = store.version(row.fleet, parent)
        found.append(above.name)
        parent = above.parent_version
    return tuple(found)


def _time(ts_ms: int) -> str:
    """Return a time in ISO 8601, UTC; of a grid of ints, and beyond the calendar, the number itself."""
    try:
        return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return str(ts_ms)
