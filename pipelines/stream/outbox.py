"""What was written since the last commit, and the order in which it becomes final."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pipelines.log.protocol import Delivery, Member

if TYPE_CHECKING:
    from pipelines.log.records import Block, Partition


class Outbox:
    """The open transaction of a worker: with exactly-once one of the log's, else a stretch of work.

    With at-least-once, forecasts are acknowledged before any state that knows of them is written: a state
    whose forecasts are not out would make their ticks look done.
    """

    def __init__(
        self, member: Member, delivery: Delivery, state_topic: str, clock: Callable[[], float]
    ) -> None:
        self._member = member
        self._transactional = delivery is Delivery.EXACTLY_ONCE
        self._state_topic = state_topic
        self._clock = clock
        self._state: list[Block] = []
        self._positions: dict[Partition, int] = {}
        self._touched: set[Partition] = set()
        self._owed = False
        self.since: float | None = None
        """When the first work since the last commit began; None: there is none."""

    @property
    def touched(self) -> frozenset[Partition]:
        """Partitions whose state has moved since the last commit."""
        return frozenset(self._touched)

    def begin(self, partition: Partition) -> None:
        """Say that the state of a partition is about to move."""
        self._touched.add(partition)
        if self.since is None:
            if self._transactional:
                self._member.begin()
            self.since = self._clock()

    def write(self, blocks: Iterable[Block], partition: Partition, position: int) -> None:
        """Write what came of the ticks before `position`."""
        for block in blocks:
            if not self._transactional and block.partition.topic == self._state_topic:
                self._state.append(block)
            else:
                self._member.write(block)
        self._positions[partition] = position

    def commit(self) -> float:
        """Make everything since `begin` final; return how long it was open, in seconds.

        Where this raises, nothing is known to be final, and `discard` is due.
        """
        if self.since is None:
            return 0.0
        if not self._transactional:
            self._member.barrier()
            for block in self._state:
                self._member.write(block)
        self._member.commit(self._positions)
        since = self.since
        self._clear()
        return self._clock() - since

    def discard(self, *, gone: bool) -> frozenset[Partition]:
        """Forget what is not final; return the partitions whose state is void.

        Parameters
        ----------
        gone
            The log has aborted the transaction by itself; else `settle` has to.
        """
        void = self.touched
        self._owed = self._transactional and not gone and (self._owed or self.since is not None)
        self._clear()
        return void

    def settle(self) -> None:
        """Abort what `discard` left open, if it did; may be called again where it raised."""
        if self._owed:
            self._member.abort()
            self._owed = False

    def _clear(self) -> None:
        self._state = []
        self._positions = {}
        self._touched = set()
        self.since = None
