"""Reads partitions of an embedded log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pipelines.errors import LogError
from pipelines.log.embedded.file import LogFile
from pipelines.log.embedded.records import fetch, spans
from pipelines.log.embedded.topics import Topics
from pipelines.log.records import Batch, Partition
from pipelines.log.retention import tell_skipped

# Between looks for records: short at first, so that they are read at once; longer while nothing comes.
_FIRST_NAP_S: Final = 0.0005
_LONGEST_NAP_S: Final = 0.005


class Cursor:
    """Where partitions are read, in turn."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self.topics = Topics(file)
        self.positions: dict[Partition, int] = {}
        self.skipped: Callable[[Partition, int, int], object] = tell_skipped

    def poll(self, timeout_s: float, limit: int, paused: frozenset[Partition] = frozenset()) -> list[Batch]:
        """Return what is there, or nothing after `timeout_s`."""
        if limit < 1:
            raise LogError(f"limit must be at least 1, got {limit}")
        ends = time.monotonic() + timeout_s
        nap_s = _FIRST_NAP_S
        while True:
            seen = self._file.changes()
            if batches := self._fetch(limit, paused):
                return batches
            while self._file.changes() == seen:
                left = ends - time.monotonic()
                if left <= 0:
                    return []
                time.sleep(min(nap_s, left))
                nap_s = min(2 * nap_s, _LONGEST_NAP_S)

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read on from these offsets."""
        for partition, offset in positions.items():
            if partition not in self.positions:
                raise LogError(f"{partition.topic}/{partition.number} is not read here")
            if offset < 0:
                raise LogError(f"{partition.topic}/{partition.number}: offset {offset} is negative")
            self.positions[partition] = offset

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        with self._file.reading() as connection:
            return {each: first for each, (first, _) in spans(connection, self.topics, partitions).items()}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        with self._file.reading() as connection:
            return {each: end for each, (_, end) in spans(connection, self.topics, partitions).items()}

    def _fetch(self, limit: int, paused: frozenset[Partition]) -> list[Batch]:
        wanted = {each: at for each, at in self.positions.items() if each not in paused}
        with self._file.reading() as connection:
            found = fetch(connection, self.topics, wanted, limit)
        for partition, position in found.moved.items():
            # To the end of the line: every partition gets its turn.
            del self.positions[partition]
            self.positions[partition] = position
        for passed in found.skipped:
            self.skipped(*passed)
        return found.batches


class EmbeddedReader:
    """`Reader` of an embedded log."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._cursor = Cursor(file)

    def assign(self, positions: Mapping[Partition, int | None]) -> None:
        begins = self._cursor.begins(positions)
        self._cursor.positions = {each: begins[each] for each in positions}
        self._cursor.seek({each: at for each, at in positions.items() if at is not None})

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        return self._cursor.poll(timeout_s, limit)

    def positions(self) -> dict[Partition, int]:
        return dict(self._cursor.positions)

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._cursor.begins(partitions)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._cursor.ends(partitions)

    def close(self) -> None:
        self._file.close()
