"""A query as the input of a job."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import UUID

from forecast.errors import InputError
from pipelines.errors import StoreError, TrainError
from pipelines.train.inputs import Found, check_columns, columns, joined, plain_ids, to_arrow
from pipelines.train.job import Job

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    import pyarrow as pa
    from sqlalchemy import URL, Connection, CursorResult, Engine

# Rows that are Python objects at one time, some 10 MB: of what is read before only columns are kept.
BATCH: Final = 50_000


def read_sql(url: str, job: Job) -> Found:
    """Run the query of `job` and return its rows, sorted by id and time.

    The query can only read: SQLite is opened read-only and refuses anything but reading, other databases run
    it in a read-only transaction. It goes to the driver as it is: ``:name`` and ``%`` mean nothing.

    A database gives rows without ORDER BY in any order, which may be another one tomorrow: sorted, the same
    rows make the same version. Where two rows have one id and time their order stays that of the query, so
    ``duplicates="last"`` needs an ORDER BY that tells them apart.

    Raises
    ------
    InputError
        A column of the job is missing, or mixes types.
    TrainError
        The database is not there (retriable, but for a wrong password, user or database), or refuses the
        query; one line, without the password.
    """
    import hashlib

    from pipelines.masking import masked

    engine = _engine(url)
    try:
        with _connection(engine, masked(url)) as connection:
            table = _query(connection, job)
    finally:
        engine.dispose()
    digest = hashlib.sha256(job.input.encode()).hexdigest()
    return Found(_sorted(table, job), ({"file": masked(url), "bytes": 0, "sha256": digest},))


def _engine(text: str) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    from pipelines.masking import masked

    try:
        url = make_url(text)
        sqlite = url.get_backend_name() == "sqlite"
        engine = create_engine(_read_only(url) if sqlite else url)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError, OSError) as error:
        raise TrainError(f"--from {masked(text)}: {_line(error)}") from None
    if sqlite:
        event.listen(engine, "connect", _restrict)
    return engine


def _read_only(url: URL) -> URL:
    """Return the URL of an SQLite file so that it is opened for reading, and never made."""
    name = url.database
    if not name or name == ":memory:":
        return url
    if not name.startswith("file:"):
        if not Path(name).exists():
            raise FileNotFoundError("there is no such file")
        if not Path(name).is_file():
            raise OSError("it is no file")
        name = f"file:{quote(os.path.abspath(name))}"
    return url.set(database=name).update_query_dict({"mode": "ro", "uri": "true"})


def _restrict(connection: sqlite3.Connection, _: object) -> None:
    """Let a connection read and do nothing else: no other file, no PRAGMA, no table of its own."""
    import sqlite3

    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
    connection.execute("PRAGMA query_only = ON").close()
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY
    )


@contextmanager
def _connection(engine: Engine, shown: str) -> Iterator[Connection]:
    from sqlalchemy.exc import SQLAlchemyError

    from pipelines.store.faults import naming_faults

    try:
        with naming_faults(engine.url):
            connection = engine.connect()
            if engine.dialect.name != "sqlite":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    except StoreError as error:
        # A user that the server's table of hosts does not list stays refused.
        again = error.retriable and "pg_hba.conf" not in str(error)
        said = _line(error.__cause__ or error)
        raise TrainError(f"{shown} does not answer: {said}", retriable=again) from None
    except SQLAlchemyError as error:
        raise TrainError(f"{shown} does not answer: {_line(error)}") from None
    with connection:
        # On the server's side: the driver would otherwise fetch the whole result first.
        yield connection.execution_options(stream_results=True, yield_per=BATCH, no_parameters=True)


def _query(connection: Connection, job: Job) -> pa.Table:
    from sqlalchemy.exc import SQLAlchemyError

    from pipelines.store.faults import naming_faults

    try:
        with (
            naming_faults(connection.engine.url),
            closing(connection.exec_driver_sql(job.input)) as result,
        ):
            if not result.returns_rows:
                raise TrainError("the query gives no rows: it must be a SELECT")
            check_columns(columns(job), list(result.keys()))
            batches = list(_batches(result, job))
    except StoreError as error:
        raise TrainError(f"the query failed: {_refused(error)}", retriable=error.retriable) from None
    except SQLAlchemyError as error:
        raise TrainError(f"the query failed: {_line(error)}") from None
    if not batches:
        raise InputError("the query gives no rows")
    return joined(batches)


def _refused(error: StoreError) -> str:
    """Say what the driver said; what SQLite calls an authorization is that of this module."""
    import sqlite3

    said = _line(error.__cause__ or error)
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    # CREATE TABLE AS is refused in the same words, but under another code.
    denied = code == sqlite3.SQLITE_AUTH or (code is not None and said == "not authorized")
    return f"{said}: it may only read, as a SELECT does" if denied else said


def _batches(result: CursorResult[Any], job: Job) -> Iterator[pa.Table]:
    import pandas as pd

    wanted = columns(job)
    for rows in result.columns(*wanted).partitions(BATCH):
        frame = pd.DataFrame.from_records([tuple(row) for row in rows], columns=wanted, coerce_float=True)
        if any(isinstance(key, UUID) for key in frame[job.id_col]):
            frame[job.id_col] = [None if key is None else str(key) for key in frame[job.id_col]]
        yield plain_ids(to_arrow(frame), job.id_col)


def _sorted(table: pa.Table, job: Job) -> pa.Table:
    import pyarrow as pa

    from pipelines.tables import parse_times

    times = table[job.time_col]
    if not (pa.types.is_timestamp(times.type) or pa.types.is_integer(times.type)):
        try:
            # All at once: how a date is to be read is seen from the first.
            parsed = parse_times(times.to_pandas().rename(job.time_col))
        except (ValueError, TypeError) as error:
            said = str(error).splitlines()[0]
            raise TrainError(f"column {job.time_col!r} of the query holds no times: {said}") from None
        where = table.schema.get_field_index(job.time_col)
        table = table.set_column(where, job.time_col, to_arrow(parsed.to_frame())[job.time_col])
    return table.sort_by([(job.id_col, "ascending"), (job.time_col, "ascending")])


def _line(error: BaseException) -> str:
    """First line of what the driver said."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
