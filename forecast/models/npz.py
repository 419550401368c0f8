"""The container of a chunk: an `.npz` whose bytes follow from its content alone, read without trust."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ArtifactError

HEADER = "header.json"

# 4,096 records of 16 kB: a seasonal model with a thousand levels still fits. A larger limit
# lets one foreign file take that much memory; a smaller one splits chunks of long seasons.
MAX_CHUNK_BYTES = 64 << 20

# The header holds the ids: 4,096 of 2 kB each. Parsed JSON takes up to 50 times its size in memory.
MAX_HEADER_BYTES = 8 << 20

# Schema 1 has 50 members at most; the directory is read whole before any name is checked.
MAX_MEMBERS = 64
_MAX_DIRECTORY_BYTES = MAX_MEMBERS * 128

# Nothing but these may stand in a chunk: no object arrays, so nothing to unpickle.
_DTYPES = {"<f8": np.float64, "<i8": np.int64, "<i4": np.int32, "|u1": np.uint8}

# The header as numpy.lib.format 1.0 writes it. It is matched, never evaluated. Eighteen digits
# bound what int() is given.
_ARRAY_MAGIC = b"\x93NUMPY\x01\x00"
_ARRAY_HEADER = re.compile(
    rb"\{'descr': '([<|][fiu][148])', 'fortran_order': False, "
    rb"'shape': \(([0-9]{1,18},(?: [0-9]{1,18},?)*)\), \} *\n"
)

_END_OF_ZIP = struct.Struct("<4s4H2LH")
_ZIP64_LOCATOR_BYTES = 20
# What zipfile raises on damaged or hostile input (NotImplementedError is a RuntimeError).
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    ValueError,
    RuntimeError,
    EOFError,
    KeyError,
    OverflowError,
    OSError,
    struct.error,
)


def pack(header: bytes, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file: `header` first, then the arrays in the given order.

    Stored, not deflated: deflate saves a third of the bytes for 13 times the time of writing, and its
    output depends on the build of zlib, which would give one content several addresses.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(HEADER), header)
        for name, array in arrays.items():
            member = io.BytesIO()
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            archive.writestr(_entry(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """Return the header and the arrays (read-only) of `data`; `ArtifactError` says what is wrong with it."""
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(data))
            members = {entry.filename: archive.read(entry) for entry in entries}
    except _ZIP_ERRORS as error:
        raise ArtifactError(f"is not a readable chunk ({error})") from error
    header = members.pop(HEADER, None)
    if header is None:
        raise ArtifactError(f"has no member {HEADER!r}")
    return header, {name.removesuffix(".npy"): _array(name, raw) for name, raw in members.items()}


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the earliest a zip can hold
    entry.create_system = 3  # the same on every platform
    entry.external_attr = 0o644 << 16
    return entry


def _check_directory(data: bytes) -> None:
    """Bound what zipfile reads before any of our checks can run: its directory."""
    if len(data) > MAX_CHUNK_BYTES:
        raise ArtifactError(f"has {len(data)} bytes, a chunk has at most {MAX_CHUNK_BYTES}")
    if len(data) < _END_OF_ZIP.size:
        raise ArtifactError("is not a chunk: too short for a zip file")
    end = len(data) - _END_OF_ZIP.size
    magic, _, _, _, _, directory_bytes, _, _ = _END_OF_ZIP.unpack_from(data, end)
    locator = data[end - _ZIP64_LOCATOR_BYTES : end][:4] if end >= _ZIP64_LOCATOR_BYTES else b""
    if magic != b"PK\x05\x06" or locator == b"PK\x06\x07":
        raise ArtifactError("is not a chunk, or is cut short: no end of a zip file where it should be")
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ArtifactError(
            f"has a directory of {directory_bytes} bytes, a chunk at most {_MAX_DIRECTORY_BYTES}"
        )


def _check_entries(entries: list[zipfile.ZipInfo], n_bytes: int) -> None:
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names) or len(names) > MAX_MEMBERS:
        raise ArtifactError(
            f"has {len(names)} members of {len(set(names))} names, at most {MAX_MEMBERS} different"
        )
    for entry in entries:
        if entry.filename != HEADER and not entry.filename.endswith(".npy"):
            raise ArtifactError(f"has a foreign member {entry.filename[:64]!r}")
        # Stored members cannot unpack to more than the file has: no bomb.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ArtifactError(f"member {entry.filename[:64]!r} is compressed, schema 1 stores plain bytes")
        if entry.filename == HEADER and entry.file_size > MAX_HEADER_BYTES:
            raise ArtifactError(f"has a header of {entry.file_size} bytes, at most {MAX_HEADER_BYTES}")
    if sum(entry.file_size for entry in entries) > n_bytes:  # members that overlap
        raise ArtifactError("declares more bytes than it has")


def _array(name: str, raw: bytes) -> NDArray[Any]:
    """Parse one `.npy` of the subset that `pack` writes."""
    start = len(_ARRAY_MAGIC) + 2
    end = start + int.from_bytes(raw[len(_ARRAY_MAGIC) : start], "little")
    match = _ARRAY_HEADER.fullmatch(raw[start:end])
    dtype = match and _DTYPES.get(match[1].decode())
    if not raw.startswith(_ARRAY_MAGIC) or match is None or dtype is None:
        raise ArtifactError(f"member {name[:64]!r} is not an array of schema 1")
    shape = tuple(int(size) for size in match[2].replace(b",", b" ").split())
    if math.prod(shape) * np.dtype(dtype).itemsize != len(raw) - end:
        raise ArtifactError(f"member {name[:64]!r} declares shape {shape}, holds {len(raw) - end} bytes")
    stored = np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<"), offset=end).reshape(shape)
    return stored.astype(dtype, copy=False)
