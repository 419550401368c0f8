"""What SQLite raises: what it means, whether to try again, what to do. For the store and the embedded log."""

from __future__ import annotations

import sqlite3
from typing import Final

LOCKED: Final = "another process is writing to {place}, and did not finish in time; try again later"
FULL: Final = "the disk of {place} is full; nothing of this write was kept; make room and try again"

# Primary result code -> (message, retriable).
_MEANING: Final = {
    sqlite3.SQLITE_BUSY: (LOCKED, True),
    sqlite3.SQLITE_LOCKED: (LOCKED, True),
    sqlite3.SQLITE_FULL: (FULL, False),
    sqlite3.SQLITE_IOERR: (
        "{place} cannot be read or written ({detail}); check the disk and try again",
        True,
    ),
    sqlite3.SQLITE_READONLY: ("{place} cannot be written ({detail}); check its permissions", False),
    sqlite3.SQLITE_PERM: ("{place} cannot be opened ({detail}); check its permissions", False),
    sqlite3.SQLITE_CANTOPEN: (
        "{place} cannot be opened; check that its folder exists and can be written",
        False,
    ),
    sqlite3.SQLITE_NOTADB: ("{place} is not an SQLite file; name another", False),
    sqlite3.SQLITE_CORRUPT: ("{place} is damaged ({detail}); restore it from a backup", False),
    sqlite3.SQLITE_TOOBIG: ("what is written is too large for {place} ({detail}); write less at once", False),
}


def meaning(error: sqlite3.Error) -> tuple[str, bool]:
    """Return a message, with room for `place` and `detail`, and whether the same call can succeed later."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the file beside a log cannot grow
        return FULL, False
    return _MEANING.get(code & 0xFF, ("{place}: {detail}", False))  # the rest tells kinds of one code apart
