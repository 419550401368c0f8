"""Where a store is: the two kinds of URL, and how one is printed without its secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pipelines.errors import StoreError

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
# libpq takes these in the query as well as in front of the host.
_SECRETS: Final = {"password", "sslpassword", "passfile", "user_password"}


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
        url = make_url(text)
    except (ArgumentError, ValueError):
        hidden = re.sub(r"//[^/]*@", "//***@", str(text))
        return re.sub(r"(?i)((?:password|passfile)=)[^&]*", r"\1***", hidden)
    query = {key: "***" if key.lower() in _SECRETS else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")
