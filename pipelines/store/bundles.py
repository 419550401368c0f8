"""Edge bundles: their numbers, which only grow, and what was exported under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, Select, func, insert, select, update

from pipelines.errors import ConflictError
from pipelines.store.engine import now_ms, reading, serialize, writing
from pipelines.store.tables import EdgeBundle, EdgeNumber, ModelVersion
from pipelines.store.versions import VersionRow, find_id


@dataclass(frozen=True, slots=True)
class NewBundle:
    """What is registered of a bundle."""

    name: str
    bundle_version: int
    model: str
    """Alias."""
    sha256: str
    """Of the manifest."""
    artifact_uri: str
    opset: int
    profile: str
    parity_err: float
    """Largest relative difference from the library that was measured."""
    size: int
    """Bytes."""
    key_id: str | None
    """None: unsigned."""


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A registered bundle."""

    id: int
    fleet: str
    ver: int
    version: str
    """Model version: its number, and its sha256."""
    bundle: NewBundle
    created_ts_ms: int
    """By the clock of the store."""


def take_bundle_number(engine: Engine, name: str) -> int:
    """Return the next number of a name's bundles; it is taken at once, so that none is signed twice.

    An export that fails leaves a hole: devices ask for growing numbers, not for all of them.
    """
    with writing(engine) as connection:
        serialize(connection, f"edge bundles of {name}")
        taken = connection.execute(select(EdgeNumber.last).where(EdgeNumber.name == name)).scalar()
        used = connection.execute(
            select(func.max(EdgeBundle.bundle_version)).where(EdgeBundle.name == name)
        ).scalar()
        number = max(taken or 0, used or 0) + 1
        if taken is None:
            connection.execute(insert(EdgeNumber).values(name=name, last=number))
        else:
            connection.execute(update(EdgeNumber).where(EdgeNumber.name == name).values(last=number))
        return number


def add_bundle(engine: Engine, version: VersionRow | str, bundle: NewBundle) -> BundleRow:
    """Register a bundle of a model version.

    Raises
    ------
    ConflictError
        Another bundle has this name and number, or this sha256.
    StoreError
        The version is not registered.
    """
    with writing(engine) as connection:
        serialize(connection, f"edge bundles of {bundle.name}")
        values = _values(bundle) | {"model_version_id": find_id(connection, version)}
        numbered = (EdgeBundle.name == bundle.name) & (EdgeBundle.bundle_version == bundle.bundle_version)
        query = select(EdgeBundle.__table__).where(numbered | (EdgeBundle.sha256 == bundle.sha256))
        taken = connection.execute(query).first()
        if taken is not None:
            raise ConflictError(
                f"bundle {taken.name} {taken.bundle_version} is registered already; export again: it takes "
                "the next number",
                found=taken.bundle_version,
            )
        added = insert(EdgeBundle).values({**values, "created_ts_ms": now_ms(connection)})
        key = connection.execute(added.returning(EdgeBundle.id)).scalar_one()
        return _row(connection.execute(_rows().where(EdgeBundle.id == key)).one())


def list_bundles(engine: Engine, name: str | None = None) -> list[BundleRow]:
    """Return the bundles of a name, or of all, oldest first."""
    query = _rows().order_by(EdgeBundle.name, EdgeBundle.bundle_version)
    if name is not None:
        query = query.where(EdgeBundle.name == name)
    with reading(engine) as connection:
        return [_row(found) for found in connection.execute(query)]


def _values(bundle: NewBundle) -> dict[str, Any]:
    return {
        "name": bundle.name, "bundle_version": bundle.bundle_version, "model": bundle.model,
        "sha256": bundle.sha256, "artifact_uri": bundle.artifact_uri, "opset": bundle.opset,
        "quant": bundle.profile, "parity_err": bundle.parity_err, "size": bundle.size,
        "signed_by": bundle.key_id,
    }  # fmt: skip


def _rows() -> Select[Any]:
    return select(EdgeBundle.__table__, ModelVersion.fleet, ModelVersion.ver, ModelVersion.version).join(
        ModelVersion, ModelVersion.id == EdgeBundle.model_version_id
    )


def _row(found: Row[Any]) -> BundleRow:
    bundle = NewBundle(
        found.name, found.bundle_version, found.model, found.sha256, found.artifact_uri, found.opset,
        found.quant, found.parity_err, found.size, found.signed_by,
    )  # fmt: skip
    return BundleRow(found.id, found.fleet, found.ver, found.version, bundle, found.created_ts_ms)
