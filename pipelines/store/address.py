"""Where a store is: the two kinds of URL, and how one is printed without its secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pipelines.errors import StoreError
from pipelines.masking import masked

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgresql"
DEFAULT_URL: Final = "sqlite:///forecast.db"

_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_FORMS: Final = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


def parse_url(text: str) -> URL:
    """Return the URL of a store; `StoreError` names the two forms for anything else."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the second: a port that is no number
        raise StoreError(f"the store's URL {mask(text)!r} cannot be read; give {_FORMS}") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise StoreError(f"the store's URL begins with {url.drivername!r}; give {_FORMS}")
    url = url.set(drivername=driver)
    if driver == SQLITE and (url.database in (None, "", ":memory:") or "mode" in url.query):
        raise StoreError("the store must outlive the process: give a file, as in sqlite:///forecast.db")
    if driver != SQLITE and not url.database:
        raise StoreError(f"the store's URL {mask(text)!r} names no database; give {_FORMS}")
    return url


def sqlite_file(url: URL) -> Path | None:
    """Return the file behind an SQLite URL, None for PostgreSQL."""
    return Path(url.database or "") if url.get_backend_name() == SQLITE else None


def mask(text: str | URL) -> str:
    """Return a URL fit to be printed: no password, neither before the host nor in the query."""
    try:
        return masked(make_url(text).render_as_string(hide_password=False))
    except (ArgumentError, ValueError):
        return masked(str(text))
