"""A file with the state of one partition: saves reading the changelog from its first record.

Magic, length of the header (4 bytes), header (JSON), body. The body is pieces of: number of records and of
bytes (8 bytes each), keys (n, 2), values (n, 2) (int64), bytes. Everything is little-endian.
A file that is not whole, not of this place, or not of this changelog is never used.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np

from forecast.types import I64, U8
from pipelines.errors import StreamError
from pipelines.log.records import ABSENT, Batch, Block, Partition
from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.stream.metrics import Totals

FORMAT: Final = 1
_MAGIC: Final = b"FCSTSNP1"

# What a header needs is a tenth of this; more is no header of ours.
_MAX_HEADER: Final = 16 << 10

_HEAD: Final = len(_MAGIC) + 4
_CHUNK: Final = 1 << 20
# Bounds of a key and of a value.
_ROW: Final = 2 * 2 * 8


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a snapshot is of."""

    format: int
    group: str
    topic: str
    partition: int
    version: str
    """Of the model that moved the state last; for people."""
    position: int
    """In the changelog: records from here on are not in the snapshot."""
    source: int
    """Committed position in the ticks when it was taken."""
    records: int
    bytes: int
    sha256: str
    """Of the body."""


class Loaded(NamedTuple):
    """A snapshot that can be used."""

    position: int
    batches: Iterator[Batch]


class Taken(NamedTuple):
    """State of a partition at a commit, to be written."""

    place: Partition
    """In the state topic."""
    version: str
    position: int
    source: int
    blocks: Sequence[Block]


class Snapshots:
    """The snapshots of a worker: one file a partition in a folder of its own for each group and topic."""

    def __init__(self, folder: Path, group: str, totals: Totals) -> None:
        self._root = folder
        self._group = group
        self._totals = totals

    def path(self, place: Partition) -> Path:
        """Return where the snapshot of a partition is."""
        return self._root / _plain(self._group) / _plain(place.topic) / f"{place.number}.state"

    def write(self, taken: Taken) -> None:
        """Replace the snapshot of a partition, whole or not at all; OSError where it cannot be."""
        path = self.path(taken.place)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                _put(file, self._header(taken), taken.blocks)
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _sync(path.parent)
        self._totals.add("snapshots")

    def read(self, place: Partition, first: int, end: int, source: int) -> Loaded | None:
        """Return the state of a partition and where its changelog goes on; None: read it all.

        Parameters
        ----------
        place
            In the state topic.
        first, end
            First offset that the changelog keeps, and the one that its next record will have.
        source
            Position in the ticks from which the partition will go on.
        """
        path = self.path(place)
        if not path.exists():
            return None
        try:
            # Another worker may put a newer file in its place: what is mapped stays as it is.
            header, body = _checked(np.asarray(np.memmap(path, dtype=np.uint8, mode="r")))
            self._check(header, place, first, end, source)
            return Loaded(header.position, _batches(path, body, place, header))
        except (OSError, ValueError, StreamError) as error:
            self._totals.add("snapshots_refused")
            log.warning(
                "snapshot %s is not used, the changelog is read instead: %s", path, error,
                extra={"data": {"partition": place.number}},
            )  # fmt: skip
            return None

    def _check(self, header: Header, place: Partition, first: int, end: int, source: int) -> None:
        if (header.group, header.topic, header.partition) != (self._group, *place):
            raise StreamError(f"it is of {header.group}, {header.topic}-{header.partition}")
        if not first <= header.position <= end:
            raise StreamError(f"its position {header.position} is not in the changelog, {first} to {end}")
        if header.source > source:
            raise StreamError(f"it knows ticks up to {header.source}, committed are those up to {source}")

    def _header(self, taken: Taken) -> Header:
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(taken.blocks):
            digest.update(piece)
            size += len(piece)
        return Header(
            format=FORMAT, group=self._group, topic=taken.place.topic, partition=taken.place.number,
            version=taken.version, position=taken.position, source=taken.source,
            records=sum(len(block.keys) for block in taken.blocks), bytes=size, sha256=digest.hexdigest(),
        )  # fmt: skip


def _put(file: BinaryIO, header: Header, blocks: Sequence[Block]) -> None:
    text = msgspec.json.encode(header)
    file.write(_MAGIC + len(text).to_bytes(4, "little") + text)
    for piece in _pieces(blocks):
        file.write(piece)


def _pieces(blocks: Iterable[Block]) -> Iterator[bytes]:
    for block in blocks:
        n = len(block.keys)
        yield np.array([n, len(block.data)], dtype="<i8").tobytes()
        yield np.ascontiguousarray(block.keys, dtype="<i8").tobytes()
        yield np.ascontiguousarray(block.values, dtype="<i8").tobytes()
        yield np.ascontiguousarray(block.data).tobytes()


def _checked(file: U8) -> tuple[Header, U8]:
    """Return the header and the body, once the sha256 of the body is right."""
    if file[: len(_MAGIC)].tobytes() != _MAGIC:
        raise StreamError("it is no snapshot, or one of another format")
    length = int.from_bytes(file[len(_MAGIC) : _HEAD].tobytes(), "little")
    if length > _MAX_HEADER:
        raise StreamError(f"its header has {length} bytes, at most {_MAX_HEADER}")
    try:
        header = msgspec.json.decode(file[_HEAD : _HEAD + length].tobytes(), type=Header)
    except (msgspec.MsgspecError, ValueError) as error:
        raise StreamError(f"its header cannot be read: {error}") from None
    body = file[_HEAD + length :]
    if header.format != FORMAT or header.bytes != len(body):
        raise StreamError(
            f"it has {len(body)} bytes and format {header.format}, not {header.bytes}, {FORMAT}"
        )
    digest = hashlib.sha256()
    for first in range(0, len(body), _CHUNK):
        digest.update(body[first : first + _CHUNK].tobytes())
    if digest.hexdigest() != header.sha256:
        raise StreamError("its sha256 is another: it is damaged")
    return header, body


def _batches(path: Path, body: U8, place: Partition, header: Header) -> Iterator[Batch]:
    """Yield the records, a piece at a time; StreamError where they are not what the header says."""
    at = 0
    while at < len(body):
        n, n_bytes = (int(x) for x in _numbers(body[at : at + 16]))
        at += 16
        if not (n >= 0 and n_bytes >= 0 and n * _ROW + n_bytes <= len(body) - at):
            raise StreamError(f"{path}: a piece of {n} records, {n_bytes} bytes, is damaged; delete the file")
        bounds = _numbers(body[at : at + n * _ROW]).reshape(2, n, 2)
        at += n * _ROW
        data = body[at : at + n_bytes].copy()
        at += n_bytes
        for each in bounds:
            _check_bounds(path, each, n_bytes)
        offsets = np.full(n, header.position - 1, dtype=np.int64)
        times = np.zeros(n, dtype=np.int64)
        yield Batch(place, offsets, times, data, bounds[0].copy(), bounds[1].copy(), header.position)


def _numbers(data: U8) -> I64:
    return np.frombuffer(data.tobytes(), dtype="<i8").astype(np.int64)


def _check_bounds(path: Path, bounds: I64, size: int) -> None:
    """Kernels read what bounds name, without looking."""
    first, last = bounds[:, 0], bounds[:, 1]
    absent = (first == ABSENT) & (last == ABSENT)
    if not (absent | ((first >= 0) & (first <= last) & (last <= size))).all():
        raise StreamError(f"{path}: a record lies outside of its piece; delete the file")


def _plain(name: str) -> str:
    """Return a name that a file can have; the header has the whole one."""
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name):
        return name
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
