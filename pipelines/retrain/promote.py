"""Who serves a fleet: changed by compare-and-set, after the version was read back and found sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forecast.errors import ForecastError
from pipelines.errors import ConflictError, PromotionError, StreamError
from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.store import ChampionRow, Lease, PromotionRow, Store, VersionRow


def promote(
    store: Store,
    fleet: str,
    version: VersionRow | str | int,
    *,
    reason: str,
    lease: Lease | None = None,
    expected: int | None = None,
    force: bool = False,
    by_hand: bool = False,
) -> ChampionRow:
    """Make a version the champion of its fleet; one that is champion already stays, and nothing changes.

    Parameters
    ----------
    version
        Its row, its number, or its sha256.
    reason
        For people who read the list of promotions.
    expected
        Row version of the champion that the decision was about; None: of the one that is there now.
    force
        Also a version that was rejected, or of another grid. Never one that is damaged or not stationary.
    by_hand
        A person decided: kept as a judgement of the version, also where it is refused.

    Raises
    ------
    PromotionError
        The version was rejected, is of another grid than the champion, damaged, not finite or not stationary.
    ConflictError
        Another changed the champion first.
    StoreError
        There is no such version, or `lease` was lost.
    """
    # Read anew: what the caller holds may have been rejected since.
    row = store.version(fleet, version if isinstance(version, str | int) else version.version)
    champion = store.champion(fleet)
    if champion is not None and champion.version.id == row.id:
        return champion
    found = 0 if champion is None else champion.row_version
    if expected is not None and expected != found:  # before the folder is read, which may take minutes
        raise ConflictError(
            f"the champion of {fleet!r} was changed meanwhile: its row version is {found}, not {expected}; "
            "judge again",
            found=found,
        )
    try:
        check(store, row, champion, force=force)
        store.set_champion(fleet, row, found, lease, reason)
    except PromotionError as error:
        if by_hand:
            _note(store, row, champion, passed=False, reason=reason, why=str(error), force=force)
        raise
    log.info("%s is the champion now: %s", row.name, reason or "no reason given")
    if by_hand:
        _note(store, row, champion, passed=True, reason=reason, why="by hand", force=force)
    return _now(store, fleet)


def rollback(
    store: Store,
    fleet: str,
    to: str | int | None = None,
    reason: str = "",
    *,
    force: bool = False,
) -> ChampionRow:
    """Move the pointer back: to the champion before the present one, or to the version `to`.

    What was rolled back is never gone back to: after 1, 2, 3 and two rollbacks it is 1 that serves.

    Raises
    ------
    PromotionError
        There is no champion, or none before it; else as `promote`.
    """
    champion = store.champion(fleet)
    if champion is None:
        raise PromotionError(f"fleet {fleet!r} has no champion to go back from; promote a version")
    ver = to if to is not None else previous(store.promotions(fleet))
    if ver is None:
        raise PromotionError(
            f"there is no champion before {champion.version.name}; name a version with --to, "
            f"`forecast models list --fleet {fleet}` lists them"
        )
    text = f"rolled back from {champion.version.name}" + (f": {reason}" if reason else "")
    return promote(store, fleet, ver, reason=text, expected=champion.row_version, force=force, by_hand=True)


def previous(promotions: list[PromotionRow]) -> int | None:
    """Return the number of the champion before the present one; None where there was none.

    A version that comes back takes with it all that came after it: they were tried, and left.
    """
    line: list[int] = []
    for one in promotions:
        if one.ver in line:
            del line[line.index(one.ver) + 1 :]
        else:
            line.append(one.ver)
    return line[-2] if len(line) > 1 else None


def check(store: Store, row: VersionRow, champion: ChampionRow | None, *, force: bool = False) -> None:
    """Read a version back, its parents too, and refuse what must not serve; see `promote`."""
    if row.state == "rejected" and not force:
        raise PromotionError(f"{row.name} was rejected; `forecast models show {row.name}` says why")
    if champion is not None and not force:
        old, new = (_grid(each) for each in (champion.version, row))
        if old != new:
            raise PromotionError(
                f"{row.name} is on the grid {new}, the champion {champion.version.name} on {old}: a stream "
                "cannot take it without a restart"
            )
    _check_content(store, row)


def _check_content(store: Store, row: VersionRow) -> None:
    """Every byte of the version and its parents, and the certificate of every series, computed anew."""
    from forecast.models import version
    from pipelines.stream.served import serve

    try:
        own = version.load(row.artifact_uri)
        if own.manifest.version != row.version:
            raise PromotionError(
                f"{row.name} cannot be promoted: {row.artifact_uri} holds version "
                f"{own.manifest.version[:12]}, not {row.version[:12]}"
            )
        if (own.manifest.freq.text, own.manifest.freq.tz) != (row.freq, row.tz):
            raise PromotionError(f"{row.name} cannot be promoted: its folder is on another grid than its row")
        models = version.resolve(
            own, lambda parent: version.load(store.version(row.fleet, parent).artifact_uri)
        )
        for model in models:
            serve(model.records, name=row.name, alias=model.alias, version=row.version)
    except (ForecastError, StreamError) as error:
        raise PromotionError(f"{row.name} cannot be promoted: {error}") from error


def _note(
    store: Store,
    row: VersionRow,
    champion: ChampionRow | None,
    *,
    passed: bool,
    reason: str,
    why: str,
    force: bool,
) -> None:
    from pipelines.store import NewJudgement

    evidence = {"passed": passed, "why": why, "reason": reason, "force": force}
    against = None if champion is None else champion.version
    store.add_judgement(row.fleet, NewJudgement("manual", passed, evidence, row, against))


def _grid(row: VersionRow) -> str:
    return repr(row.freq if row.tz is None else f"{row.freq} {row.tz}")


def _now(store: Store, fleet: str) -> ChampionRow:
    champion = store.champion(fleet)
    if champion is None:  # champions are replaced, never removed
        raise PromotionError(f"fleet {fleet!r} has no champion any more; look at the store", retriable=True)
    return champion
