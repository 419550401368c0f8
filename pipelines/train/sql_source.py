"""A query as the input of a job."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import TrainError
from pipelines.train.inputs import Found, check_columns, columns, to_arrow
from pipelines.train.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from sqlalchemy import Connection, CursorResult

# Rows that are Python objects at one time, some 10 MB: of what is read before only columns are kept.
BATCH: Final = 50_000


def read_sql(url: str, job: Job) -> Found:
    """Run the query of `job` and return its rows, sorted by id and time.

    A database gives rows without ORDER BY in any order, which may be another one tomorrow: sorted, the same
    rows make the same version. Where two rows have one id and time their order stays that of the query, so
    ``duplicates="last"`` needs an ORDER BY that tells them apart.

    Raises
    ------
    InputError
        A column of the job is missing, or mixes types.
    TrainError
        The database is not there (retriable), or refuses the query; one line, without the password.
    """
    import hashlib

    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    from pipelines.settings import masked

    try:
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
        raise TrainError(f"--from {masked(url)}: {_line(error)}") from None
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and "mode" not in engine.url.query and not Path(file).exists():
        raise TrainError(f"--from {masked(url)}: there is no such file")  # connecting would make it
    try:
        try:
            # On the server's side: the driver would otherwise fetch the whole result first.
            connection = engine.connect().execution_options(stream_results=True, yield_per=BATCH)
        except SQLAlchemyError as error:
            raise TrainError(f"{masked(url)} does not answer: {_line(error)}", retriable=True) from None
        with connection:
            table = _query(connection, job)
    finally:
        engine.dispose()
    digest = hashlib.sha256(job.input.encode()).hexdigest()
    return Found(_sorted(table, job), ({"file": masked(url), "bytes": 0, "sha256": digest},))


def _query(connection: Connection, job: Job) -> pa.Table:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with closing(connection.execute(text(job.input))) as result:
            if not result.returns_rows:
                raise TrainError("the query gives no rows: it must be a SELECT; nothing was changed")
            check_columns(columns(job), list(result.keys()))
            return _joined(list(_batches(result, job)))
    except SQLAlchemyError as error:
        busy = "locked" in str(error) or getattr(error, "connection_invalidated", False)
        raise TrainError(f"the query failed: {_line(error)}", retriable=bool(busy)) from None


def _batches(result: CursorResult[Any], job: Job) -> Iterator[pa.Table]:
    import pandas as pd

    wanted = columns(job)
    for rows in result.columns(*wanted).partitions(BATCH):
        frame = pd.DataFrame.from_records([tuple(row) for row in rows], columns=wanted, coerce_float=True)
        yield to_arrow(frame)


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Return batches as one table; one that holds nulls alone goes with any other."""
    import pyarrow as pa

    from forecast.errors import InputError

    if not tables:
        raise InputError("the query gives no rows")
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise InputError(f"a column of the query mixes types: {str(error).splitlines()[0]}") from None


def _sorted(table: pa.Table, job: Job) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    times = table[job.time_col]
    if not (pa.types.is_timestamp(times.type) or pa.types.is_integer(times.type)):
        try:
            # All at once: how a date is to be read is seen from the first.
            parsed = pd.to_datetime(times.to_pandas())
        except (ValueError, TypeError) as error:
            said = str(error).splitlines()[0]
            raise TrainError(f"column {job.time_col!r} of the query holds no times: {said}") from None
        where = table.schema.get_field_index(job.time_col)
        table = table.set_column(where, job.time_col, pa.Array.from_pandas(parsed))
    return table.sort_by([(job.id_col, "ascending"), (job.time_col, "ascending")])


def _line(error: Exception) -> str:
    """First line of what the driver said."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
