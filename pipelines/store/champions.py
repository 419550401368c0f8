"""The champion of a fleet: changed by compare-and-set, so that no promotion is lost unseen; each is kept."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.orm import aliased

from pipelines.errors import ConflictError, StoreError
from pipelines.store.engine import now_ms, reading, serialize, writing
from pipelines.store.leases import Grant, writing_under
from pipelines.store.tables import Champion, ModelVersion, Promotion
from pipelines.store.versions import VersionRow, find_id, get_row


@dataclass(frozen=True, slots=True)
class ChampionRow:
    """Which version serves a fleet."""

    fleet: str
    version: VersionRow
    row_version: int
    """Grows by one with every change."""
    changed_ts_ms: int
    announced: int = 0
    """The last row version that the control topic was told of; less than `row_version`: tell it."""
    mirrored: int = 0
    """Likewise of MLflow."""


@dataclass(frozen=True, slots=True)
class PromotionRow:
    """One change of the champion of a fleet."""

    fleet: str
    row_version: int
    """Of the champion after the change: 1, 2, ..."""
    ver: int
    version: str
    previous_ver: int | None
    """None: there was no champion before."""
    ts_ms: int
    reason: str


def get_champion(engine: Engine, fleet: str) -> ChampionRow | None:
    """Return the champion of a fleet, None before the first."""
    with reading(engine) as connection:
        return _champion(connection, fleet)


def set_champion(
    engine: Engine,
    fleet: str,
    version: VersionRow | str,
    expected_row_version: int | None,
    lease: Grant | None = None,
    reason: str = "",
) -> int:
    """Make `version` the champion if the row still has `expected_row_version`; return the new one.

    The old champion is retired. Where `version` is the champion already nothing changes, so that a
    job that was killed after this step can do it again.

    Parameters
    ----------
    expected_row_version
        As read with the champion that was judged; None or 0 before the first.
    reason
        For people who read the list of promotions.

    Raises
    ------
    ConflictError
        Another changed the champion first; `found` is the row version now.
    StoreError
        The version is of another fleet, or `lease` was lost.
    """
    with writing_under(engine, lease) as connection:
        serialize(connection, f"fleet {fleet}")  # before the first champion there is no row to lock
        row = get_row(connection, find_id(connection, version))
        if row.fleet != fleet:
            raise StoreError(f"version {row.version[:12]} is of fleet {row.fleet!r}, not {fleet!r}")
        current = _champion(connection, fleet)
        if current is not None and current.version.id == row.id:
            return current.row_version
        found = _expect(fleet, current, expected_row_version or 0)
        _move(connection, current, row, reason)
        return found + 1


def list_champions(engine: Engine) -> list[ChampionRow]:
    """Return the champions of all fleets, by name."""
    with reading(engine) as connection:
        fleets = connection.scalars(select(Champion.fleet).order_by(Champion.fleet)).all()
        found = [_champion(connection, fleet) for fleet in fleets]
    return [row for row in found if row is not None]


def set_told(
    engine: Engine, fleet: str, row_version: int, announced: bool = False, mirrored: bool = False
) -> None:
    """Note that the control topic, or MLflow, was told of the champion `row_version`; never goes back.

    Raises
    ------
    StoreError
        The fleet has had no champion of that row version.
    """
    with writing(engine) as connection:
        current = _champion(connection, fleet)
        if current is None or row_version > current.row_version:
            found = 0 if current is None else current.row_version
            raise StoreError(
                f"the champion of {fleet!r} has row version {found}: nobody was told of {row_version}"
            )
        for column, told in ((Champion.announced, announced), (Champion.mirrored, mirrored)):
            if told:
                older = (Champion.fleet == fleet) & (column < row_version)
                connection.execute(update(Champion).where(older).values({column: row_version}))


def list_promotions(engine: Engine, fleet: str) -> list[PromotionRow]:
    """Return every change of the champion of a fleet, oldest first."""
    new, old = aliased(ModelVersion), aliased(ModelVersion)
    query = (
        select(Promotion.__table__, new.ver, new.version, old.ver.label("previous_ver"))
        .join(new, new.id == Promotion.model_version_id)
        .outerjoin(old, old.id == Promotion.previous_id)
        .where(Promotion.fleet == fleet)
        .order_by(Promotion.row_version)
    )
    with reading(engine) as connection:
        return [
            PromotionRow(
                fleet, row.row_version, row.ver, row.version, row.previous_ver, row.ts_ms, row.reason
            )
            for row in connection.execute(query)
        ]


def _champion(connection: Connection, fleet: str) -> ChampionRow | None:
    row = connection.execute(select(Champion.__table__).where(Champion.fleet == fleet)).first()
    if row is None:
        return None
    version = get_row(connection, row.model_version_id)
    return ChampionRow(fleet, version, row.row_version, row.changed_ts_ms, row.announced, row.mirrored)


def _expect(fleet: str, current: ChampionRow | None, expected: int) -> int:
    """Return the row version of the champion, 0 for none; `ConflictError` when it is not the expected one."""
    found = current.row_version if current is not None else 0
    if found != expected:
        raise ConflictError(
            f"the champion of {fleet!r} was changed meanwhile: its row version is {found}, "
            f"not {expected}; read it and decide again",
            found=found,
        )
    return found


def _move(connection: Connection, current: ChampionRow | None, row: VersionRow, reason: str) -> None:
    now = now_ms(connection)
    connection.execute(
        insert(Promotion).values(
            fleet=row.fleet,
            row_version=1 if current is None else current.row_version + 1,
            model_version_id=row.id,
            previous_id=None if current is None else current.version.id,
            ts_ms=now,
            reason=reason,
        )
    )
    if current is None:
        connection.execute(
            insert(Champion).values(
                fleet=row.fleet, model_version_id=row.id, row_version=1, changed_ts_ms=now
            )
        )
    else:
        connection.execute(
            update(Champion)
            .where(Champion.fleet == row.fleet, Champion.row_version == current.row_version)
            .values(model_version_id=row.id, row_version=Champion.row_version + 1, changed_ts_ms=now)
        )
        _set_state(connection, current.version.id, "retired")
    _set_state(connection, row.id, "champion")


def _set_state(connection: Connection, key: int, state: str) -> None:
    connection.execute(update(ModelVersion).where(ModelVersion.id == key).values(state=state))
