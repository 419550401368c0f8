"""The shadow: a challenger holds on live ticks before it serves, and is decided on in bounded time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.errors import ForecastError
from forecast.models.assemble import take
from forecast.models.records import Records
from pipelines.errors import ConflictError, PromotionError, StreamError
from pipelines.logs import log
from pipelines.retrain.backfill import backfill_of
from pipelines.retrain.contest import WARM_POINTS, Verdict, contest, judge
from pipelines.retrain.line import changed_since, judged_anew, serves_as
from pipelines.retrain.promote import check, promote
from pipelines.retrain.rebase import rebased
from pipelines.stream.served import nominal_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from pipelines.settings import Settings
    from pipelines.store import ChampionRow, Claim, FollowUp, Store, VersionRow

# Of a whole fleet a sample of so many series is replayed, evenly spread: what is worse on all of them
# together is seen on these, and a replay takes a second or two.
MOST_SERIES: Final = 2_000

# Steps of a path, where the job that trained the version does not say.
_HORIZON: Final = 24

# A challenger is decided on after so many times the time that its ticks should take, on what is there.
_PATIENCE: Final = 4.0
# ... but not before: a stream that restarts, or a monitor, takes minutes.
_LEAST_PATIENCE_S: Final = 900.0
# Part of the ticks that is enough then.
_ENOUGH: Final = 0.25

# Between two looks: not more often, so that a fast replay is no load; and not less, so that the end is seen.
_LEAST_DELAY_S: Final = 1.0
_MOST_DELAY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a shadow job."""

    kind: str
    """"wait", "promoted", "rejected", or "again": rejected, its series are judged anew."""
    why: str
    champion: ChampionRow | None = None
    """Who serves now, where it was promoted."""
    delay_s: float = 0.0
    """Until the next look, where it waits."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Champion and challenger on the series of the challenger that both have, in its order."""

    champion: Records
    challenger: Records
    n_series: int
    """Of the challenger, before the sample was taken."""


def judge_shadow(settings: Settings, store: Store, claim: Claim, *, now_ms: int | None = None) -> Outcome:
    """Judge the challenger of a shadow job on the ticks archived since its data ended, and act on it.

    It waits, and the job goes back into the queue, until every series has `shadow_ticks` scored ticks; or
    the time is up: then it is judged on what there is, and rejected where that is next to nothing. A
    challenger that passes becomes champion first, by compare-and-set, and the job is finished after: done
    again after a crash between the two, that changes nothing. Where another version changed the same series
    meanwhile, nothing is known of the challenger against that one: it is rejected, and they are judged anew.

    Parameters
    ----------
    claim
        Its payload has ``version``: sha256 or number.
    now_ms
        By the clock of the store where left out; it decides on patience only.

    Raises
    ------
    LeaseLostError
        Another worker has the job; nothing was changed, or it was promoted and the other finds that.
    StoreError
        The store does not answer.
    """
    row = store.version(claim.fleet, claim.payload["version"])
    champion = store.champion(claim.fleet)
    served = None if champion is None else serves_as(store, row, champion.version)
    if served is not None:
        if row.state == "shadow":  # it serves on top of another version
            store.set_state(row, "retired")
        already = Outcome("promoted", "it is champion already", champion)
        return _finish(store, claim, served, None, already, follow_up=backfill_of(store, served, row))
    try:
        others = [] if champion is None else changed_since(store, row, champion.version)
        if champion is not None and others:
            return _again(store, claim, row, champion, others)
        if row.state == "rejected":
            return _finish(store, claim, row, None, Outcome("rejected", "it was rejected already"))
        check(store, row, champion)
        now = store.now_ms() if now_ms is None else now_ms
        verdict = _verdict(settings, store, row, champion, now)
    except (PromotionError, ForecastError, StreamError) as error:
        if getattr(error, "retriable", False):
            raise
        verdict = Verdict(False, str(error), {"passed": False, "why": str(error)})
    if isinstance(verdict, Outcome):
        store.release_job(claim, verdict.delay_s)
        log.info("%s stays in the shadow: %s", row.name, verdict.why)
        return verdict
    store.renew_job(claim, settings.lease_ttl_s)  # who lost the job must not promote
    if not verdict.passed:
        return _reject(store, claim, row, champion, verdict)
    try:
        return _promote(settings, store, claim, row, champion, verdict)
    except ConflictError as error:  # it is judged again, against the champion that came meanwhile
        store.release_job(claim, _LEAST_DELAY_S)
        return Outcome("wait", str(error), delay_s=_LEAST_DELAY_S)
    except PromotionError as error:
        refused = {**verdict.evidence, "passed": False, "why": str(error)}
        return _reject(store, claim, row, champion, Verdict(False, str(error), refused))


