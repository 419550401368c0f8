"""A member of a group on an embedded log."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.embedded.file import LogFile
from pipelines.log.embedded.reader import Cursor
from pipelines.log.embedded.records import append
from pipelines.log.embedded.seat import Seat, Standing
from pipelines.log.protocol import Delivery, Listener, Membership
from pipelines.log.records import Batch, Block, Partition
from pipelines.logs import log

# A standby looks so often whether the seat has become free.
_STANDBY_NAP_S: Final = 0.05


class EmbeddedMember:
    """`Member` of an embedded log.

    One member of a group works at a time and has all partitions; one of another name stands by until it
    ends or no longer polls. What is written is kept in memory until `commit` (at-least-once: until the next
    `poll`, `barrier` or `commit`), and goes into the file in one transaction with the positions.
    """

    def __init__(self, file: LogFile, membership: Membership, keep: int | None) -> None:
        self._file = file
        self._membership = membership
        self._keep = keep
        self._seat = Seat(file, membership)
        self._cursor = Cursor(file)
        self._topics: list[str] = []
        self._listener: Listener | None = None
        self._paused: set[Partition] = set()
        self._written: list[Block] = []
        self._begun = False
        self._fenced: FencedError | None = None
        self._waiting = False

    def join(self, topics: Sequence[str], listener: Listener) -> None:
        for topic in topics:
            self._cursor.topics.count(topic)
        self._topics, self._listener = list(topics), listener
        self._cursor.skipped = listener.skipped
        self._look()

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        ends = time.monotonic() + timeout_s
        if self._listener is None:
            raise LogError("not a member yet: call join first")
        while (standing := self._look()) is Standing.WAITING:
            if (left := ends - time.monotonic()) <= 0:
                return []
            time.sleep(min(_STANDBY_NAP_S, left))
        if standing is Standing.LOST:
            self._lost(self._listener)
            return []
        if not self._cursor.positions:
            self._assigned(self._listener)
        if not self._exactly_once:
            self.barrier()
        return self._cursor.poll(max(ends - time.monotonic(), 0.0), limit, frozenset(self._paused))

    def seek(self, positions: Mapping[Partition, int]) -> None:
        self._cursor.seek(positions)

    def pause(self, partitions: Iterable[Partition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        self._paused.difference_update(partitions)

    def committed(
        self, partitions: Iterable[Partition], within_s: float | None = None
    ) -> dict[Partition, int | None]:
        places = {each: self._cursor.topics.place(each).partition_id for each in partitions}
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT partition_id, next_offset FROM position WHERE group_name = ?",
                (self._membership.group,),
            )
            found: dict[int, int] = dict(rows.fetchall())
        return {each: found.get(place) for each, place in places.items()}

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {each: self._cursor.positions[each] for each in partitions if each in self._cursor.positions}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._cursor.ends(partitions)

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._cursor.begins(partitions)

    def begin(self) -> None:
        self._sound()
        if not self._exactly_once:
            raise LogError("at-least-once knows no transactions; join with exactly-once")
        if self._begun:
            raise LogError("a transaction is open already: commit or abort it first")
        self._begun = True

    def write(self, block: Block) -> None:
        self._sound()
        if self._exactly_once and not self._begun:
            raise LogError("no transaction is open: call begin before write")
        self._cursor.topics.place(block.partition)
        self._written.append(block)

    def pending(self) -> int:
        return sum(block.data.nbytes for block in self._written)

    def barrier(self) -> None:
        self._sound()
        if self._exactly_once:
            raise LogError("barrier is for at-least-once; commit says when a transaction lasts")
        if self._written:
            self._store({})

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self._sound()
        if self._exactly_once and not self._begun:
            raise LogError("no transaction is open: call begin before commit")
        self._store(positions)
        self._begun = False

    def abort(self) -> None:
        self._written, self._begun = [], False

    def close(self) -> None:
        self.abort()
        try:
            if self._fenced is None:
                self._seat.leave()
        finally:
            self._file.close()

    @property
    def _exactly_once(self) -> bool:
        return self._membership.delivery is Delivery.EXACTLY_ONCE

    def _sound(self) -> None:
        if self._fenced is not None:
            raise self._fenced

    def _look(self) -> Standing:
        self._sound()
        try:
            standing = self._seat.look()
        except FencedError as error:
            self._fenced = error
            raise
        if standing is Standing.WAITING and not self._waiting:
            group, holder = self._membership.group, self._seat.holder()
            log.warning("group %r: %r works already; this one stands by until it ends", group, holder)
        self._waiting = standing is Standing.WAITING
        return standing

    def _assigned(self, listener: Listener) -> None:
        partitions = [each for topic in self._topics for each in self._cursor.topics.partitions(topic)]
        committed, begins = self.committed(partitions), self.begins(partitions)
        self._cursor.positions = {
            each: begins[each] if (at := committed[each]) is None else at for each in partitions
        }
        listener.assigned(frozenset(partitions))

    def _lost(self, listener: Listener) -> None:
        lost = frozenset(self._cursor.positions)
        self._cursor.positions = {}
        self._paused.clear()
        self.abort()
        if lost:
            listener.lost(lost)

    def _guard(self, connection: sqlite3.Connection) -> None:
        if self._seat.guard(connection):
            return
        said = (
            f"group {self._membership.group!r}: {self._seat.holder()!r} has taken over, "
            "for this worker did not poll in time"
        )
        raise AbortedError(said) if self._exactly_once else LogError(said, retriable=True)

    def _store(self, positions: Mapping[Partition, int]) -> None:
        """Append what was written and set the positions, both or neither."""
        places = {self._cursor.topics.place(each).partition_id: at for each, at in positions.items()}
        try:
            with self._file.writing() as connection:
                self._guard(connection)
                append(connection, self._cursor.topics, self._written, self._keep)
                connection.executemany(
                    "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                    [(self._membership.group, place, at) for place, at in places.items()],
                )
        except FencedError as error:
            self._fenced = error
            raise
        except AbortedError:
            self.abort()
            raise
        self._written = []
