"""The embedded log: one SQLite file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import LogError
from pipelines.log.embedded.file import BUSY_S, LogFile
from pipelines.log.embedded.member import EmbeddedMember
from pipelines.log.embedded.reader import EmbeddedReader
from pipelines.log.embedded.records import forget, headers_of
from pipelines.log.embedded.topics import Topics
from pipelines.log.embedded.writer import EmbeddedWriter
from pipelines.log.protocol import Membership, Topic
from pipelines.log.records import Headers, Partition


class EmbeddedLog:
    """`Log` in one file, for one machine; several processes may have it open.

    Parameters
    ----------
    path
        The file; made if it is not there, its folder is not.
    keep
        Records of a partition that are kept, the last ones, in topics that are not compact; None: all.
    busy_s
        How long a write waits for another process that is writing.

    Raises
    ------
    LogError
        The file is no log, is damaged, locked, or cannot be opened.
    """

    def __init__(self, path: str | Path, *, keep: int | None = None, busy_s: float = BUSY_S) -> None:
        if keep is not None and keep < 1:
            raise LogError(f"keep must be at least 1 record, got {keep}")
        self._path, self._keep, self._busy_s = Path(path), keep, busy_s
        self._file = self._open()
        self._topics = Topics(self._file)

    def make_topics(self, topics: Iterable[Topic]) -> None:
        self._topics.make(topics)

    def partitions(self, topic: str) -> int:
        return self._topics.count(topic)

    def member(self, membership: Membership) -> EmbeddedMember:
        return EmbeddedMember(self._open(), membership, self._keep)

    def reader(self) -> EmbeddedReader:
        return EmbeddedReader(self._open())

    def writer(self, linger_ms: int = 5) -> EmbeddedWriter:
        return EmbeddedWriter(self._open(), self._keep)

    def headers(self, partition: Partition) -> list[Headers]:
        """Return the headers of every record that a partition keeps, in order."""
        place = self._topics.place(partition)
        with self._file.reading() as connection:
            return headers_of(connection, place)

    def forget(self, partition: Partition, before: int) -> None:
        """Delete the records of a partition below an offset."""
        place = self._topics.place(partition)
        with self._file.writing() as connection:
            forget(connection, place, before)

    def close(self) -> None:
        self._file.close()

    def _open(self) -> LogFile:
        return LogFile(self._path, self._busy_s)
