"""Ticks in, forecasts out: batches to blocks, without a log, a clock or a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forecast.types import Bool
from pipelines.errors import StreamError
from pipelines.kernels.admission import Arrivals
from pipelines.log.records import Batch, Block
from pipelines.stream import changelog, rebasing
from pipelines.stream.decode import Decoded, ReadTick, decode
from pipelines.stream.desk import Desk
from pipelines.stream.messages import Press
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import Served
from pipelines.stream.shard import Shard
from pipelines.stream.strangers import turn_away
from pipelines.stream.topics import Topics
from pipelines.stream.turn import Output, Turn
from pipelines.wire import decode_tick

# Series whose records are made at once: some megabytes.
_BLOCK_SERIES = 8192


class Engine:
    """The series of some partitions, and what moves them.

    For one thread. The state moves with `process`; whoever cannot keep what came out must `drop` the
    partition and `restore` it.
    """

    def __init__(
        self,
        served: Served,
        options: StreamOptions | None = None,
        topics: Topics | None = None,
        read_tick: ReadTick = decode_tick,
    ) -> None:
        self.options = options or StreamOptions()
        self.topics = topics or Topics()
        self._read_tick = read_tick
        self._press = Press()
        self._shards: dict[int, Shard] = {}
        self._desk = Desk.of(served, self.options)

    @property
    def served(self) -> Served:
        """The model in use."""
        return self._desk.served

    @property
    def partitions(self) -> frozenset[int]:
        """Partitions that are open."""
        return frozenset(self._shards)

    def n_series(self, number: int) -> int:
        """Return how many series of a partition have a state."""
        return len(self._shard(number).live())

    def open(self, number: int) -> None:
        """Begin a partition, without any state; `StreamError` where it is open already."""
        if number in self._shards:
            raise StreamError(f"partition {number} is open already; drop it first")
        self._shards[number] = self._desk.shard()

    def drop(self, number: int) -> None:
        """Forget a partition."""
        shard = self._shard(number)
        self._desk.release(shard, np.arange(shard.count))
        del self._shards[number]

    def process(self, batch: Batch) -> Output:
        """Take in ticks of one partition; return what is to be written, and what became of them.

        Blocks are of the topics for forecasts, late ticks, dead letters and state, in this order; those with
        nothing in them are left out. The state of a series is written once, however many of its ticks came.

        Raises
        ------
        StreamError
            The partition is not open.
        """
        shard, desk = self._shard(batch.partition.number), self._desk
        decoded = decode(batch, desk.exog, desk.exog_limit, self._read_tick)
        shard.batch += 1
        turn = Turn(
            desk, shard, batch, decoded, self._arrive(shard, batch, decoded), self._press, self.topics
        )
        todo = np.arange(len(batch.offsets))
        while len(todo):
            todo = turn.round(todo)
        return turn.output()

    def restore(self, number: int, batch: Batch) -> None:
        """Take in records of the state topic; the last of a key wins.

        Raises
        ------
        StreamError
            A record is damaged; the message names its key.
        """
        changelog.restore(self._desk, self._shard(number), batch)

    def state_blocks(self, number: int) -> Iterator[Block]:
        """Yield the whole state of a partition as records of the state topic."""
        shard = self._shard(number)
        live = shard.live()
        for first in range(0, len(live), _BLOCK_SERIES):
            some = live[first : first + _BLOCK_SERIES]
            yield changelog.write(self._desk, shard, some, self.topics.state, number)

    def swap(self, served: Served) -> None:
        """Go on with another model; states are moved to it through the last values of their series.

        Where the grid of the new one is another, a series without a place on it begins anew.
        """
        desk = Desk.of(served, self.options)
        for shard in self._shards.values():
            rebasing.rebase(self._desk, desk, shard)
        self._desk = desk

    def _shard(self, number: int) -> Shard:
        try:
            return self._shards[number]
        except KeyError:
            raise StreamError(f"partition {number} is not open; open are {sorted(self._shards)}") from None

    def _arrive(self, shard: Shard, batch: Batch, decoded: Decoded) -> Arrivals:
        desk, n = self._desk, len(batch.offsets)
        numbers, new = shard.number(decoded.data, turn_away(desk, shard, decoded), decoded.id_last)
        desk.take_on(shard, new)
        times = desk.grid.times(decoded.ts_ms)
        positions = desk.grid.positions(times, numbers, shard.series.table, self.options.tolerance)
        return Arrivals(
            numbers, batch.offsets, positions, decoded.value, self._early(batch, decoded),
            decoded.brings, decoded.exog, np.zeros(n, dtype=np.int64),
        )  # fmt: skip

    def _early(self, batch: Batch, decoded: Decoded) -> Bool:
        lead = self.options.lead_ms
        if lead is None or self.served.freq.is_int:
            return np.zeros(len(batch.offsets), dtype=np.bool_)
        early: Bool = decoded.ts_ms > batch.ts_ms + lead
        return early
