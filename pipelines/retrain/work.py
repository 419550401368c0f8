"""One job of the queue at work: refit and judge, promote, or look at a shadow; committed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import ConflictError, PromotionError, TrainError
from pipelines.logs import log
from pipelines.retrain.backfill import backfill, backfill_of
from pipelines.retrain.line import judged_anew, serves_as
from pipelines.retrain.promote import promote
from pipelines.retrain.refit import Refit, Wanted, refit
from pipelines.retrain.shadow import judge_shadow
from pipelines.retrain.source import Source

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store import ChampionRow, Claim, FollowUp, NewJudgement, NewVersion, Store

DRIFT: Final = "drift"
REFIT: Final = "refit"
SHADOW: Final = "shadow"
PROMOTE: Final = "promote"
BACKFILL: Final = "backfill"
KINDS: Final = (DRIFT, REFIT, SHADOW, PROMOTE, BACKFILL)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a run of a job."""

    job_id: int
    fleet: str
    kind: str
    outcome: str
    """"passed" (a challenger goes on), "kept" (the champion stays), "promoted", "backfilled", "waits",
    "again", "failed", "dead", "lost" or "stopped"."""
    why: str
    version: str | None = None
    """Name of the version that was made, or promoted."""


def run_job(
    settings: Settings,
    store: Store,
    claim: Claim,
    *,
    source: Source | None = None,
    progress: Progress | None = None,
) -> Ended:
    """Run a claimed job to its commit.

    Parameters
    ----------
    source
        Data of a refit in place of the history of the training; what the job itself names goes before.
    progress
        Called after every origin of a challenge; what it raises ends the job before anything is written.

    Raises
    ------
    LeaseLostError
        Another worker has the job; nothing was committed.
    PipelineError, ForecastError
        The job failed, and is still the caller's: to be given back with `fail_job`.
    """
    kind = str(claim.payload.get("kind", DRIFT))
    if kind == SHADOW:
        return _shadow(settings, store, claim)
    if kind == PROMOTE:
        return _promote(store, claim)
    if kind == BACKFILL:
        return _backfill(settings, store, claim)
    if kind in (DRIFT, REFIT):
        return _refit(settings, store, claim, kind, source, progress)
    raise TrainError(
        f"job {claim.id} is of kind {kind!r}, which this program does not know: {', '.join(KINDS)}"
    )


def _refit(
    settings: Settings, store: Store, claim: Claim, kind: str, source: Source | None,
    progress: Progress | None,
) -> Ended:  # fmt: skip
    champion = store.champion(claim.fleet)
    if champion is None:
        raise TrainError(
            f"fleet {claim.fleet!r} has no champion to refit: `forecast train` makes one, "
            f"`forecast models promote {claim.fleet}@NUMBER` chooses one"
        )
    wanted = _wanted(store, claim, kind)
    if wanted.series is not None and not wanted.series:
        return _end(
            store, claim, kind, "kept", "no event of a series came with it, nothing is to be refitted"
        )
    found = refit(
        settings, store, champion, wanted, stage=f"retrain-{claim.id}-{claim.fence}",
        source=_source(claim.payload, settings) or source, progress=progress,
    )  # fmt: skip
    return _commit(settings, store, claim, kind, champion, wanted, found)


def _wanted(store: Store, claim: Claim, kind: str) -> Wanted:
    """Return what a job is about: the series of its events, and those that it names itself."""
    named = claim.payload.get("series")
    alias = claim.payload.get("model")
    if kind == REFIT or named == "all":
        return Wanted(None, alias)
    series = {str(key) for key in named or ()}
    for row in store.job_events(claim.id):
        if row.event.series_key is not None:
            series.add(row.event.series_key)
    return Wanted(frozenset(series), alias)


def _source(payload: Mapping[str, Any], settings: Settings) -> Source | None:
    if payload.get("input") is None:
        return None
    sql = bool(payload.get("sql"))
    return Source(str(payload["input"]), sql, settings.source() if sql else None)