def load_pair(
    store: Store, row: VersionRow, champion: VersionRow, most: int = MOST_SERIES
) -> tuple[Pair | None, str]:
    """Return both on the series of the challenger, and the alias of the model; None where they share none.

    Of several models it is the one that the champion serves by, where the challenger has it.
    """
    from forecast.models import version
    from pipelines.stream.loading import choose

    def load(name: str) -> version.ModelVersion:
        return version.load(store.version(row.fleet, name).artifact_uri)

    models = {each.alias: each for each in version.resolve(load(champion.version), load)}
    own = {each.alias: each.records for each in load(row.version).models}
    try:
        alias = choose(list(models.values()), None, champion.metrics, champion.name).alias
    except StreamError:  # not told by which it serves: any says something
        alias = next(iter(models))
    if alias not in own:
        alias = next(iter(own))
    if alias not in models:
        return None, alias
    old, new = models[alias].records, own[alias]
    at = {key: i for i, key in enumerate(old.ids.tolist())}
    rows = np.array([i for i, key in enumerate(new.ids.tolist()) if key in at], dtype=np.int64)
    if not len(rows):
        return None, alias
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
    where = np.array([at[key] for key in new.ids[rows].tolist()], dtype=np.int64)
    return Pair(take(old, where), take(new, rows), new.n_series), alias


def _verdict(
    settings: Settings, store: Store, row: VersionRow, champion: ChampionRow | None, now_ms: int
) -> Verdict | Outcome:
    """Return the verdict, or that it is too early for one."""
    if champion is None:
        return _unchallenged("there is no champion to compare with")
    pair, alias = load_pair(store, row, champion.version)
    if pair is None:
        return _unchallenged(f"the champion has none of its series in the model {alias!r}")
    h = _horizon(row)
    found = contest(pair.champion, pair.challenger, _read(settings, row.fleet, pair), h)
    counts = found.ticks()
    elapsed_s = max(0.0, (now_ms - row.added_ts_ms) / 1000.0)
    early = patience(int(counts[0]), settings.shadow_ticks, _step_s(pair.challenger), elapsed_s)
    if early is not None:
        why = f"{counts[0]} of {settings.shadow_ticks} ticks of its slowest series are there"
        return Outcome("wait", why, delay_s=early)
    verdict = _at_last(judge(found, h, settings.retrain_alpha), found.ticks(), settings, elapsed_s)
    facts = {
        "model": alias, "row_version": champion.row_version, "n_changed": pair.n_series,
        "ticks_fewest": int(counts[0]), "ticks_most": int(counts[-1]), "shadow_ticks": settings.shadow_ticks,
        "waited_s": round(elapsed_s),
    }  # fmt: skip
    return Verdict(verdict.passed, verdict.why, {**facts, **verdict.evidence})


def patience(fewest: int, wanted: int, step_s: float, elapsed_s: float) -> float | None:
    """Return how many seconds to wait before the next look; None: it is to be decided now.

    Parameters
    ----------
    fewest
        Scored ticks of the series that has the fewest.
    wanted
        `shadow_ticks`.
    step_s
        Nominal step of the grid.
    elapsed_s
        Since the challenger was registered.
    """
    limit_s = max(_PATIENCE * wanted * step_s, _LEAST_PATIENCE_S)
    if fewest >= wanted or elapsed_s >= limit_s:
        return None
    # By the pace seen so far, which of a replay is not that of the grid; at first by the grid.
    pace_s = elapsed_s / fewest if fewest else step_s
    delay_s = min((wanted - fewest) * min(pace_s, step_s), _MOST_DELAY_S, limit_s - elapsed_s)
    return max(delay_s, _LEAST_DELAY_S)


