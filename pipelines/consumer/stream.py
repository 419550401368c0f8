"""The forecast stream, as an application reads it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple

from forecast.errors import InputError
from pipelines.consumer.columns import ForecastBatch, Shape, shape_of
from pipelines.consumer.recent import Recent
from pipelines.consumer.sources import Alone, Source, Start, Together
from pipelines.errors import Reason, WireError
from pipelines.log.protocol import Log
from pipelines.log.records import Batch
from pipelines.logs import log as logger
from pipelines.wire import Forecast, decode_forecast

if TYPE_CHECKING:
    import pandas as pd

# How long `stop` may have to wait.
_POLL_S: Final = 0.25
# Of one poll: some MB of forecasts.
_RECORDS: Final = 1_000


@dataclass(slots=True)
class Counts:
    """What became of the records read; they add up: read = forecasts + duplicates + others + bad."""

    read: int = 0
    forecasts: int = 0
    duplicates: int = 0
    """Forecasts that came again."""
    others: int = 0
    """Forecasts of series that were not asked for."""
    bad: Counter[Reason] = field(default_factory=Counter)
    """Messages that cannot be read, by reason."""


@dataclass(slots=True)
class _Cursor:
    batch: Batch
    at: int = 0


class _Found(NamedTuple):
    partition: int
    after: int
    """Position once this one is used."""
    forecast: Forecast


class ForecastStream:
    """Forecasts of a topic: iterate over them, or over `batches`; for one thread.

    Committed messages only. Ends where `stop` was called, or, without `follow`, where the topic ended when
    it was opened.

    Parameters
    ----------
    log
        Where the topic is.
    topic
        Of forecasts.
    start
        "start", "end", or the `positions` of an earlier stream.
    follow
        Whether to wait for what comes.
    series
        Ids to return; None: all.
    group, instance
        Share the topic with the other members of this group, each under a name of its own, and keep positions
        there by `commit`; `start` then counts where the group has no position yet.
    recent
        How many forecasts are remembered in order to drop those that come again, as they do from a service
        that delivers at least once; 0: none is dropped. A repeat has the same series, time, model, version
        and tick; a forecast that a late tick corrected has another tick, and is new.
    strict
        Raise `WireError` for a message that cannot be read, instead of counting it.
    decode
        Bytes of a message to a forecast; raises `WireError`.

    Raises
    ------
    LogError
        There is no such topic, or positions that cannot be.
    InputError
        Arguments that do not go together.
    """

    def __init__(
        self,
        log: Log,
        topic: str = "forecasts",
        *,
        start: Start = "start",
        follow: bool = True,
        series: Collection[str] | None = None,
        group: str | None = None,
        instance: str | None = None,
        recent: int = 65_536,
        strict: bool = False,
        decode: Callable[[bytes | None], Forecast] = decode_forecast,
    ) -> None:
        if recent < 0:
            raise InputError(f"recent must be 0 or more, got {recent}")
        self.counts = Counts()
        self._follow, self._strict, self._decode = follow, strict, decode
        self._series = None if series is None else frozenset(series)
        self._recent, self._stopping = Recent(recent), Event()
        self._queue: deque[_Cursor] = deque()
        self._held: _Found | None = None
        self._positions: dict[int, int] = {}
        self._source = self._open(log, topic, start, group, instance)

    def _open(self, log: Log, topic: str, start: Start, group: str | None, instance: str | None) -> Source:
        if group is None:
            alone = Alone(log, topic, start)
            self._positions = alone.positions
            return alone
        if instance is None:
            raise InputError("a member of a group needs a name of its own: give instance=")
        if not self._follow:
            raise InputError("a group is followed: follow=False goes without group=")
        return Together(log, topic, start, group, instance, self._forget)

    @property
    def positions(self) -> dict[int, int]:
        """By partition, the offset after the last forecast returned: keep them, and resume by `start`."""
        return dict(self._positions)

    @property
    def at_end(self) -> bool:
        """Whether all was returned that there was when a stream that does not follow was opened."""
        return not (self._follow or self._queue or self._held) and self._source.finished()

    def commit(self) -> None:
        """Keep `positions` with the group; LogError without one."""
        self._source.commit(self._positions)

    def stop(self) -> None:
        """End the iteration, from any thread or a signal handler, within a quarter of a second."""
        self._stopping.set()

    def close(self) -> None:
        """Stop reading; positions are not committed."""
        self.stop()
        self._source.close()

    def __enter__(self) -> ForecastStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Forecast]:
        while (found := self._wait()) is not None:
            self._positions[found.partition] = found.after
            yield found.forecast

    def poll(self, timeout_s: float = _POLL_S) -> Forecast | None:
        """Return the next forecast, or None when none came within `timeout_s` or one poll."""
        found = self._next()
        if found is None:
            self._queue.extend(_Cursor(batch) for batch in self._source.poll(timeout_s, _RECORDS))
            found = self._next()
        if found is None:
            return None
        self._positions[found.partition] = found.after
        return found.forecast

    def batches(self, most: int = 10_000) -> Iterator[ForecastBatch]:
        """Yield what is there in columns, `most` forecasts at most.

        Each batch has one horizon and one set of levels; `positions` cover a batch when it is returned.
        """
        while (found := self._wait()) is not None:
            yield ForecastBatch.of(self._same(found, shape_of(found.forecast), most))

    def to_pandas(self, freq: str | int | None = None, tz: str | None = None) -> pd.DataFrame:
        """Return all forecasts up to the end as one long frame, see `ForecastBatch.to_pandas`.

        Raises
        ------
        InputError
            The stream follows, and so has no end.
        """
        import pandas as pd

        if self._follow:
            raise InputError("a stream that follows has no end: open it with follow=False, or use batches()")
        frames = [batch.to_pandas(freq, tz) for batch in self.batches()]
        return (
            pd.concat(frames, ignore_index=True)
            if frames
            else pd.DataFrame(columns=["unique_id", "ds", "cutoff"])
        )

    def _same(self, first: _Found, shape: Shape, most: int) -> list[Forecast]:
        found: _Found | None = first
        taken: list[Forecast] = []
        while found is not None:
            if len(taken) == most or shape_of(found.forecast) != shape:
                self._held = found
                break
            self._positions[found.partition] = found.after
            taken.append(found.forecast)
            found = self._next()
        return taken

    def _wait(self) -> _Found | None:
        """Return the next forecast; None where there will be none."""
        while not self._stopping.is_set():
            found = self._next()
            if found is not None:
                return found
            if not self._follow and self._source.finished():
                return None
            self._queue.extend(_Cursor(batch) for batch in self._source.poll(_POLL_S, _RECORDS))
        return None

    def _next(self) -> _Found | None:
        """Return the next forecast of what was polled already."""
        if self._held is not None:
            found, self._held = self._held, None
            return found
        while self._queue:
            batch, i = self._queue[0].batch, self._queue[0].at
            number = batch.partition.number
            if i == len(batch.offsets):
                self._queue.popleft()
                self._positions[number] = batch.position
                continue
            self._queue[0].at += 1
            forecast = self._judge(batch, i)
            if forecast is not None:
                return _Found(number, int(batch.offsets[i]) + 1, forecast)
        return None

    def _judge(self, batch: Batch, i: int) -> Forecast | None:
        """Return a record's forecast if it is one to hand out, and count it."""
        self.counts.read += 1
        try:
            forecast = self._decode(batch.value(i))
        except WireError as error:
            self._tell_bad(batch, i, error)
            if self._strict:
                raise
            return None
        if self._series is not None and forecast.series_id not in self._series:
            self.counts.others += 1
            return None
        source = forecast.source
        tick = (source.topic, source.partition, source.offset)
        if self._recent.seen((forecast.series_id, forecast.ts_ms, forecast.model, forecast.version, tick)):
            self.counts.duplicates += 1
            return None
        self.counts.forecasts += 1
        return forecast

    def _tell_bad(self, batch: Batch, i: int, error: WireError) -> None:
        self.counts.bad[error.reason] += 1
        if self.counts.bad[error.reason] == 1:  # the first of its kind: a log line for each would drown it
            where = f"{batch.partition.topic}/{batch.partition.number}@{batch.offsets[i]}"
            logger.warning("%s is no forecast, and left out: %s", where, error)

    def _forget(self, numbers: set[int]) -> None:
        """Let go of partitions that another member reads now."""
        self._queue = deque(one for one in self._queue if one.batch.partition.number not in numbers)
        if self._held is not None and self._held.partition in numbers:
            self._held = None
        for number in numbers:
            self._positions.pop(number, None)
