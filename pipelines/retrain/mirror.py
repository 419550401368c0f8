"""MLflow's aliases follow the store: "champion", and "challenger" of what is in the shadow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forecast.errors import InputError
from pipelines.errors import TrackingError
from pipelines.logs import log
from pipelines.retrain.announce import champions
from pipelines.retrain.line import line
from pipelines.tracking.log import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.store import ChampionRow, Store, VersionRow
    from pipelines.tracking import Tracker
    from pipelines.tracking.mirroring import FleetTold, VersionTold


def mirror(
    store: Store,
    tracking_uri: str,
    *,
    fleet: str | None = None,
    timeout_s: float = TIMEOUT_S,
    tracker: Tracker | None = None,
    again: bool = False,
) -> int:
    """Tell MLflow of every champion and challenger that it does not know yet; return of how many fleets.

    The store is the truth, and what is noted there comes last: after a crash, or an hour without MLflow, the
    next call does what is missing, and what is done twice changes nothing.

    Parameters
    ----------
    fleet
        Only this one.
    timeout_s
        For each fleet, the start of MLflow included.
    tracker
        One that was started before, with the same URI, to save the start; it stays open.
    again
        Also where nothing is new: for a server that lost what it was told.

    Raises
    ------
    TrackingError
        MLflow is absent, down, slow or refuses; what was not told is told by the next call. Where it refuses
        one fleet, the others are told all the same.
    """
    due = [each for each in champions(store, fleet) if again or _is_due(store, each)]
    refused: TrackingError | None = None
    for champion in due:
        try:
            _mirror(store, champion, tracking_uri, timeout_s, tracker)
        except (TrackingError, InputError) as error:
            if error.retriable:  # it is down: the others would wait for it, each as long
                raise
            refused = TrackingError(f"{champion.version.name}: {error}", retriable=False)
            log.warning("MLflow refuses %s", refused)
    if refused is not None:
        raise refused
    return len(due)


def _mirror(
    store: Store, champion: ChampionRow, tracking_uri: str, timeout_s: float, tracker: Tracker | None
) -> None:
    from pipelines.tracking.mirroring import mirror_fleet

    told, rows = _told(store, champion)
    rejected = _rejected(store, champion.fleet)
    where = mirror_fleet(told, tracking_uri, timeout_s, tracker=tracker)
    for version, logged in where.items():
        row = rows[version]
        if (row.mlflow_run_id, row.mlflow_version) != (logged.run_id, logged.model_version):
            store.set_tracking(row, logged.run_id, logged.model_version)
    for row in rejected:  # it has no alias any more; its run is still there
        store.set_tracking(row, row.mlflow_run_id, None)
    store.set_told(champion.fleet, champion.row_version, mirrored=True)
    log.info("MLflow was told of %s as champion", champion.version.name)


def _is_due(store: Store, champion: ChampionRow) -> bool:
    if champion.mirrored < champion.row_version:
        return True
    challenger = _challenger(store, champion.fleet)
    new = challenger is not None and challenger.mlflow_version is None
    return new or bool(_rejected(store, champion.fleet))


def _rejected(store: Store, fleet: str) -> list[VersionRow]:
    """Return challengers that may have the alias still: rejected after MLflow was told of them."""
    return [
        row for row in store.versions(fleet) if row.state == "rejected" and row.mlflow_version is not None
    ]


def _challenger(store: Store, fleet: str) -> VersionRow | None:
    """Return the newest version that is in the shadow."""
    return next((row for row in reversed(store.versions(fleet)) if row.state == "shadow"), None)


def _told(store: Store, champion: ChampionRow) -> tuple[FleetTold, dict[str, VersionRow]]:
    """Return what is told of a fleet, and the rows that it is about."""
    from pipelines.tracking.mirroring import FleetTold

    challenger = _challenger(store, champion.fleet)
    rows: dict[str, VersionRow] = {}
    for row in (champion.version, challenger):
        if row is not None:
            rows |= {each.version: each for each in line(store, row) if each.version not in rows}
    told = FleetTold(
        champion.fleet,
        tuple(_version(row) for row in rows.values()),
        champion.version.version,
        None if challenger is None else challenger.version,
    )
    return told, rows


def _version(row: VersionRow) -> VersionTold:
    from pipelines.tracking.mirroring import VersionTold, known_metrics

    aliases = [str(model["alias"]) for model in row.models]
    job: Mapping[str, Any] = (row.training or {}).get("job", {})
    return VersionTold(
        version=row.version,
        name=row.name,
        folder=row.artifact_uri,
        parent=row.parent_version,
        number=row.mlflow_version,
        params={"models": "; ".join(aliases), "ver": row.ver, "n_changed": row.n_series, "freq": row.freq},
        # Those of a version with a parent are the parent's, by which streams choose a model.
        metrics={} if row.parent_version else known_metrics((row.metrics or {}).get(aliases[0])),
        horizon=int(job.get("horizon", 1)),
    )
