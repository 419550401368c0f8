"""What SQLite raises, as `LogError`: what happened, whether to try again, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipelines.errors import LogError

_LOCKED: Final = "another process is writing to {log}, and did not finish in time; try again later"
_FULL: Final = "the disk of {log} is full; nothing of this write was kept; make room and start again"

# Primary result code of SQLite -> (message, retriable).
_MEANING: Final = {
    sqlite3.SQLITE_BUSY: (_LOCKED, True),
    sqlite3.SQLITE_LOCKED: (_LOCKED, True),
    sqlite3.SQLITE_FULL: (_FULL, False),
    sqlite3.SQLITE_IOERR: ("{log} cannot be read or written ({detail}); check the disk", True),
    sqlite3.SQLITE_READONLY: ("{log} cannot be written ({detail}); check its permissions", False),
    sqlite3.SQLITE_PERM: ("{log} cannot be opened ({detail}); check its permissions", False),
    sqlite3.SQLITE_CANTOPEN: (
        "{log} cannot be opened; check that its folder exists and can be written",
        False,
    ),
    sqlite3.SQLITE_NOTADB: ("{log} is not a log, nor any SQLite file; name another", False),
    sqlite3.SQLITE_CORRUPT: ("{log} is damaged ({detail}); restore it from a backup", False),
    sqlite3.SQLITE_TOOBIG: ("a record is too large for {log} ({detail}); write smaller ones", False),
}


@contextmanager
def naming_faults(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into `LogError`; the cause hangs on it."""
    try:
        yield
    except sqlite3.Error as error:
        message, retriable = _meaning(error)
        detail = " ".join(str(error).split())
        raise LogError(message.format(log=path, detail=detail), retriable=retriable) from error


def _meaning(error: sqlite3.Error) -> tuple[str, bool]:
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the file beside a log cannot grow
        return _FULL, False
    return _MEANING.get(code & 0xFF, ("{log}: {detail}", False))  # the rest tells kinds of one code apart