def _at_last(verdict: Verdict, counts: Any, settings: Settings, elapsed_s: float) -> Verdict:  # noqa: ANN401
    """Say so where the time was up; of next to nothing no verdict is made."""
    if int(counts[0]) >= settings.shadow_ticks:
        return verdict
    wanted = settings.shadow_ticks
    enough = float(np.mean(counts)) >= _ENOUGH * wanted
    why = (
        f"after {elapsed_s:.0f} s the series have {np.mean(counts):.1f} ticks in the mean and "
        f"{int(counts[0])} at least, of {wanted}"
    )
    if not enough:
        silent = f"{why}: too few to judge by; is the feed, or the monitor, silent?"
        return Verdict(
            False, silent, {**verdict.evidence, "passed": False, "why": silent, "time_is_up": True}
        )
    text = f"{verdict.why}; {why}"
    return Verdict(verdict.passed, text, {**verdict.evidence, "why": text, "time_is_up": True})


def _unchallenged(why: str) -> Verdict:
    """Nobody to be worse than: what the gate found has to do."""
    return Verdict(True, why, {"passed": True, "why": why})


def _promote(
    settings: Settings, store: Store, claim: Claim, row: VersionRow, champion: ChampionRow | None,
    verdict: Verdict,
) -> Outcome:  # fmt: skip
    old = None if champion is None else champion.version
    made = rebased(store, row, old, settings.model_root)
    reason = f"job {claim.id}, shadow: {verdict.why}"
    now = promote(
        store, claim.fleet, made, reason=reason, expected=0 if champion is None else champion.row_version
    )
    if made.id != row.id:
        store.set_state(row, "retired")
        verdict.evidence["rebased_from"] = row.ver
    outcome = Outcome("promoted", verdict.why, now)
    return _finish(store, claim, made, old, outcome, verdict, backfill_of(store, made, row))


def _reject(
    store: Store, claim: Claim, row: VersionRow, champion: ChampionRow | None, verdict: Verdict
) -> Outcome:
    store.set_state(row, "rejected")
    log.warning("%s is rejected: %s", row.name, verdict.why)
    old = None if champion is None else champion.version
    return _finish(store, claim, row, old, Outcome("rejected", verdict.why), verdict)


def _again(store: Store, claim: Claim, row: VersionRow, champion: ChampionRow, others: list[str]) -> Outcome:
    """Reject a challenger that never met who serves some of its series now, and have all of them judged."""
    from forecast.models import version

    some = f"{others[0]!r}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")
    why = f"{champion.version.name} changed {some} since {row.name} was made: they are judged anew"
    store.set_state(row, "rejected")
    log.warning("%s is rejected: %s", row.name, why)
    own = {str(key) for model in version.load(row.artifact_uri).models for key in model.records.ids.tolist()}
    verdict = Verdict(False, why, {"passed": False, "why": why, "changed_meanwhile": len(others)})
    follow = judged_anew(row, claim.payload, sorted(own))
    return _finish(store, claim, row, champion.version, Outcome("again", why), verdict, follow)


def _finish(
    store: Store, claim: Claim, row: VersionRow, against: VersionRow | None, outcome: Outcome,
    verdict: Verdict | None = None, follow_up: FollowUp | None = None,
) -> Outcome:  # fmt: skip
    from pipelines.store import NewJudgement

    judgements: tuple[NewJudgement, ...] = ()
    if verdict is not None:
        judgements = (NewJudgement("shadow", verdict.passed, verdict.evidence, row, against),)
    note = f"{outcome.kind}: {outcome.why}"
    store.finish_job(claim, judgements=judgements, follow_up=follow_up, note=note)
    return outcome


def _read(settings: Settings, fleet: str, pair: Pair) -> pd.DataFrame:
    """Return the archived ticks of the series: since the end of the challenger's data, and some before."""
    from pipelines.history.ticks import read_ticks
    from pipelines.stream.grid import Grid

    records = pair.challenger
    ends = Grid.of(records.freq).ts_ms(records.start, records.nobs.astype(np.int64))
    after = int(ends.min()) - WARM_POINTS * nominal_step(records.freq)
    ids = [str(key) for key in records.ids.tolist()]
    return read_ticks(settings.history_root / fleet / "ticks", ids, after_ms=after)


def _horizon(row: VersionRow) -> int:
    job: Mapping[str, Any] = (row.training or {}).get("job", {})
    horizon = job.get("horizon", _HORIZON)
    return horizon if isinstance(horizon, int) and 1 <= horizon <= 10_000 else _HORIZON


def _step_s(records: Records) -> float:
    return nominal_step(records.freq) / 1000.0
