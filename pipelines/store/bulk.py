"""Rows by the million: executemany on SQLite, COPY on PostgreSQL; a repeated write adds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Connection, Float, Integer, SmallInteger, Table

from pipelines.store.address import SQLITE
from pipelines.store.engine import dialect

Column: TypeAlias = NDArray[Any] | int | str | float
"""(n,) values, or one that all rows share; NaN is stored as null."""

# Rows that are Python objects at one time: 20,000 take 10 MB, and fewer cost speed.
_BATCH: Final = 20_000

_STAGE: Final = "forecast_stage"


def write_rows(connection: Connection, table: type[Any], columns: Mapping[str, Column]) -> int:
    """Write n rows in the transaction of `connection` and return n; of a known key the values are new.

    Parameters
    ----------
    table
        A mapped class whose primary key is among `columns`.
    columns
        By name; no two rows have one key, and rows in the order of the key are written fastest.
    """
    target: Table = table.__table__
    n = next((len(column) for column in columns.values() if isinstance(column, np.ndarray)), 0)
    if n == 0:
        return 0
    if dialect(connection) == SQLITE:
        statement = _insert(target, columns, f"VALUES ({', '.join('?' * len(columns))})", SQLITE)
        cursor = _driver(connection).cursor()
        for rows in _batches(columns, n):
            cursor.executemany(statement, rows)
        cursor.close()
    else:
        _copy(connection, target, columns, n)
    return n


def _copy(connection: Connection, target: Table, columns: Mapping[str, Column], n: int) -> None:
    """COPY into the table; where a key is there already, into a temporary one and over from that.

    The way through the temporary table takes twice the time, and a repeat shows at its first row.
    """
    from psycopg.errors import UniqueViolation

    connection.exec_driver_sql(f"SAVEPOINT {_STAGE}")
    try:
        _stream(connection, target.name, target, columns, n)
    except UniqueViolation:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_STAGE}")
        names = ", ".join(columns)
        part = f"SELECT {names} FROM"
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {_STAGE} ON COMMIT DROP AS {part} {target.name} WITH NO DATA"
        )
        _stream(connection, _STAGE, target, columns, n)
        connection.exec_driver_sql(_insert(target, columns, f"{part} {_STAGE}", dialect(connection)))
        connection.exec_driver_sql(f"DROP TABLE {_STAGE}")  # another write may follow in this transaction
    connection.exec_driver_sql(f"RELEASE SAVEPOINT {_STAGE}")


def _stream(connection: Connection, into: str, target: Table, columns: Mapping[str, Column], n: int) -> None:
    types = [_copy_type(target.c[name].type) for name in columns]
    statement = f"COPY {into} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with _driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for rows in _batches(columns, n):
            for row in rows:
                copy.write_row(row)


def _insert(target: Table, columns: Mapping[str, Column], source: str, kind: str) -> str:
    key = [column.name for column in target.primary_key]
    values = [name for name in columns if name not in key]
    names = ", ".join(columns)
    # SQLite takes ON after a SELECT without WHERE for a join.
    head = f"INSERT INTO {target.name} ({names}) {source}{' WHERE true' if 'SELECT' in source else ''}"
    head += f" ON CONFLICT ({', '.join(key)}) DO "
    if not values:
        return head + "NOTHING"
    changes = ", ".join(f"{name} = excluded.{name}" for name in values)
    # A row that would become what it is stays untouched: PostgreSQL would write it once more.
    differs = "IS NOT" if kind == SQLITE else "IS DISTINCT FROM"
    new = " OR ".join(f"{target.name}.{name} {differs} excluded.{name}" for name in values)
    return f"{head}UPDATE SET {changes} WHERE {new}"


def _batches(columns: Mapping[str, Column], n: int) -> Iterator[Iterable[tuple[Any, ...]]]:
    for first in range(0, n, _BATCH):
        last = min(first + _BATCH, n)
        yield zip(*(_cells(column, first, last) for column in columns.values()), strict=True)


def _cells(column: Column, first: int, last: int) -> Iterable[Any]:
    if not isinstance(column, np.ndarray):
        return repeat(column, last - first)
    part = column[first:last]
    cells = part.tolist()
    if part.dtype.kind == "f" and np.isnan(part).any():
        return [None if cell != cell else cell for cell in cells]
    return cast("list[Any]", cells)


def _copy_type(kind: object) -> str:
    if isinstance(kind, SmallInteger):
        return "int2"
    if isinstance(kind, BigInteger):
        return "int8"
    if isinstance(kind, Integer):
        return "int4"
    return "float8" if isinstance(kind, Float) else "text"


def _driver(connection: Connection) -> Any:  # noqa: ANN401  # sqlite3's or psycopg's
    """Return the driver's own connection, inside the transaction of ours."""
    return connection.connection.driver_connection
