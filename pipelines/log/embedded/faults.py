"""What SQLite raises, as `LogError`: what happened, whether to try again, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import LogError
from pipelines.sqlite_faults import meaning


@contextmanager
def naming_faults(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into `LogError`; the cause hangs on it."""
    try:
        yield
    except sqlite3.Error as error:
        message, retriable = meaning(error)
        detail = " ".join(str(error).split())
        raise LogError(message.format(place=path, detail=detail), retriable=retriable) from error
