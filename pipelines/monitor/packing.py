"""Snapshots as bytes: a header in JSON and named parts, never a pickle."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pipelines.errors import StreamError

_MAGIC: Final = b"FCSTMON1"
_DIGEST: Final = 32
_LENGTH: Final = 4
# Names of versions and alarms that are held: some kB. A fleet of a million that alarms at once: 300 MB.
_MAX_HEADER: Final = 1 << 29

Parts = dict[str, np.ndarray[Any, Any]]


def pack(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return a header of plain JSON, and arrays, as bytes."""
    text = json.dumps(head, allow_nan=False, separators=(",", ":")).encode()
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    body = len(text).to_bytes(_LENGTH, "little") + text + out.getvalue()
    return _MAGIC + hashlib.sha256(body).digest() + body


def unpack(data: bytes) -> tuple[dict[str, Any], Parts]:
    """Return what `pack` was given; `StreamError` for bytes that are not whole, or of another format."""
    start = len(_MAGIC) + _DIGEST
    body = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC:
        raise StreamError("it is of another format")
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise StreamError("it is not whole")
    size = int.from_bytes(body[:_LENGTH], "little")
    if size > min(_MAX_HEADER, len(body)):
        raise StreamError(f"its header cannot have {size} bytes")
    try:
        head = json.loads(bytes(body[_LENGTH : _LENGTH + size]))
        with np.load(io.BytesIO(body[_LENGTH + size :]), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, RecursionError) as error:
        raise StreamError(f"it cannot be read: {error}") from None
    if not isinstance(head, dict):
        raise StreamError("its header is no object")
    return head, arrays