def _commit(
    settings: Settings, store: Store, claim: Claim, kind: str, champion: ChampionRow, wanted: Wanted,
    found: Refit,
) -> Ended:  # fmt: skip
    """Commit version, judgements, follow-up and the job in one transaction."""
    from pipelines.store import NewJudgement, NewVersion

    against = champion.version
    judgements: list[NewJudgement] = [
        NewJudgement("gate", bool(found.gate["passed"]), found.gate, None, against)
    ]
    if found.parity is not None:
        judgements.append(NewJudgement("parity", found.passed, found.parity, None, against))
    version: NewVersion | None = None
    follow: FollowUp | None = None
    if found.manifest is not None:
        state = "rejected" if not found.passed else "shadow" if settings.shadow_ticks else "candidate"
        version = NewVersion(
            found.manifest, str(found.folder), against.version, state=state, metrics=against.metrics
        )
        if found.passed:
            follow = _follow(settings, claim, champion, wanted, found)
    row = store.finish_job(claim, version=version, judgements=judgements, follow_up=follow, note=found.why)
    outcome = "passed" if found.passed else "kept"
    name = None if row is None else row.name
    log.info("job %d of %s: %s%s", claim.id, claim.fleet, found.why, f" ({name})" if name else "")
    return Ended(claim.id, claim.fleet, kind, outcome, found.why, name)


def _follow(
    settings: Settings, claim: Claim, champion: ChampionRow, wanted: Wanted, found: Refit
) -> FollowUp:  # fmt: skip
    """Return the job that comes next; promotion is one too, so that a kill between the two loses nothing."""
    from pipelines.store import FollowUp

    if found.manifest is None:
        raise TrainError("no version was made")
    version = found.manifest.version
    payload: dict[str, Any] = {
        "version": version, "job": claim.id, "model": wanted.alias,
        "input": claim.payload.get("input"), "sql": claim.payload.get("sql"),
    }  # fmt: skip
    if settings.shadow_ticks:
        return FollowUp({"kind": SHADOW, **payload}, f"{claim.fleet}/shadow/{version}")
    series = "all" if wanted.series is None else sorted(wanted.series)
    payload |= {"row_version": champion.row_version, "why": found.why, "series": series}
    return FollowUp({"kind": PROMOTE, **payload}, f"{claim.fleet}/promote/{version}")


def _promote(store: Store, claim: Claim) -> Ended:
    """Make a version champion; where another one came meanwhile, its series are judged anew."""
    from pipelines.store import NewJudgement

    payload = claim.payload
    row = store.version(claim.fleet, payload["version"])
    reason = f"job {payload.get('job')}: {payload.get('why', '')}"
    try:
        promote(store, claim.fleet, row, reason=reason, expected=int(payload["row_version"]))
    except ConflictError as error:
        champion = store.champion(claim.fleet)
        if champion is not None and serves_as(store, row, champion.version) is not None:
            # Promoted by a worker that was killed then; another one came on top of it.
            return _end(store, claim, PROMOTE, "promoted", reason, row.name)
        store.set_state(row, "rejected")
        follow = judged_anew(row, payload, payload.get("series"))
        return _end(store, claim, PROMOTE, "again", str(error), row.name, follow_up=follow)
    except PromotionError as error:
        if error.retriable:
            raise
        store.set_state(row, "rejected")
        refused = NewJudgement("gate", False, {"passed": False, "why": str(error)}, row)
        return _end(store, claim, PROMOTE, "kept", str(error), row.name, judgements=[refused])
    return _end(store, claim, PROMOTE, "promoted", reason, row.name, follow_up=backfill_of(store, row))


def _backfill(settings: Settings, store: Store, claim: Claim) -> Ended:
    """Write what the new champion would have said since the drift; a job of its own: nothing waits for it."""
    row = store.version(claim.fleet, claim.payload["version"])
    rows = backfill(settings, store, row, since_ms=int(claim.payload["since_ms"]))
    why = f"{rows} rows of forecasts since the drift"
    return _end(store, claim, BACKFILL, "backfilled", why, row.name)


def _shadow(settings: Settings, store: Store, claim: Claim) -> Ended:
    outcome = judge_shadow(settings, store, claim)
    words = {"wait": "waits", "promoted": "promoted", "rejected": "kept", "again": "again"}
    name = None if outcome.champion is None else outcome.champion.version.name
    return Ended(claim.id, claim.fleet, SHADOW, words[outcome.kind], outcome.why, name)


def _end(
    store: Store, claim: Claim, kind: str, outcome: str, why: str, version: str | None = None,
    judgements: Sequence[NewJudgement] = (), follow_up: FollowUp | None = None,
) -> Ended:  # fmt: skip
    store.finish_job(claim, judgements=judgements, follow_up=follow_up, note=why)
    log.info("job %d of %s: %s", claim.id, claim.fleet, why)
    return Ended(claim.id, claim.fleet, kind, outcome, why, version)
