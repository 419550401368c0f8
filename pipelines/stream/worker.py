"""The loop of a worker: ticks in, forecasts out, nothing lost and nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.protocol import Listener
from pipelines.log.records import Partition
from pipelines.logs import log
from pipelines.stream.patience import Patience
from pipelines.stream.pressing import BackPressure
from pipelines.stream.swapping import take_version

if TYPE_CHECKING:
    from pipelines.log.protocol import Member
    from pipelines.log.records import Batch
    from pipelines.stream.forecaster import Forecaster
    from pipelines.stream.health import Health
    from pipelines.stream.metrics import Metrics, Totals
    from pipelines.stream.outbox import Outbox
    from pipelines.stream.restoring import Restorer
    from pipelines.stream.snapshotting import Photographer
    from pipelines.stream.stopping import Stop
    from pipelines.stream.swapping import ControlWatcher
    from pipelines.stream.topics import Topics
    from pipelines.stream.worker_options import WorkerOptions

# Between two slices of a restore, the ticks of other partitions and a rebalance have their turn.
_RESTORE_SLICE_S: Final = 0.05

# Ticks of a poll from which on the fixed costs of a turn matter little: no poll waits after it.
_MANY: Final = 2_000

# How often the ends of the partitions are asked for: a round trip, in the loop.
_LAG_EVERY_S: Final = 5.0

# How long another worker may be asked for before this one looks to its own ticks again.
_ASK_S: Final = 1.0


@dataclass(slots=True)
class Worker:
    """Owns the loop and nothing else: every collaborator is handed in.

    A partition is *restoring*, then *ready*; only ticks of ready ones are handled. State that is ahead of
    what is committed never survives a fault: it is dropped, restored, and the ticks are read again.
    """

    member: Member
    engine: Forecaster
    topics: Topics
    outbox: Outbox
    restorer: Restorer
    totals: Totals
    metrics: Metrics
    health: Health
    stop: Stop
    options: WorkerOptions
    watcher: ControlWatcher | None = None
    photographer: Photographer | None = None
    until: Mapping[int, int] | None = None
    """Ends of the ticks by partition: the worker leaves once they are committed. None: it stays."""
    held_s: float = 45.0
    """The open transaction of a dead worker may hold positions for so long: a restore waits for it."""
    clock: Callable[[], float] = time.monotonic
    _ready: dict[int, int] = field(default_factory=dict)
    """Where the ticks of each ready partition are read on."""
    _polled: set[int] = field(default_factory=set)
    """Partitions of the last poll, some of whose ticks may not be handled yet."""
    _met: LogError | None = None
    """What a callback met, which must not raise through the client."""
    _lost: bool = False
    _skipped: dict[int, int] = field(default_factory=dict)
    """Where partitions go on of which ticks were deleted before they were read, as the last poll told."""
    _pressure: BackPressure = field(init=False)
    _done: bool = False
    _faults: Patience = field(init=False)
    """Since the last commit."""
    _restore_faults: Patience = field(init=False)
    _restore_from: float = 0.0
    """No restore before this, after a fault in one."""
    _next_lag: float = 0.0
    _linger_until: float = 0.0

    def __post_init__(self) -> None:
        self._pressure = BackPressure(self.member, self.totals, self.options.pending_limit)
        self._faults = Patience(self.options.patience_s)
        self._restore_faults = Patience(self.options.patience_s + self.held_s)

    def run(self) -> None:
        """Work until `stop` is asked or `until` is reached; commit, take snapshots and leave.

        Raises
        ------
        FencedError
            Another worker has this one's place.
        StreamError, LogError
            The worker cannot go on; `retriable` says whether a new one could.
        """
        self.member.join([self.topics.ticks], self._listener())
        log.info("worker joined")
        while not self.stop.asked and not self._done:
            self.turn()
        self._leave()

    def turn(self) -> None:
        """Do a bit of everything that is to be done; faults of the log are met here."""
        try:
            self._turn()
        except FencedError:
            raise
        except LogError as error:
            self._recover(error)
        self.health.turned(self._ready, self.restorer.partitions, self.totals.lag)

    def _turn(self) -> None:
        self.outbox.settle()
        self._swap()
        self._linger()
        batches = self.member.poll(self._wait_s(), self.options.batch_limit)
        few = 0 < sum(len(batch.offsets) for batch in batches) < _MANY
        self._linger_until = self.clock() + self.options.linger_s if few else 0.0
        self._polled = {batch.partition.number for batch in batches}
        self._answer_callbacks()
        self._pass_over()
        for batch in batches:
            # Else it was revoked, or will be read again.
            if batch.partition.number in self._polled and batch.partition.number in self._ready:
                self._handle(batch)
                self._commit_if_due()
        self._polled = set()
        self._commit_if_due()
        self._pressure.turn(self._partitions())
        self._restore()
        if self.clock() >= self._next_lag:  # under load no turn would end without an open transaction
            self._commit()
        if self.outbox.since is None:
            self._keep_house()
            self._done = self._at_end()

    def _linger(self) -> None:
        """Let some more ticks come, unless there is something else to do."""
        until = self._linger_until
        if self.outbox.since is not None:
            until = min(until, self.outbox.since + self.options.commit_interval_s)
        wait_s = until - self.clock()
        if wait_s > 0.0 and not self.restorer.partitions:
            self.stop.wait(wait_s)

    def _wait_s(self) -> float:
        """How long a poll may wait: not beyond the next commit, not at all while states are restored."""
        now, wait_s = self.clock(), self.options.idle_wait_s
        if self.restorer.partitions:
            wait_s = min(wait_s, self._restore_from - now)
        elif not self._ready:  # partitions may come out of this poll, and are to be restored at once
            wait_s = min(wait_s, 0.05)
        if self.outbox.since is not None:
            wait_s = min(wait_s, self.outbox.since + self.options.commit_interval_s - now)
        return max(wait_s, 0.0)

    def _handle(self, batch: Batch) -> None:
        at = batch.partition
        self.outbox.begin(at)
        output = self.engine.process(batch)
        self.outbox.write(output.blocks, at, batch.position)
        self._ready[at.number] = batch.position
        self.totals.take(output.counts)
        self.totals.bury(output.blocks, self.topics.dead)
        if len(batch.ts_ms):
            self.totals.newest_s = max(self.totals.newest_s, int(batch.ts_ms[-1]) / 1e3)

    def _commit_if_due(self) -> None:
        since = self.outbox.since
        if since is not None and self.clock() - since >= self.options.commit_interval_s:
            self._commit()

    def _commit(self) -> None:
        if self.outbox.since is None:
            return
        seconds = self.outbox.commit()
        self._faults.over()
        self.totals.add("transactions")
        self.metrics.transaction_s.observe(seconds)

    def _partitions(self) -> list[Partition]:
        return [Partition(self.topics.ticks, number) for number in self._ready]

    def _restore(self) -> None:
        """Restore for a moment; a fault in it is no concern of the partitions that are ready."""
        self.totals.gauges["partitions_restoring"] = len(self.restorer.partitions)
        if self.clock() < self._restore_from:
            return
        try:
            self._advance()
            self._restore_faults.over()
        except (FencedError, AbortedError):
            raise
        except LogError as error:
            wait_s = self._restore_faults.met(error, self.clock())
            self._restore_from = self.clock() + wait_s
            self.totals.add("retries")
            log.warning("fault of the log in a restore: %s; again in %.1f s", error, wait_s)

    def _advance(self) -> None:
        done = self.restorer.advance(_RESTORE_SLICE_S)
        if not done:
            return
        places = {Partition(self.topics.ticks, number): source for number, source in done.items()}
        try:
            self.member.seek(places)
            if not self._pressure.paused:
                self.member.resume(places)
        except LogError:
            self.restorer.add(done)
            raise
        self._ready.update(done)
        if self.restorer.from_latest:  # what comes from here on is not to be passed over after a fault
            self._move_on(places)
            self._commit()

    def _swap(self) -> None:
        """Take a new version into use, between two batches."""
        announced = self.watcher and self.watcher.take()
        if announced:
            take_version(announced.served, self.engine, self.totals, self.health)

    # What the group gives and takes; called out of `poll`, and out of nothing else.

    def _listener(self) -> Listener:
        return Listener(self._assigned, self._revoked, self._lose, self._skip)

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        self.totals.add("rebalances")
        numbers = {partition.number for partition in partitions}
        log.info("assigned %s", sorted(numbers), extra={"data": {"partitions": sorted(numbers)}})
        for number in numbers:
            self._ready.pop(number, None)
        self.restorer.add(numbers)
        try:
            self.member.pause(partitions)
        except LogError as error:
            self._met = self._met or error

    def _revoked(self, partitions: frozenset[Partition]) -> None:
        """Commit while the others wait, then forget what is theirs."""
        self.totals.add("rebalances")
        log.info("revoked %s", sorted(partition.number for partition in partitions))
        try:
            if not self._lost and self._met is None:
                self._commit()
        except LogError as error:
            self._met = error
        self._forget(partitions)

    def _lose(self, partitions: frozenset[Partition]) -> None:
        self.totals.add("rebalances")
        log.warning("lost %s to another worker", sorted(partition.number for partition in partitions))
        self._lost = self._lost or not self.outbox.touched.isdisjoint(partitions)
        self._forget(partitions)

    def _skip(self, partition: Partition, first: int, end: int) -> None:
        if partition.number in self._ready:  # else the restore finds it out
            self.restorer.skip(partition, first, end)
            self._skipped[partition.number] = end

    def _forget(self, partitions: frozenset[Partition]) -> None:
        numbers = [partition.number for partition in partitions]
        for number in numbers:
            self._ready.pop(number, None)
        self.restorer.forget(numbers)

    def _answer_callbacks(self) -> None:
        """Do what the callbacks of the last poll left to do."""
        met, lost = self._met, self._lost
        self._met, self._lost = None, False
        if met is not None:
            raise met
        if lost:
            self._void(gone=False)
            self.outbox.settle()

    def _pass_over(self) -> None:
        """Go on behind what was deleted, without waiting for a tick there."""
        skipped, self._skipped = self._skipped, {}
        self._move_on({Partition(self.topics.ticks, number): end for number, end in skipped.items()})

    def _move_on(self, places: Mapping[Partition, int]) -> None:
        """Have positions committed that moved without a tick."""
        for place, position in places.items():
            if position >= self._ready.get(place.number, position + 1):
                self.outbox.begin(place)
                self.outbox.write((), place, position)
                self._ready[place.number] = position

    # Faults.

    def _recover(self, error: LogError) -> None:
        """Void what is not committed and go on, unless that has been tried for too long."""
        self._met, self._lost = None, False
        wait_s = self._faults.met(error, self.clock())
        aborted = isinstance(error, AbortedError)
        self.totals.add("aborted" if aborted else "retries")
        self._void(gone=aborted)
        log.warning(
            "%s: %s; going on in %.1f s", "aborted" if aborted else "fault of the log", error, wait_s,
            extra={"data": {"failures": self._faults.failures}},
        )  # fmt: skip
        self.stop.wait(wait_s)

    def _void(self, *, gone: bool) -> None:
        """Drop the state that is ahead of what is committed, and have it restored."""
        void = {partition.number for partition in self.outbox.discard(gone=gone)}
        self._restore_anew(void)
        # What was polled and not handled is read again; the state of these stands.
        again = self._polled & set(self._ready)
        self._polled = set()
        try:
            self.member.seek({Partition(self.topics.ticks, number): self._ready[number] for number in again})
        except LogError:
            self._restore_anew(again)

    def _restore_anew(self, numbers: set[int]) -> None:
        numbers = numbers & set(self._ready)
        for number in numbers:
            del self._ready[number]
        self.restorer.add(numbers)
        with suppress(LogError):  # their ticks would be left alone anyway, until all is restored
            self.member.pause([Partition(self.topics.ticks, number) for number in numbers])

    # What can wait until nothing is open.

    def _keep_house(self) -> None:
        if self.photographer is not None:
            self.photographer.turn(self._ready)
        now = self.clock()
        if now >= self._next_lag:
            self._next_lag = now + _LAG_EVERY_S
            self._pass_markers()
            ends = self.member.ends(self._partitions())
            self.totals.lag = {at.number: max(end - self._ready[at.number], 0) for at, end in ends.items()}

    def _pass_markers(self) -> None:
        """Commit positions behind which there was no tick: markers of transactions, aborted records."""
        told = self.member.positions(self._partitions())
        self._move_on({at: position for at, position in told.items() if position > self._ready[at.number]})
        self._commit()

    def _at_end(self) -> bool:
        """Whether all ticks that were to be handled are committed, by this worker or by others."""
        if self.until is None or self.restorer.partitions:
            return False
        if self._behind(self.until):
            self._pass_markers()
        if self._behind(self.until):
            return False
        others = [Partition(self.topics.ticks, number) for number in self.until if number not in self._ready]
        if not others:
            return True
        done = self.member.committed(others, _ASK_S)
        return all((position or 0) >= self.until[at.number] for at, position in done.items())

    def _behind(self, until: Mapping[int, int]) -> bool:
        return any(position < until.get(number, 0) for number, position in self._ready.items())

    def _leave(self) -> None:
        """Commit, take snapshots, leave the group: within the time that is left."""
        log.info("ending: commit, snapshots, leave; %.1f s for it", self.stop.left_s())
        try:
            self._commit()
        except FencedError:
            raise
        except LogError as error:
            log.warning("the last ticks are not committed, and will be done again: %s", error)
            self._void(gone=isinstance(error, AbortedError))
        if self.photographer is not None:
            try:
                self.photographer.finish(self._ready, self.stop.left_s)
            except LogError as error:  # all is committed: what comes next reads the changelog
                log.warning("no snapshots at the end: %s", error)
        self.member.close()
