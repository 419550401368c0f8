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
from pipelines.sqlite_faults import FULL, LOCKED, meaning
from pipelines.store.address import mask

_UPGRADE: Final = "`forecast db check` says what the schema lacks, `forecast db upgrade` brings it up to date"

# SQLSTATE, or its first two characters -> (message, retriable).
_POSTGRES: Final = {
    "55P03": (LOCKED, True),
    "40001": ("{place} had a conflict of two writers; run again", True),
    "40P01": ("{place} had a deadlock of two writers; run again", True),
    "53100": (FULL, False),
    "42P01": (f"{{place}} lacks a table ({{detail}}); {_UPGRADE}", False),
    "42703": (f"{{place}} lacks a column ({{detail}}); {_UPGRADE}", False),
    "42501": ("{place} refuses this user ({detail})", False),
    "3D000": ("{place} does not exist; create the database first", False),
    "28": ("{place} refuses this user or password", False),
    "08": ("the connection to {place} was lost ({detail}); run again", True),
    "53": ("{place} has run out of something ({detail}); run again later", True),
    "57": ("{place} is stopping, starting or cancelled the statement ({detail}); run again", True),
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
    return StoreError(message.format(place=mask(url), detail=detail), retriable=retriable)


def _meaning(error: BaseException, lost: bool) -> tuple[str, bool]:
    unknown = ("{place}: {detail}", False)
    if isinstance(error, sqlite3.Error):
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:
            lacking = str(error).startswith(("no such", "table "))
            return (f"{{place}}: {{detail}}; {_UPGRADE}", False) if lacking else unknown
        return meaning(error)
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2], unknown)
    if lost or type(error).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
        # No state: the server was not reached, or hung up. A wrong password ends here as well.
        refused = "password" in str(error) or "does not exist" in str(error)
        return "{place} does not answer ({detail})" + ("" if refused else "; run again later"), not refused
    return unknown
