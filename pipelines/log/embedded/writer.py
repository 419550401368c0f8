"""Writes records into an embedded log."""

from __future__ import annotations

from pipelines.log.embedded.file import LogFile
from pipelines.log.embedded.records import append
from pipelines.log.embedded.topics import Topics
from pipelines.log.records import Block


class EmbeddedWriter:
    """`Writer` of an embedded log: every block is a transaction, and lasts when `write` returns."""

    def __init__(self, file: LogFile, keep: int | None) -> None:
        self._file = file
        self._topics = Topics(file)
        self._keep = keep

    def write(self, block: Block) -> None:
        self._topics.place(block.partition)  # seen before the file is held
        with self._file.writing() as connection:
            append(connection, self._topics, [block], self._keep)

    def pending(self) -> int:
        return 0

    def flush(self) -> None:
        """Return at once: `write` has waited."""

    def close(self) -> None:
        self._file.close()
