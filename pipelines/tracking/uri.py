"""Where MLflow is: URIs, and what of them may be shown."""

from __future__ import annotations

import re
from pathlib import Path

from forecast.errors import InputError
from pipelines.masking import masked

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


def sqlite_file(tracking_uri: str) -> Path | None:
    """Return the file of a SQLite URI, None for any other."""
    path = tracking_uri.removeprefix("sqlite:///")
    return Path(path.partition("?")[0]) if path != tracking_uri else None


def resolve_uri(tracking_uri: str) -> str:
    """Return the URI with an absolute path.

    Raises
    ------
    InputError
        Neither ``sqlite:///FILE`` nor ``http(s)://HOST``. Other databases belong behind a server: MLflow
        would have no place of ours for the artifacts.
    """
    path = sqlite_file(tracking_uri)
    if path is not None and path.name:
        return f"sqlite:///{path.absolute()}"
    if tracking_uri.startswith(("http://", "https://")):
        return tracking_uri.rstrip("/")
    raise InputError(
        f"the tracking URI must be sqlite:///FILE or http(s)://HOST:PORT, got {shown(tracking_uri)!r}"
    )


def shown(uri: str) -> str:
    """Return a URI without user, password and tokens; any other text as it is."""
    scheme, mark, rest = uri.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        return uri
    place, slash, path = rest.partition("/")
    return masked(f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}")
