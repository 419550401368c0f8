"""Snapshots of monitors: one a partition, changed by compare-and-set, with the events of the same ticks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from pipelines.errors import ConflictError
from pipelines.store.engine import affected, now_ms, reading, serialize
from pipelines.store.plain import plain
from pipelines.store.tables import MonitorSnapshot


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """What a monitor knows after some ticks of a partition."""

    group: str
    topic: str
    partition: int
    epoch: int
    """Of the snapshot that it goes on from; 0: there was none. It is kept as `epoch` + 1."""
    positions: Mapping[str, Any]
    """Plain JSON: the next offset of each topic, and what else is small."""
    data: bytes


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A snapshot that was kept."""

    group: str
    topic: str
    partition: int
    epoch: int
    """Grows by one with every write: whoever writes over an older one is refused."""
    positions: Mapping[str, Any]
    data: bytes
    updated_ts_ms: int
    """By the clock of the store."""


def get_snapshot(engine: Engine, group: str, topic: str, partition: int) -> SnapshotRow | None:
    """Return the snapshot of a partition, None before the first."""
    query = select(MonitorSnapshot.__table__).where(*_key(group, topic, partition))
    with reading(engine) as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    return SnapshotRow(
        row.group, row.topic, row.partition, row.epoch, row.positions, bytes(row.data), row.updated_ts_ms
    )


def put_snapshot(connection: Connection, new: NewSnapshot) -> int:
    """Keep a snapshot in the transaction of `connection`, and return its epoch.

    Raises
    ------
    ConflictError
        Another monitor wrote the snapshot of this partition since; `found` is its epoch.
    """
    key = _key(new.group, new.topic, new.partition)
    values = {
        "epoch": new.epoch + 1,
        "positions": plain(new.positions, "the positions"),
        "data": new.data,
        "updated_ts_ms": now_ms(connection),
    }
    if new.epoch:
        changed = connection.execute(
            update(MonitorSnapshot).where(*key, MonitorSnapshot.epoch == new.epoch).values(values)
        )
        if affected(changed) == 1:
            return new.epoch + 1
    else:
        # Of two firsts at once the second sees the row, and is told; its insert would be an error.
        serialize(connection, f"monitor {new.group} {new.topic} {new.partition}")
    found = connection.scalar(select(MonitorSnapshot.epoch).where(*key)) or 0
    if new.epoch or found:
        raise ConflictError(
            f"another monitor of group {new.group!r} has {new.topic}/{new.partition}: its snapshot is at "
            f"epoch {found}, not {new.epoch}; nothing of this write was kept, read the snapshot and go on "
            "from it",
            found=found,
        )
    names = {"group": new.group, "topic": new.topic, "partition": new.partition}
    connection.execute(insert(MonitorSnapshot).values({**names, **values}))
    return new.epoch + 1


def _key(group: str, topic: str, partition: int) -> tuple[Any, ...]:
    return (
        MonitorSnapshot.group == group,
        MonitorSnapshot.topic == topic,
        MonitorSnapshot.partition == partition,
    )
