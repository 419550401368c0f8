"""State of partitions that a worker was given: from a snapshot and the changelog, a slice at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipelines.errors import StreamError
from pipelines.log.records import Partition
from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.log.protocol import Member, Reader
    from pipelines.log.records import Batch
    from pipelines.stream.forecaster import Forecaster
    from pipelines.stream.metrics import Totals
    from pipelines.stream.snapshot import Snapshots

# Partitions read side by side. All at once would keep the first from its ticks until the last is there;
# one at a time would wait for the log at every end.
_SIDE_BY_SIDE: Final = 8

# Records a call: some ten milliseconds of work, between which a rebalance can come through.
_SLICE_RECORDS: Final = 20_000

# Of the loop's time, while another worker's open transaction holds a position: then it is asked again.
_ASK_S: Final = 1.0

# A changelog that gives nothing for so long is not slow. An open transaction of a dead worker, which
# holds its end back, is aborted by the log sooner.
_STALLED_S: Final = 180.0


@dataclass(slots=True)
class _Replay:
    """One partition on its way."""

    source: int
    """Tick to go on from."""
    end: int
    """Position in the changelog where the state is whole."""
    snapshot: Iterator[Batch] | None
    since: float
    records: int = 0


@dataclass(slots=True)
class Restorer:
    """Restores partitions a slice at a time; everything can be taken back between two slices."""

    member: Member
    reader: Reader
    engine: Forecaster
    ticks: str
    state: str
    totals: Totals
    snapshots: Snapshots | None = None
    from_latest: bool = False
    """Where nothing was committed yet, begin with the next tick, not with the first one kept."""
    observe: Callable[[float], object] = lambda seconds: None
    clock: Callable[[], float] = time.monotonic
    _waiting: dict[int, float] = field(default_factory=dict)
    _active: dict[int, _Replay] = field(default_factory=dict)
    _whole: dict[int, int] = field(default_factory=dict)
    """Done, and not handed over yet: a fault of the log may come in between."""
    _skipped: dict[Partition, tuple[int, int]] = field(default_factory=dict)
    """Offsets that were counted as skipped already, the last ones of each partition."""
    _seen: dict[Partition, int] = field(default_factory=dict)
    _moved: float = 0.0

    @property
    def partitions(self) -> frozenset[int]:
        """Partitions whose state is not whole yet."""
        return frozenset(self._waiting) | frozenset(self._active) | frozenset(self._whole)

    def add(self, numbers: Iterable[int]) -> None:
        """Take partitions on; what is known of them is void."""
        now = self.clock()
        for number in numbers:
            self.forget((number,))
            self._waiting[number] = now

    def forget(self, numbers: Iterable[int]) -> None:
        """Let go of partitions and of their state."""
        for number in numbers:
            self._waiting.pop(number, None)
            self._active.pop(number, None)
            self._whole.pop(number, None)
            if number in self.engine.partitions:
                self.engine.drop(number)

    def advance(self, seconds: float) -> dict[int, int]:
        """Work for about so long; return the partitions that are whole, and where their ticks go on.

        Raises
        ------
        LogError
            Call again: nothing is lost, partitions that were being prepared begin anew.
        StreamError
            The changelog gives nothing for minutes, or a committed position cannot be true.
        """
        if self._waiting and not self._active:
            self._prepare(sorted(self._waiting)[:_SIDE_BY_SIDE])
        until = self.clock() + seconds
        self._finish()
        while self._active:
            self._replay(until)
            self._finish()
            if self.clock() >= until:
                break
        whole, self._whole = self._whole, {}
        return whole

    def _prepare(self, numbers: list[int]) -> None:
        """Find out where each begins and ends.

        The order is the contract: once `committed` answers, no transaction of whoever had the partition
        before is open, and the end of the changelog is behind all of its state.
        """
        sources = self._sources([Partition(self.ticks, number) for number in numbers])
        changelog = [Partition(self.state, number) for number in numbers]
        ends, begins = self.reader.ends(changelog), self.reader.begins(changelog)
        found: dict[int, _Replay] = {}
        starts: dict[Partition, int | None] = {}
        for number, place in zip(numbers, changelog, strict=True):
            first, end = begins[place], ends[place]
            snapshot = self.snapshots and self.snapshots.read(place, first, end, sources[number])
            starts[place] = snapshot.position if snapshot else first
            batches = iter(snapshot.batches) if snapshot else None
            found[number] = _Replay(sources[number], end, batches, self._waiting[number])
        self.reader.assign(starts)
        for number in numbers:
            self.engine.open(number)
            del self._waiting[number]
        self._active = found
        self._moved = self.clock()

    def _sources(self, ticks: list[Partition]) -> dict[int, int]:
        committed = self.member.committed(ticks, _ASK_S)
        begins, ends = self.member.begins(ticks), self.member.ends(ticks)
        return {at.number: self._source(at, committed[at], begins[at], ends[at]) for at in ticks}

    def _source(self, at: Partition, committed: int | None, begin: int, end: int) -> int:
        if committed is None:
            self._warn_of_states(at.number)
            return end if self.from_latest else begin
        if committed > end:
            raise StreamError(
                f"the group has handled ticks of {at.topic}-{at.number} up to {committed}, which ends at "
                f"{end}: the topic was made anew or has lost records; start under a new --group, with a new "
                f"--state topic, for {self.state} takes its ticks for done"
            )
        if committed < begin:
            self.skip(at, committed, begin)
            return begin
        return committed

    def skip(self, at: Partition, first: int, end: int) -> None:
        """Count and tell of ticks, from an offset up to another, that were deleted before they were read.

        What was counted is not counted again where an aborted transaction goes over it once more.
        """
        before = self._skipped.get(at, (first, first))
        count = end - first - max(min(end, before[1]) - max(first, before[0]), 0)
        self._skipped[at] = first, end
        if count > 0:
            self.totals.add("skipped", count)
            log.error(
                "%d ticks of %s-%d were deleted before they were read: going on from %d",
                count, at.topic, at.number, end,
                extra={"data": {"partition": at.number, "committed": first, "begin": end}},
            )  # fmt: skip

    def _warn_of_states(self, number: int) -> None:
        """Say that ticks may come that the states know already: of another group, or from before its end."""
        place = Partition(self.state, number)
        if self.reader.ends([place])[place] > self.reader.begins([place])[place]:
            log.warning(
                "partition %d: the group has no position, but %s has states: their ticks count as replayed "
                "and are not forecast again; a group that shall forecast them needs its own --state topic",
                number, self.state, extra={"data": {"partition": number, "state": self.state}},
            )  # fmt: skip

    def _replay(self, until: float) -> None:
        """Take one piece: of a snapshot while there is one, then of the changelog."""
        for number, replay in self._active.items():
            if replay.snapshot is not None:
                batch = next(replay.snapshot, None)
                if batch is None:
                    replay.snapshot = None
                else:
                    self._take(number, replay, batch)
                return
        wait = min(max(until - self.clock(), 0.0), 0.05)
        batches = self.reader.poll(wait, _SLICE_RECORDS)
        for batch in batches:
            found = self._active.get(batch.partition.number)
            if found is not None:
                self._take(batch.partition.number, found, batch)
        self._check_stalled()

    def _take(self, number: int, replay: _Replay, batch: Batch) -> None:
        self.engine.restore(number, batch)
        replay.records += len(batch.offsets)
        self._moved = self.clock()

    def _finish(self) -> None:
        if not self._active:
            return
        positions = self.reader.positions()
        if positions != self._seen:
            self._seen, self._moved = positions, self.clock()
        for number, replay in list(self._active.items()):
            # By position, not by the offset of a record: the last one may be a marker.
            if replay.snapshot is None and positions[Partition(self.state, number)] >= replay.end:
                del self._active[number]
                self._whole[number] = replay.source
                self._tell(number, replay)
        if not self._active:
            self.reader.assign({})

    def _tell(self, number: int, replay: _Replay) -> None:
        seconds = self.clock() - replay.since
        self.totals.add("restored")
        self.observe(seconds)
        log.info(
            "partition %d: %d series from %d records in %.2f s; ticks from %d",
            number, self.engine.n_series(number), replay.records, seconds, replay.source,
            extra={"data": {"partition": number, "restore_s": seconds, "source": replay.source}},
        )  # fmt: skip

    def _check_stalled(self) -> None:
        if self._active and self.clock() - self._moved > _STALLED_S:
            raise StreamError(
                f"the changelog {self.state} gives nothing for {_STALLED_S:.0f} s before the ends "
                f"{ {number: replay.end for number, replay in self._active.items()} }; is a broker down?",
                retriable=True,
            )
