"""What stands before a message: magic byte, schema id, and in Protobuf which message of the file it is."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from pipelines.errors import Reason, WireError

MAGIC: Final = 0
_HEAD: Final = struct.Struct(">bI")
# Messages nest a few levels deep; a longer path is no path.
_MOST_INDEXES: Final = 8
_VARINT_BYTES: Final = 5


def is_framed(data: bytes | None) -> bool:
    """Return whether a message begins as one in registry wire format; JSON never does."""
    return bool(data) and data[0] == MAGIC  # type: ignore[index]  # not None: it is true


def unframe(data: bytes) -> tuple[int, bytes]:
    """Return schema id and payload; `WireError` where there is no room for both."""
    if len(data) <= _HEAD.size:
        raise WireError(Reason.MALFORMED, f"{len(data)} bytes hold no schema id and message")
    magic, schema_id = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise WireError(Reason.MALFORMED, f"begins with byte {magic}, registry wire format with {MAGIC}")
    return int(schema_id), data[_HEAD.size :]


def frame(schema_id: int, payload: bytes) -> bytes:
    """Return a payload behind its schema id."""
    return _HEAD.pack(MAGIC, schema_id) + payload


def take_indexes(payload: bytes) -> tuple[tuple[int, ...], bytes]:
    """Return the position of a Protobuf message in its file, and the message.

    Positions of nested messages are paths; the first message of a file, (0,), is written as one byte 0.
    """
    count, at = _varint(payload, 0)
    if count == 0:
        return (0,), payload[at:]
    if not 0 < count <= _MOST_INDEXES:
        raise WireError(Reason.MALFORMED, f"{count} message indexes, at most {_MOST_INDEXES}")
    indexes = []
    for _ in range(count):
        index, at = _varint(payload, at)
        indexes.append(index)
    return tuple(indexes), payload[at:]


def put_indexes(indexes: Sequence[int]) -> bytes:
    """Return the position of a message as bytes."""
    if tuple(indexes) == (0,):
        return b"\0"
    return b"".join(_zigzag(number) for number in (len(indexes), *indexes))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag varint and where it ends."""
    value = 0
    for k in range(_VARINT_BYTES):
        if at + k >= len(data):
            break
        value |= (data[at + k] & 0x7F) << (7 * k)
        if data[at + k] < 0x80:
            return (value >> 1) ^ -(value & 1), at + k + 1
    raise WireError(Reason.MALFORMED, "the message indexes are cut short")


def _zigzag(number: int) -> bytes:
    value, out = number << 1, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
