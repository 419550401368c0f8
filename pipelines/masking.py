"""Addresses without their secrets: the one place that knows what must not be printed."""

from __future__ import annotations

import re

# A user and a password before the host; what looks like a port begins no password.
_PASSWORD = re.compile(r"(?<=://)([^/:@?]*):(?!\d+(?:[/?]|$))(.+)@")
_QUERY = re.compile(
    r"([?&][^=&]*(?:passw|pwd|secret|token|credential|api_?key|access_?key)[^=&]*=)[^&]*", re.IGNORECASE
)


def masked(url: str) -> str:
    """Return a URL without the passwords and tokens before its host and in its query."""
    return _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))


def has_password(url: str) -> bool:
    """Whether a password stands before the host."""
    return _PASSWORD.search(url) is not None
