"""What drivers raise, as `StoreError`: what happened, whether to try again, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelines.errors import StoreError
from pipelines.store.address import mask

_UPGRADE: Final = "`forecast db check` says what the schema lacks, `forecast db upgrade` brings it up to date"
_LOCKED: Final = "another process is writing to {store}, and did not finish in time; run again later"
_FULL: Final = "the disk of {store} is full; nothing of this write was kept; make room and run again"

# Primary result code of SQLite -> (message, retriable).
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: (_LOCKED, True),
    sqlite3.SQLITE_LOCKED: (_LOCKED, True),
    sqlite3.SQLITE_FULL: (_FULL, False),
    sqlite3.SQLITE_IOERR: (
        "{store} cannot be read or written ({detail}); check the disk and run again",
        True,
    ),
    sqlite3.SQLITE_READONLY: ("{store} cannot be written ({detail}); check its permissions", False),
    sqlite3.SQLITE_PERM: ("{store} cannot be opened ({detail}); check its permissions", False),
    sqlite3.SQLITE_CANTOPEN: (
        "{store} cannot be opened; check that its folder exists and can be written",
        False,
    ),
    sqlite3.SQLITE_NOTADB: ("{store} is not an SQLite file; name another", False),
    sqlite3.SQLITE_CORRUPT: ("{store} is damaged ({detail}); restore it from a backup", False),
}

# SQLSTATE, or its first two characters -> (message, retriable).
_POSTGRES: Final = {
    "55P03": (_LOCKED, True),
    "40001": ("{store} had a conflict of two writers; run again", True),
    "40P01": ("{store} had a deadlock of two writers; run again", True),
    "53100": (_FULL, False),
    "42P01": (f"{{store}} lacks a table ({{detail}}); {_UPGRADE}", False),
    "42703": (f"{{store}} lacks a column ({{detail}}); {_UPGRADE}", False),
    "42501": ("{store} refuses this user ({detail})", False),
    "3D000": ("{store} does not exist; create the database first", False),
    "28": ("{store} refuses this user or password", False),
    "08": ("the connection to {store} was lost ({detail}); run again", True),
    "53": ("{store} has run out of something ({detail}); run again later", True),
    "57": ("{store} is stopping, starting or cancelled the statement ({detail}); run again", True),
}


@contextmanager
def naming_faults(url: URL) -> Iterator[None]:
    """Turn what a driver raises into `StoreError`; the cause hangs on it, its statement and values do not."""
    try:
        yield
    except DBAPIError as error:
        raise _named(error.orig or error, url, error.connection_invalidated) from error.orig
    except PoolTimeout:
        message = f"all connections to {mask(url)} are in use; run again later"
        raise StoreError(message, retriable=True) from None
    except sqlite3.Error as error:
        raise _named(error, url, lost=False) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        raise _named(error, url, lost=False) from error


def _named(error: BaseException, url: URL, lost: bool) -> StoreError:
    message, retriable = _meaning(error, lost)
    detail = " ".join(str(error).split())
    if url.password:
        detail = detail.replace(str(url.password), "***")
    return StoreError(message.format(store=mask(url), detail=detail), retriable=retriable)


def _meaning(error: BaseException, lost: bool) -> tuple[str, bool]:
    unknown = ("{store}: {detail}", False)
    if isinstance(error, sqlite3.Error):
        extended = getattr(error, "sqlite_errorcode", 0)
        if extended == sqlite3.SQLITE_IOERR_SHMSIZE:  # the file beside a log cannot grow
            return _SQLITE[sqlite3.SQLITE_FULL]
        code = extended & 0xFF  # the rest tells kinds of one code apart
        if code == sqlite3.SQLITE_ERROR and str(error).startswith(("no such", "table ")):
            return f"{{store}}: {{detail}}; {_UPGRADE}", False
        return _SQLITE.get(code, unknown)
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2], unknown)
    if lost or type(error).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
        # No state: the server was not reached, or hung up. A wrong password ends here as well.
        refused = "password" in str(error) or "does not exist" in str(error)
        return "{store} does not answer ({detail})" + ("" if refused else "; run again later"), not refused
    return unknown
