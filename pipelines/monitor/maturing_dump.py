"""Open paths as bytes: magic, sha256 of the rest, length of a header, header in JSON, arrays."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from pipelines.errors import PipelineError
from pipelines.wire.forecast import MAX_HORIZON, MAX_LEVELS

_MAGIC: Final = b"FCSTMAT1"
_DIGEST: Final = 32
# Names of some versions; thousands of them are no dump of ours.
_MAX_HEADER: Final = 1 << 20
_MOST_SERIES: Final = 100_000_000
# A season of minutes in a week has 10,080.
_LONGEST_SEASON: Final = 1_000_000


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of what follows."""

    n: int
    h: int
    levels: tuple[float, ...]
    season_length: int
    names: tuple[tuple[str, str], ...]
    open: int = 0
    """Paths."""
    rings: int = 0
    """Series whose scale is being made."""


_DECODER: Final = msgspec.json.Decoder(Head)


def pack(head: Head, parts: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return arrays and their sizes as bytes."""
    head = msgspec.structs.replace(head, open=len(parts["row"]), rings=len(parts["ring_row"]))
    text = msgspec.json.encode(head)
    body = [len(text).to_bytes(4, "little"), text]
    for name, (dtype, shape) in _layout(head).items():
        part = np.ascontiguousarray(parts[name], dtype=dtype)
        if part.shape != shape:
            raise PipelineError(f"open paths: {name} is {part.shape}, needs {shape}")
        body.append(part.tobytes())
    data = b"".join(body)
    return _MAGIC + hashlib.sha256(data).digest() + data


def unpack(data: bytes) -> tuple[Head, dict[str, np.ndarray[Any, Any]]]:
    """Return what `pack` was given; `PipelineError` for bytes that are not whole or not of it."""
    start = len(_MAGIC) + _DIGEST
    body = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise _damaged("they are not whole, or of another format")
    size = int.from_bytes(body[:4], "little")
    try:
        head = _DECODER.decode(body[4 : 4 + min(size, _MAX_HEADER)])
        _check(head)
        layout = _layout(head)
        _check_size(layout, len(body) - 4 - size)
        parts, at = {}, 4 + size
        for name, (dtype, shape) in layout.items():
            count = math.prod(shape)
            parts[name] = np.frombuffer(body, dtype, count, at).reshape(shape)
            at += count * np.dtype(dtype).itemsize
        _check_rows(head, parts)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _damaged(str(error)) from None
    return head, parts


def _layout(head: Head) -> dict[str, tuple[str, tuple[int, ...]]]:
    k, n, rings, m = head.open, head.n, head.rings, head.season_length
    return {
        "row": ("<i8", (k,)), "dt": ("<i8", (k,)), "base": ("<f8", (k,)),
        "values": ("<f4", (k, head.h, 2 + 2 * len(head.levels))),
        "tag": ("<i4", (n,)), "ts": ("<i8", (n,)), "start": ("<i8", (n,)), "end": ("<i8", (n,)),
        "anchor": ("<i8", (n,)),
        "scale": ("<f8", (n,)), "source": ("|u1", (n,)),
        "ring_row": ("<i8", (rings,)), "ring_sum": ("<f8", (rings,)), "ring_count": ("<i8", (rings,)),
        "ring_y": ("<f8", (rings, m)), "ring_at": ("<i8", (rings, m)),
    }  # fmt: skip


def _check(head: Head) -> None:
    fits = (
        0 <= head.n <= _MOST_SERIES and 0 <= head.open <= head.n and 0 <= head.rings <= head.n
        and 1 <= head.h <= MAX_HORIZON and len(head.levels) <= MAX_LEVELS
        and 1 <= head.season_length <= _LONGEST_SEASON
    )  # fmt: skip
    if not fits:
        raise ValueError(f"sizes are out of range: {head.n} series, h = {head.h}")


def _check_size(layout: Mapping[str, tuple[str, tuple[int, ...]]], found: int) -> None:
    wanted = sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in layout.values())
    if wanted != found:
        raise ValueError(f"{found} bytes of arrays, needs {wanted}")


def _check_rows(head: Head, parts: Mapping[str, np.ndarray[Any, Any]]) -> None:
    for name in ("row", "ring_row"):
        rows = parts[name]
        if len(rows) and not (rows[0] >= 0 and rows[-1] < head.n and (np.diff(rows) > 0).all()):
            raise ValueError(f"{name} is not ascending within 0..{head.n - 1}")
    tags = parts["tag"]
    if not np.array_equal(np.flatnonzero(tags != -1), parts["row"]):
        raise ValueError("paths and their tags do not agree")
    if len(tags) and not (tags.min() >= -1 and tags.max() < max(len(head.names), 1)):
        raise ValueError("a path of a version without a name")
    if len(parts["dt"]) and parts["dt"].min() < 1:
        raise ValueError("a step below 1")


def _damaged(what: str) -> PipelineError:
    return PipelineError(
        f"the open paths of a snapshot cannot be read: {what}; they are begun anew without it"
    )
