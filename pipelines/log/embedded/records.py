"""Records in the file of an embedded log: appended, fetched, let go."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from pipelines.errors import LogError
from pipelines.log.embedded.file import OFFSET_BITS
from pipelines.log.embedded.topics import Place, Topics
from pipelines.log.records import Batch, Block, Headers, Partition, make_batch, split

# Of one partition at a time: a backlog of large records must not fill the memory.
_MOST_BYTES: Final = 16 * 2**20

_APPEND: Final = "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)"
_FETCH: Final = (
    "SELECT record_id, ts_ms, key, value FROM record "
    "WHERE record_id >= ? AND record_id < ? ORDER BY record_id LIMIT ?"
)

Span = tuple[int, int]
"""First offset that is kept, and the offset that the next record will have."""


def append(
    connection: sqlite3.Connection, topics: Topics, blocks: Iterable[Block], keep: int | None = None
) -> None:
    """Append blocks inside a transaction; of topics that are not compact, the last `keep` records stay."""
    now_ms = time.time_ns() // 1_000_000
    for block in blocks:
        place = topics.place(block.partition)
        end = _append(connection, place, block, now_ms)
        if keep is not None and not place.compact:
            forget(connection, place, end - keep)


def _append(connection: sqlite3.Connection, place: Place, block: Block, now_ms: int) -> int:
    (first,) = connection.execute(
        "SELECT next_offset FROM partition WHERE partition_id = ?", (place.partition_id,)
    ).fetchone()
    end = int(first) + len(block.keys)
    connection.executemany(_APPEND, _rows(place, int(first), block, now_ms))
    connection.execute(
        "UPDATE partition SET next_offset = ? WHERE partition_id = ?", (end, place.partition_id)
    )
    return end


def _rows(place: Place, first: int, block: Block, now_ms: int) -> Iterator[tuple[object, ...]]:
    keys, values = split(block.data, block.keys), split(block.data, block.values)
    if place.compact and None in keys:
        raise LogError(f"topic {block.partition.topic!r} is compact: every record needs a key")
    start = _record_id(place, first)
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        headers = encode_headers(block.headers[i]) if block.headers else None
        yield start + i, int(place.compact), now_ms, key, value, headers


def forget(connection: sqlite3.Connection, place: Place, before: int) -> None:
    """Delete the records below an offset."""
    (first,) = connection.execute(
        "SELECT first_offset FROM partition WHERE partition_id = ?", (place.partition_id,)
    ).fetchone()
    if before > first:
        ids = _record_id(place, first), _record_id(place, before)
        connection.execute("DELETE FROM record WHERE record_id >= ? AND record_id < ?", ids)
        connection.execute(
            "UPDATE partition SET first_offset = ? WHERE partition_id = ?", (before, place.partition_id)
        )


def span(connection: sqlite3.Connection, place: Place) -> Span:
    """Return the first offset that is kept, and the next one to be given."""
    first, end = connection.execute(
        "SELECT first_offset, next_offset FROM partition WHERE partition_id = ?", (place.partition_id,)
    ).fetchone()
    return int(first), int(end)


def spans(
    connection: sqlite3.Connection, topics: Topics, partitions: Iterable[Partition]
) -> dict[Partition, Span]:
    """Return `span` of each partition."""
    return {each: span(connection, topics.place(each)) for each in partitions}


class Fetched(NamedTuple):
    """What was there."""

    batches: list[Batch]
    moved: dict[Partition, int]
    """Where to read on."""
    skipped: list[tuple[Partition, int, int]]
    """Offsets from one up to another that are kept no longer."""


def fetch(
    connection: sqlite3.Connection, topics: Topics, positions: Mapping[Partition, int], limit: int
) -> Fetched:
    """Return records from these offsets on, `limit` at most; the partitions are taken in their order."""
    batches: list[Batch] = []
    moved: dict[Partition, int] = {}
    skipped: list[tuple[Partition, int, int]] = []
    for partition, position in positions.items():
        if limit <= 0:
            break
        place = topics.place(partition)
        first, end = span(connection, place)
        if position > end:
            raise LogError(
                f"{partition.topic}/{partition.number}: position {position} is beyond the end {end}; "
                "the topic was made anew or has lost records: reset the positions of the group"
            )
        if position == end:
            continue
        if first > position:
            skipped.append((partition, position, first))
        batch = _fetch(connection, partition, place, max(first, position), limit)
        moved[partition] = end if batch is None else batch.position
        if batch is not None:
            batches.append(batch)
            limit -= len(batch.offsets)
    return Fetched(batches, moved, skipped)


def _fetch(
    connection: sqlite3.Connection, partition: Partition, place: Place, first: int, limit: int
) -> Batch | None:
    ids = _record_id(place, first), _record_id(place, 1 << OFFSET_BITS)
    offsets: list[int] = []
    times: list[int] = []
    pairs: list[tuple[bytes | None, bytes | None]] = []
    size = 0
    for record_id, ts_ms, key, value in connection.execute(_FETCH, (*ids, limit)):
        offsets.append(record_id - _record_id(place, 0))
        times.append(ts_ms)
        pairs.append((key, value))
        size += len(key or b"") + len(value or b"")
        if size > _MOST_BYTES:
            break
    return make_batch(partition, offsets, times, pairs, offsets[-1] + 1) if offsets else None


def encode_headers(headers: Headers) -> str:
    """Return headers as JSON; a byte of a value is one character."""
    return json.dumps([[name, value.decode("latin-1")] for name, value in headers])


def decode_headers(text: str | None) -> Headers:
    """Return the headers of a record as they were written."""
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(text or "[]"))


def headers_of(connection: sqlite3.Connection, place: Place) -> list[Headers]:
    """Return the headers of every record of a partition, in order."""
    ids = _record_id(place, 0), _record_id(place, 1 << OFFSET_BITS)
    rows = connection.execute(
        "SELECT headers FROM record WHERE record_id >= ? AND record_id < ? ORDER BY record_id", ids
    )
    return [decode_headers(text) for (text,) in rows]


def _record_id(place: Place, offset: int) -> int:
    return (place.partition_id << OFFSET_BITS) + offset
