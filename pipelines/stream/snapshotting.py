"""When snapshots are taken, and the thread that writes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.log.records import Partition
from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.log.protocol import Member
    from pipelines.stream.forecaster import Forecaster
    from pipelines.stream.metrics import Totals
    from pipelines.stream.outbox import Outbox
    from pipelines.stream.snapshot import Snapshots, Taken


@dataclass(slots=True)
class Photographer:
    """Takes the state of one partition after a commit, now and then, and has it written by a thread.

    State is copied in the loop, where it stands still; a partition at a time, so that ticks wait for
    milliseconds only.
    """

    snapshots: Snapshots
    engine: Forecaster
    member: Member
    outbox: Outbox
    ticks: str
    state: str
    version: Callable[[], str]
    totals: Totals
    interval_s: float
    clock: Callable[[], float]
    _taken: dict[int, tuple[float, int]] = field(default_factory=dict)
    """When, and at which position of its ticks, a partition was taken last."""
    _queue: queue.Queue[Taken | None] = field(default_factory=lambda: queue.Queue(1))
    _thread: threading.Thread | None = None

    def turn(self, positions: dict[int, int]) -> None:
        """Take the partition that waits longest, if one is due and the thread is free.

        Parameters
        ----------
        positions
            Where the ticks of each partition go on; all of it is committed.
        """
        now = self.clock()
        for number in positions:
            # The first one is due an interval after the partition came, not at once.
            self._taken.setdefault(number, (now, -1))
        for number in set(self._taken) - set(positions):
            del self._taken[number]
        if self._queue.full():
            return
        due = [
            (since, number)
            for number, (since, source) in self._taken.items()
            if now - since >= self.interval_s and source != positions[number]
        ]
        if due:
            number = min(due)[1]
            self._take(number, self._ends([number], positions)[number], positions, wait_s=0.0)

    def finish(self, positions: dict[int, int], seconds: Callable[[], float]) -> None:
        """Take every partition that has moved, for as long as there is time; end the thread."""
        moved = [number for number, at in positions.items() if self._taken.get(number, (0.0, -1))[1] != at]
        ends = self._ends(moved, positions) if moved and seconds() > 0 else {}
        for number in moved:
            if seconds() <= 0:
                log.warning("no time left for the snapshot of partition %d and those after it", number)
                break
            self._take(number, ends[number], positions, wait_s=seconds())
        self.close(seconds())

    def close(self, wait_s: float = 0.0) -> None:
        """End the thread; what it is writing is finished or left out, never half."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._queue.put(None, timeout=max(wait_s, 0.01))
        except queue.Full:
            return
        thread.join(max(wait_s, 0.0))

    def _ends(self, numbers: list[int], positions: dict[int, int]) -> dict[int, int]:
        """Return where the changelogs end, with nothing of another worker before.

        Who was silent for too long may not know yet that a partition is another's. The commit after the
        question is one that the group would refuse: then the state is void, and there is no snapshot.
        """
        ends = self.member.ends([Partition(self.state, number) for number in numbers])
        for number in numbers:
            place = Partition(self.ticks, number)
            self.outbox.begin(place)
            self.outbox.write((), place, positions[number])
        self.outbox.commit()
        return {at.number: end for at, end in ends.items()}

    def _take(self, number: int, position: int, positions: dict[int, int], wait_s: float) -> None:
        from pipelines.stream.snapshot import Taken

        place = Partition(self.state, number)
        blocks = list(self.engine.state_blocks(number))
        taken = Taken(place, self.version(), position, positions[number], blocks)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="snapshots", daemon=True)
            self._thread.start()
        try:
            self._queue.put(taken, timeout=wait_s or 0.01)
        except queue.Full:
            return
        self._taken[number] = (self.clock(), positions[number])

    def _write(self) -> None:
        while (taken := self._queue.get()) is not None:
            try:
                self.snapshots.write(taken)
            except OSError as error:  # a full disk: the changelog has it all, the service goes on
                self.totals.add("snapshots_failed")
                log.error("the snapshot of partition %d cannot be written: %s", taken.place.number, error)
