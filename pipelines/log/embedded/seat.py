"""The one seat of a group: who works now, and a fence that keeps out who worked before.

The lease only says when another may sit down. What is committed is guarded by the epoch, which grows
with every change of hands, in the same transaction as the commit.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Final

from pipelines.errors import FencedError
from pipelines.log.embedded.file import LogFile
from pipelines.log.protocol import Membership

# Of the session timeout: two renewals may be late before another takes the seat.
_RENEW_AFTER: Final = 1 / 3


class Standing(Enum):
    """How a member stands towards the seat."""

    WAITING = auto()
    SEATED = auto()
    LOST = auto()
    """Was seated until another instance sat down, because this one did not poll in time."""


@dataclass(slots=True)
class Seat:
    """The seat of a group, as one member sees it."""

    file: LogFile
    membership: Membership
    epoch: int | None = None
    renewed_ns: int = 0

    def look(self) -> Standing:
        """Return how this member stands now, sit down if the seat is free, renew the lease in time.

        Raises
        ------
        FencedError
            A member of the same instance has sat down since.
        """
        with self.file.reading() as connection:
            row = self._row(connection)
        if self.epoch is None:
            return Standing.SEATED if self._free(row) and self._claim() else Standing.WAITING
        ours = self._ours(row)
        if ours and time.monotonic_ns() - self.renewed_ns > _RENEW_AFTER * self._lease_ns:
            with self.file.writing() as connection:
                ours = self.guard(connection)
        if not ours:
            self.epoch = None
        return Standing.SEATED if ours else Standing.LOST

    def guard(self, connection: sqlite3.Connection) -> bool:
        """Renew the lease inside a transaction; False where another instance has the seat."""
        if not self._ours(self._row(connection)):
            return False
        now_ns = time.monotonic_ns()
        connection.execute(
            "UPDATE seat SET until_ns = ? WHERE group_name = ?",
            (now_ns + self._lease_ns, self.membership.group),
        )
        self.renewed_ns = now_ns
        return True

    def holder(self) -> str | None:
        """Return the instance that has the seat."""
        row = self._row(self.file.connection)
        return None if row is None else str(row[0])

    def leave(self) -> None:
        """Free the seat if it is this member's."""
        if self.epoch is not None:
            with self.file.writing() as connection:
                connection.execute(
                    "UPDATE seat SET until_ns = 0 WHERE group_name = ? AND epoch = ?",
                    (self.membership.group, self.epoch),
                )
            self.epoch = None

    @property
    def _lease_ns(self) -> int:
        return int(self.membership.session_timeout_s * 1e9)

    def _row(self, connection: sqlite3.Connection) -> tuple[str, int, str, int] | None:
        row: tuple[str, int, str, int] | None = connection.execute(
            "SELECT instance, epoch, boot, until_ns FROM seat WHERE group_name = ?", (self.membership.group,)
        ).fetchone()
        return row

    def _free(self, row: tuple[str, int, str, int] | None) -> bool:
        if row is None:
            return True
        instance, _, boot, until_ns = row
        return instance == self.membership.instance or boot != _boot() or until_ns < time.monotonic_ns()

    def _claim(self) -> bool:
        with self.file.writing() as connection:
            row = self._row(connection)
            if not self._free(row):  # another was faster
                return False
            now_ns = time.monotonic_ns()
            epoch = 1 if row is None else row[1] + 1
            seat = self.membership.instance, epoch, _boot(), now_ns + self._lease_ns
            connection.execute(
                "INSERT OR REPLACE INTO seat VALUES (?, ?, ?, ?, ?)",
                (self.membership.group, *seat),
            )
        self.epoch, self.renewed_ns = epoch, now_ns
        return True

    def _ours(self, row: tuple[str, int, str, int] | None) -> bool:
        """Tell whether the seat is still this member's; raise where its own name has it."""
        if row is not None and row[1] == self.epoch:
            return True
        if row is not None and row[0] == self.membership.instance:
            group, instance = self.membership.group, self.membership.instance
            raise FencedError(
                f"group {group!r}: another worker of the name {instance!r} has taken this one's place; "
                "give each worker a name of its own, or let this one end"
            )
        return False


@cache
def _boot() -> str:
    """Name the start of this machine: the clock of the leases begins with it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux: a lease from before a restart may have to run out
        return ""
