"""Connections: one engine for each store, with the settings that every connection needs."""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError

from pipelines.errors import StoreError
from pipelines.store.address import SQLITE, sqlite_file
from pipelines.store.faults import naming_faults

# Seconds to wait for another writer. Shorter: a bulk write of a big fleet makes its neighbours fail;
# longer: a service hangs on a writer that died.
LOCK_TIMEOUT_S: Final = 10.0
# Seconds for a PostgreSQL server to answer; a host that drops packets would otherwise take minutes.
CONNECT_TIMEOUT_S: Final = 10

# Seconds after which PostgreSQL ends a transaction whose client does nothing: of a process that was
# stopped, or a machine that was paused, in the middle of one, whose locks would stop all others.
IDLE_TIMEOUT_S: Final = 60

# Seconds without use after which a connection to PostgreSQL is tried before it is used.
PING_AFTER_S: Final = 1.0

_WRITES: Final = "forecast_writes"
_USED: Final = "forecast_used"

# ms since 1970 as the first statement of a transaction that has but one: unlike `now_ms` the same all
# through a statement, so that an index on a time can be used.
NOW_MS: Final = {
    SQLITE: "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
}


def make_engine(url: URL, lock_timeout_s: float = LOCK_TIMEOUT_S, migrating: bool = False) -> Engine:
    """Return the engine of a store; nothing is opened yet.

    Parameters
    ----------
    url
        From `parse_url`.
    lock_timeout_s
        How long a statement waits for another writer.
    migrating
        One connection that is not kept, on SQLite without foreign keys: a table that is rebuilt is
        dropped first, which would delete the rows that refer to it.
    """
    if url.get_backend_name() == SQLITE:
        return _sqlite_engine(url, lock_timeout_s, migrating)
    settings = f"-c lock_timeout={round(lock_timeout_s * 1000)}"
    settings += f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_S * 1000}"
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "options": settings, "application_name": "forecast"}
    given = {key: value for key, value in arguments.items() if key not in url.query}
    try:
        if migrating:
            return create_engine(url, connect_args=given, poolclass=NullPool)
        return _checking(create_engine(url, connect_args=given))
    except ModuleNotFoundError:
        raise StoreError("PostgreSQL needs psycopg: pip install 'forecast-platform[postgres]'") from None


def _checking(engine: Engine) -> Engine:
    """Notice a connection that died with its server, and replace it, before it is used.

    SQLAlchemy's own check asks the server every time, which takes as long as a claim of the queue. A server
    that ended has closed its side, which is seen here without asking; a network that went silent is not.
    """

    @event.listens_for(engine, "checkin")
    def _note(_: object, record: Any) -> None:  # noqa: ANN401  # of the pool
        record.info[_USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, record: Any, _: object) -> None:  # noqa: ANN401  # psycopg's, the pool's
        idle = time.monotonic() - record.info.get(_USED, time.monotonic())
        if idle < PING_AFTER_S and not (connection.closed or _has_word(connection.fileno())):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None

    return engine


def _has_word(file: int) -> bool:
    """Whether something can be read from a socket: a message, or its end."""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    return bool(waiting.poll(0))


def _sqlite_engine(url: URL, lock_timeout_s: float, migrating: bool) -> Engine:
    given = {"timeout": lock_timeout_s}
    engine = create_engine(url, connect_args=given, poolclass=NullPool if migrating else None)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver's own transactions begin late and cannot hold DDL: we begin them ourselves.
        connection.isolation_level = None
        connection.execute(f"PRAGMA foreign_keys={'OFF' if migrating else 'ON'}")
        connection.execute(f"PRAGMA busy_timeout={round(lock_timeout_s * 1000)}")
        # With a write-ahead log NORMAL can lose the last commits in a power cut, never the file.
        _use_log(connection, lock_timeout_s)
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later is refused when another wrote in between,
        # however long it would wait: one that will write takes its turn at the start.
        writes = migrating or connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_log(connection: sqlite3.Connection, lock_timeout_s: float) -> None:
    """Turn the write-ahead log on; while another does the same, SQLite says "locked" without waiting."""
    ends = time.monotonic() + lock_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that only reads; faults come as `StoreError`."""
    with naming_faults(engine.url), _existing(engine).begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that is kept whole or not at all; faults come as `StoreError`."""
    with (
        naming_faults(engine.url),
        _existing(engine).connect() as connection,
        connection.execution_options(**{_WRITES: True}).begin(),
    ):
        yield connection


@contextmanager
def stating(engine: Engine) -> Iterator[Connection]:
    """Yield a connection for one statement that is a transaction by itself: one way to the server and back.

    More statements would be more transactions on PostgreSQL; on SQLite, where nothing has a way to go, it is
    as `writing`.
    """
    if engine.dialect.name == SQLITE:
        with writing(engine) as connection:
            yield connection
    else:
        with naming_faults(engine.url), engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")


def _existing(engine: Engine) -> Engine:
    """Refuse an SQLite file that is not there: connecting would make an empty one."""
    file = sqlite_file(engine.url)
    if file is not None and not file.exists():
        raise StoreError(f"there is no store at {file}; `forecast db upgrade` makes one")
    return engine


def dialect(connection: Connection) -> str:
    """Return "sqlite" or "postgresql"."""
    return connection.dialect.name


def now_ms(connection: Connection) -> int:
    """Return ms since 1970 by the clock that all writers share: the server's, if there is one."""
    if dialect(connection) == SQLITE:
        query = f"SELECT {NOW_MS[SQLITE]}"
    else:
        query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    return int(connection.execute(text(query)).scalar_one())


def serialize(connection: Connection, what: str) -> None:
    """Let one transaction at a time pass for each `what`, until its end; on SQLite every writer is alone."""
    if dialect(connection) != SQLITE:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"), {"what": f"forecast {what}"}
        )


def affected(result: Any) -> int:  # noqa: ANN401  # a cursor result, whose type is that of its rows
    """Return how many rows a statement changed."""
    return int(result.rowcount)
