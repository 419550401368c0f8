"""What MLflow and its drivers raise, in one line: what happened, whether to try again, what to do."""

from __future__ import annotations

import re
from typing import Final

from forecast.errors import ForecastError
from pipelines.errors import TrackingError
from pipelines.tracking.uri import shown

NOT_INSTALLED: Final = "MLflow is not installed: pip install 'forecast-platform[track]'"

# What is searched for in the text of an error -> (what is said, retriable); the first that is found counts.
# Text it must be: MLflow wraps drivers, drivers wrap sockets, and a server sends nothing but text.
_KNOWN: Final = (
    (
        r"out-of-date database schema \(found version (\S+), but expected (\w+)",
        "has the tables of another MLflow (schema {0}, this one needs {1}); if they are older run "
        "`mlflow db upgrade {uri}`, if newer install the MLflow that made them",
        False,
    ),
    (r"file is not a database", "is not an SQLite file; name another", False),
    (r"disk image is malformed", "is damaged; restore it from a backup", False),
    (r"database (?:table |schema )?is locked", "is held by another process; run again later", True),
    (r"readonly database", "cannot be written; check the permissions of the file and its folder", False),
    (r"unable to open database file", "cannot be opened; check its folder and permissions", False),
    (
        r"database or disk is full|No space left on device|Disk quota exceeded",
        "has no room left on its disk, or the temporary folder has none; make room and run again",
        True,
    ),
    (r"Connection refused", "refuses connections; start the server or correct the address", True),
    (r"Failed to resolve|Name or service not known", "has an unknown host name; check the address", True),
    (r"SSLError|CERTIFICATE_VERIFY", "cannot be reached by TLS; check http or https, certificates", False),
    (r"Connection aborted|Connection reset|RemoteDisconnected", "hung up; look at its log, run again", True),
    (r"timed out", "did not answer in time; look at the server, run again later", True),
    (
        r"error code (40[13])\b",
        "refuses this user ({0}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "MLFLOW_TRACKING_TOKEN",
        False,
    ),
    (r"error code (3\d\d|404|405)\b", "is no MLflow server ({0}); correct the address", False),
    (
        r"(?:too many|error code) (\d{3})\b",
        "answers with error {0}; look at the server's log, run again later",
        True,
    ),
)

# What MLflow calls an error that no repetition mends.
_FINAL: Final = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "INVALID_STATE",
        "BAD_REQUEST",
        "RESOURCE_DOES_NOT_EXIST",
        "NOT_FOUND",
        "ENDPOINT_NOT_FOUND",
    }
)

# A file that is gone, or a path where there can be none.
_WRONG_PLACE: Final = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)

# Of a reason that is not among the known: one line of a log.
_MOST_CHARACTERS: Final = 300


def named(tracking_uri: str, error: Exception) -> TrackingError:
    """Return what is told of `error`, on one line."""
    if isinstance(error, TrackingError):
        return error
    uri = shown(tracking_uri)
    place = f"MLflow at {uri}"
    text = " ".join(str(error).split())
    for pattern, said, retriable in _KNOWN:
        if found := re.search(pattern, text):
            return TrackingError(f"{place} {said.format(*found.groups(), uri=uri)}", retriable=retriable)
    reason = text or type(error).__name__
    if len(reason) > _MOST_CHARACTERS:
        reason = f"{reason[:_MOST_CHARACTERS]}..."
    return TrackingError(f"{place}: {reason}", retriable=_may_go_better(error))


def _may_go_better(error: Exception) -> bool:
    if isinstance(error, (ForecastError, *_WRONG_PLACE)):
        return False
    return getattr(error, "error_code", None) not in _FINAL


def too_late(tracking_uri: str, timeout_s: float) -> TrackingError:
    """Return what is told of a deadline that passed."""
    if tracking_uri.startswith("sqlite:"):
        fix = "another process may hold the file; run again later"
    else:
        fix = "look at the server, run again later or allow more (tracking_timeout_s)"
    return TrackingError(
        f"MLflow at {shown(tracking_uri)} was not done after {timeout_s:g} s; {fix}", retriable=True
    )
