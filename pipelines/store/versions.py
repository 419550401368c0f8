"""Model versions: what was registered for a fleet, and how people name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, Select, func, insert, null, select, update

from forecast.models.manifest import Chunk, Manifest
from pipelines.errors import StoreError
from pipelines.store.engine import now_ms, reading, serialize, writing
from pipelines.store.leases import Grant, writing_under
from pipelines.store.plain import plain
from pipelines.store.tables import VERSION_STATES, Champion, ModelChunk, ModelVersion

_TRACKING: Final = {"mlflow_run_id", "mlflow_version"}
# Fewer characters of a sha256 would match by chance, and could be a number of a version.
_SHORTEST_PREFIX: Final = 6
CHAMPION: Final = "champion"


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A registered version."""

    id: int
    fleet: str
    ver: int
    """1, 2, ... within its fleet."""
    version: str
    """sha256 of the manifest."""
    parent_version: str | None
    artifact_uri: str
    state: str
    """"candidate", "shadow", "champion", "retired" or "rejected"."""
    freq: str
    tz: str | None
    n_series: int
    models: tuple[Mapping[str, Any], ...]
    """``{"alias": ..., "spec": {...}}`` each."""
    metrics: Mapping[str, Any] | None
    """``{alias: {"mase_mean": ..., ...}}`` of the fleet, baselines too; None where none were noted."""
    mlflow_run_id: str | None
    mlflow_version: str | None
    created_ts_ms: int | None
    """By the clock of the trainer, from the manifest."""
    added_ts_ms: int
    """By the clock of the store."""
    training: Mapping[str, Any] | None = None
    """``{"history": folder, "job": {...}}``, for a child that of its parent; None where it was not noted."""

    @property
    def name(self) -> str:
        """Fleet and number, as people write it."""
        return f"{self.fleet}@{self.ver}"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is registered of a version."""

    manifest: Manifest
    artifact_uri: str
    parent_version: str | None = None
    """sha256; None: what the manifest says."""
    tracking: Mapping[str, str | None] | None = None
    """``mlflow_run_id`` and ``mlflow_version``."""
    state: str = "candidate"
    metrics: Mapping[str, Any] | None = None
    """Of the fleet, by alias."""
    training: Mapping[str, Any] | None = None
    """``{"history": folder, "job": {...}}``; None: that of the parent."""


def add_version(engine: Engine, fleet: str, new: NewVersion, lease: Grant | None = None) -> VersionRow:
    """Register a version with its chunks; of one that is known note anew what may change.

    Raises
    ------
    StoreError
        The parent is not registered for this fleet, the state or a key of `tracking` is unknown, or
        `lease` was lost.
    """
    with writing_under(engine, lease) as connection:
        return put_version(connection, fleet, new)


def put_version(connection: Connection, fleet: str, new: NewVersion) -> VersionRow:
    """Register a version in the transaction of `connection`; see `add_version`."""
    manifest = new.manifest
    parent = new.parent_version or manifest.parent_version
    if manifest.parent_version is not None and parent != manifest.parent_version:
        raise StoreError(f"the manifest's parent is {manifest.parent_version[:12]}, not {str(parent)[:12]}")
    _check_state(new.state)
    if new.state == CHAMPION:
        raise StoreError("a version becomes champion by set_champion only")
    serialize(connection, f"fleet {fleet}")  # the next number is free until the commit
    known = _by_version(connection, fleet, manifest.version)
    if known is None:
        known = _insert(connection, fleet, new, _parent(connection, fleet, parent))
    # Whoever adds it has just written it there; the folder of old may be gone.
    news: dict[str, Any] = {"artifact_uri": new.artifact_uri}
    news |= {"metrics": plain(new.metrics, "metrics")} if new.metrics else {}
    news |= {"training": plain(new.training, "training")} if new.training else {}
    connection.execute(update(ModelVersion).where(ModelVersion.id == known.id).values(news))
    known = get_row(connection, known.id)
    if new.tracking:
        known = _track(connection, known.id, new.tracking)
    return known


def set_tracking(engine: Engine, version: VersionRow | str, **tracking: str | None) -> VersionRow:
    """Note where a version is in MLflow; one that is registered for two fleets must be given as a row."""
    with writing(engine) as connection:
        return _track(connection, find_id(connection, version), tracking)


def list_versions(engine: Engine, fleet: str | None = None) -> list[VersionRow]:
    """Return the versions of a fleet, or of all, newest last."""
    query = _rows().order_by(ModelVersion.fleet, ModelVersion.ver)
    if fleet is not None:
        query = query.where(ModelVersion.fleet == fleet)
    with reading(engine) as connection:
        return [_row(found) for found in connection.execute(query)]


def find_version(engine: Engine, fleet: str, ref: str | int) -> VersionRow:
    """Return a version by number, by "champion", or by its sha256 or at least its first six characters.

    Raises
    ------
    StoreError
        There is none, or several begin so; the message lists what there is.
    """
    with reading(engine) as connection:
        found = [_row(row) for row in connection.execute(_matching(fleet, str(ref)))]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"{row.ver} ({row.version[:12]})" for row in found)
            raise StoreError(f"several versions of {fleet!r} begin with {ref!r}: {names}; give more of it")
        raise StoreError(_unknown(connection, fleet, str(ref)))


def list_chunks(engine: Engine, version: VersionRow | str) -> dict[str, tuple[Chunk, ...]]:
    """Return the files of each model of a version, in the order of the manifest."""
    with reading(engine) as connection:
        key = find_id(connection, version)
        query = select(ModelChunk).where(ModelChunk.model_version_id == key).order_by(ModelChunk.first)
        found = connection.execute(query).all()
        models = connection.execute(select(ModelVersion.models).where(ModelVersion.id == key)).scalar_one()
    return {
        model["alias"]: tuple(
            Chunk(row.sha256, row.bytes, row.first, row.n_records)
            for row in found
            if row.model == model["alias"]
        )
        for model in models
    }


def set_state(engine: Engine, version: VersionRow | str, state: str) -> VersionRow:
    """Change the state of a version that is not the champion; `StoreError` for one that is."""
    _check_state(state)
    with writing(engine) as connection:
        key = find_id(connection, version)
        serving = select(Champion.fleet).where(Champion.model_version_id == key)
        if state == CHAMPION or connection.execute(serving).first() is not None:
            raise StoreError("who is champion is changed by set_champion only")
        connection.execute(update(ModelVersion).where(ModelVersion.id == key).values(state=state))
        return get_row(connection, key)


def find_id(connection: Connection, version: VersionRow | str) -> int:
    """Return the row id of a version; `StoreError` for a sha256 that is unknown or in several fleets."""
    if isinstance(version, VersionRow):
        return version.id
    ids = connection.execute(select(ModelVersion.id).where(ModelVersion.version == version)).scalars().all()
    if len(ids) != 1:
        where = "not registered" if not ids else "registered for several fleets: give its row"
        raise StoreError(f"version {version[:12]} is {where}")
    return ids[0]


def get_row(connection: Connection, key: int) -> VersionRow:
    """Return the version with this row id."""
    return _row(connection.execute(_rows().where(ModelVersion.id == key)).one())


def _rows() -> Select[Any]:
    parent = select(ModelVersion.id, ModelVersion.version).subquery("parent")
    return select(ModelVersion.__table__, parent.c.version.label("parent_version")).outerjoin(
        parent, ModelVersion.parent_id == parent.c.id
    )


def _row(found: Row[Any]) -> VersionRow:
    return VersionRow(
        found.id, found.fleet, found.ver, found.version, found.parent_version, found.artifact_uri,
        found.state, found.freq, found.tz or None, found.n_series, tuple(found.models), found.metrics,
        found.mlflow_run_id, found.mlflow_version, found.created_ts_ms, found.added_ts_ms, found.training,
    )  # fmt: skip


def _matching(fleet: str, ref: str) -> Select[Any]:
    query = _rows().where(ModelVersion.fleet == fleet)
    if ref == CHAMPION:
        return query.join(Champion, Champion.model_version_id == ModelVersion.id)
    digits = ref.isascii() and ref.isdigit()
    if digits and len(ref) <= 9:
        return query.where(ModelVersion.ver == int(ref))
    prefix = ref.lower()
    if len(prefix) < _SHORTEST_PREFIX or set(prefix) - set("0123456789abcdef"):
        return query.where(ModelVersion.version == ref)
    return query.where(func.substr(ModelVersion.version, 1, len(prefix)) == prefix)


def _unknown(connection: Connection, fleet: str, ref: str) -> str:
    count = connection.execute(
        select(func.count()).select_from(ModelVersion).where(ModelVersion.fleet == fleet)
    ).scalar_one()
    if count == 0:
        query = select(ModelVersion.fleet).distinct().order_by(ModelVersion.fleet)
        fleets = ", ".join(connection.execute(query).scalars()) or "none"
        return f"fleet {fleet!r} has no versions; fleets: {fleets}"
    if ref == CHAMPION:
        return f"fleet {fleet!r} has {count} versions and no champion yet; name a version"
    return f"fleet {fleet!r} has no version {ref!r}; it has 1 to {count}"


def _by_version(connection: Connection, fleet: str, version: str) -> VersionRow | None:
    found = connection.execute(
        _rows().where(ModelVersion.fleet == fleet, ModelVersion.version == version)
    ).first()
    return None if found is None else _row(found)


def _parent(connection: Connection, fleet: str, parent: str | None) -> VersionRow | None:
    if parent is None:
        return None
    found = _by_version(connection, fleet, parent)
    if found is None:
        raise StoreError(f"the parent {parent[:12]} is not registered for fleet {fleet!r}; add it first")
    return found


def _insert(connection: Connection, fleet: str, new: NewVersion, parent: VersionRow | None) -> VersionRow:
    manifest = new.manifest
    last = connection.execute(select(func.max(ModelVersion.ver)).where(ModelVersion.fleet == fleet)).scalar()
    values = {
        "fleet": fleet,
        "ver": (last or 0) + 1,
        "version": manifest.version,
        "parent_id": None if parent is None else parent.id,
        "artifact_uri": new.artifact_uri,
        "state": new.state,
        "freq": manifest.freq.text,
        "tz": manifest.freq.tz or "",
        "n_series": manifest.n_series,
        "models": [{"alias": model.alias, "spec": dict(model.spec)} for model in manifest.models],
        "training": null() if parent is None or parent.training is None else parent.training,
        "created_ts_ms": manifest.created_ts_ms,
        "added_ts_ms": now_ms(connection),
    }
    key = connection.execute(insert(ModelVersion).values(values).returning(ModelVersion.id)).scalar_one()
    connection.execute(insert(ModelChunk), _chunk_rows(key, manifest))
    return get_row(connection, key)


def _chunk_rows(key: int, manifest: Manifest) -> Sequence[dict[str, Any]]:
    return [
        {
            "model_version_id": key, "model": model.alias, "first": chunk.first,
            "n_records": chunk.n_records, "sha256": chunk.sha256, "bytes": chunk.bytes,
        }
        for model in manifest.models
        for chunk in model.chunks
    ]  # fmt: skip


def _track(connection: Connection, key: int, tracking: Mapping[str, str | None]) -> VersionRow:
    unknown = set(tracking) - _TRACKING
    if unknown:
        raise StoreError(f"tracking has {sorted(unknown)}; known: {sorted(_TRACKING)}")
    values = {name: None if value is None else str(value) for name, value in tracking.items()}
    connection.execute(update(ModelVersion).where(ModelVersion.id == key).values(**values))
    return get_row(connection, key)


def _check_state(state: str) -> None:
    if state not in VERSION_STATES:
        raise StoreError(f"state {state!r} is unknown; known: {', '.join(VERSION_STATES)}")
