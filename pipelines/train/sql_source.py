"""A query as the input of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import TrainError
from pipelines.train.inputs import Found, to_arrow
from pipelines.train.job import Job

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection


def read_sql(url: str, job: Job) -> Found:
    """Run the query of `job` and return its rows.

    Rows that come in another order make another version: give the query an ORDER BY.

    Raises
    ------
    TrainError
        The database is not there (retriable), or refuses the query; one line, without the password.
    """
    import hashlib

    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    from pipelines.settings import masked

    try:
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise TrainError(f"--from {masked(url)}: {_line(error)}") from None
    try:
        try:
            connection = engine.connect()
        except SQLAlchemyError as error:
            raise TrainError(f"{masked(url)} does not answer: {_line(error)}", retriable=True) from None
        with connection:
            frame = _query(connection, job)
    finally:
        engine.dispose()
    digest = hashlib.sha256(job.input.encode()).hexdigest()
    return Found(to_arrow(frame), ({"file": masked(url), "bytes": 0, "sha256": digest},))


def _query(connection: Connection, job: Job) -> pd.DataFrame:
    import pandas as pd
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        result = connection.execute(text(job.input))
        if not result.returns_rows:
            raise TrainError("the query gives no rows: it must be a SELECT; nothing was changed")
        rows = [tuple(row) for row in result]
        frame = pd.DataFrame.from_records(rows, columns=list(result.keys()), coerce_float=True)
    except SQLAlchemyError as error:
        busy = "locked" in str(error) or getattr(error, "connection_invalidated", False)
        raise TrainError(f"the query failed: {_line(error)}", retriable=bool(busy)) from None
    if job.time_col in frame and not pd.api.types.is_numeric_dtype(frame[job.time_col]):
        try:
            frame[job.time_col] = pd.to_datetime(frame[job.time_col])
        except (ValueError, TypeError) as error:
            raise TrainError(f"column {job.time_col!r} of the query holds no times: {error}") from None
    return frame


def _line(error: Exception) -> str:
    """First line of what the driver said."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
