"""Back-pressure: reading waits while too much of what was written is on its way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.log.protocol import Member
    from pipelines.log.records import Partition
    from pipelines.stream.metrics import Totals


@dataclass(slots=True)
class BackPressure:
    """Pauses partitions, and resumes them; polls go on, so that the group keeps the worker."""

    member: Member
    totals: Totals
    limit: int
    """Bytes written and not acknowledged."""
    paused: bool = False

    def turn(self, partitions: Collection[Partition]) -> None:
        """Look how much is on its way."""
        pending = self.member.pending()
        self.totals.gauges["pending_bytes"] = pending
        if not self.paused and pending > self.limit:
            self.member.pause(partitions)
            self.paused = True
        elif self.paused and pending <= self.limit // 2:
            self.member.resume(partitions)
            self.paused = False
        self.totals.gauges["paused"] = self.paused
