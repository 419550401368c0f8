"""The SQLite file that MLflow keeps runs in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

# Seconds to wait for another job that logs to the same file: a write of MLflow's takes milliseconds,
# making its tables about one second.
_LOCK_TIMEOUT_S: Final = 5.0


def check_file(path: Path, write: bool) -> None:
    """Open the file, and let go of it again; a new one may be made where it will be written.

    MLflow goes on for minutes with a file that it cannot open, and does not say why.

    Raises
    ------
    OSError
        The folder cannot be made.
    sqlite3.Error
        The file is locked, damaged, not SQLite, or must not be written.
    """
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)) as connection:
        connection.execute("PRAGMA schema_version")
        if write:
            # SQLite begins to write to a read-only file without a word; only a change is refused.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE forecast_may_write (x)")
            connection.execute("ROLLBACK")
