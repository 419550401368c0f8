"""The SQLite file of a log: its tables, and connections to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipelines.errors import LogError
from pipelines.log.embedded.faults import naming_faults

# Tells a log from any other SQLite file: "fclg".
APPLICATION: Final = 0x66636C67
SCHEMA: Final = 1

# A writer holds the file for one transaction, some ms; longer than this is a writer that hangs.
BUSY_S: Final = 10.0

# The id of a record is that of its partition, and below it the offset: records of a partition lie
# together, in order, without an index.
OFFSET_BITS: Final = 40

# `latest` keeps one record of a key in a compact topic: a new one takes the place of the old.
_TABLES: Final = f"""
CREATE TABLE topic (
  topic_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, compact INTEGER NOT NULL) STRICT;
CREATE TABLE partition (
  partition_id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL REFERENCES topic, number INTEGER NOT NULL,
  first_offset INTEGER NOT NULL DEFAULT 0, next_offset INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic_id, number)) STRICT;
CREATE TABLE record (
  record_id INTEGER PRIMARY KEY, compact INTEGER NOT NULL, ts_ms INTEGER NOT NULL,
  key BLOB, value BLOB, headers TEXT) STRICT;
CREATE UNIQUE INDEX latest ON record (record_id >> {OFFSET_BITS}, key) WHERE compact;
CREATE TABLE position (
  group_name TEXT NOT NULL, partition_id INTEGER NOT NULL REFERENCES partition, next_offset INTEGER NOT NULL,
  PRIMARY KEY (group_name, partition_id)) STRICT, WITHOUT ROWID;
CREATE TABLE seat (
  group_name TEXT PRIMARY KEY, instance TEXT NOT NULL, epoch INTEGER NOT NULL,
  boot TEXT NOT NULL, until_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""


class LogFile:
    """One connection to the file; for one thread at a time.

    Raises
    ------
    LogError
        No folder, not a log, a log of a newer version, damaged, locked, not to be written.
    """

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        self.path = path
        with naming_faults(path):
            self.connection = sqlite3.connect(
                path, timeout=busy_s, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction that has the file to itself; all of it is kept, or nothing."""
        with naming_faults(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # a full disk has ended it already
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Run the block on one snapshot of the file."""
        with naming_faults(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    def changes(self) -> int:
        """Return a number that is another one after every commit by another connection."""
        with naming_faults(self.path):
            return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self.connection.close()

    def _prepare(self) -> None:
        if self._version() == 0:
            self._create()
        self.connection.execute("PRAGMA journal_mode = WAL")
        # What was committed survives the loss of power too: else ticks could be forecast twice after it.
        self.connection.execute("PRAGMA synchronous = FULL")

    def _version(self) -> int:
        """Return the schema's version, 0 for an empty file."""
        pragma = self.connection.execute
        application = pragma("PRAGMA application_id").fetchone()[0]
        version = int(pragma("PRAGMA user_version").fetchone()[0])
        if application == APPLICATION:
            if version > SCHEMA:
                raise LogError(f"{self.path} is a log of version {version}, newer than {SCHEMA}; upgrade")
            return version
        if application or version or pragma("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise LogError(f"{self.path} is an SQLite file, but not a log; name another")
        return 0

    def _create(self) -> None:
        with self.writing() as connection:
            if self._version():  # another process was faster
                return
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
