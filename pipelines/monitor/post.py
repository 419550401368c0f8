"""A partition in the hands of a monitor: what it knows, what it has still to say, and where it reads on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.errors import ForecastError
from pipelines.errors import PipelineError
from pipelines.log.records import Batch, Partition
from pipelines.logs import log
from pipelines.monitor.columns import read_forecasts
from pipelines.monitor.gate import Alarm, Held
from pipelines.monitor.kept import Kept
from pipelines.monitor.matured import Scored
from pipelines.monitor.maturing import Seen
from pipelines.monitor.packing import pack, unpack
from pipelines.monitor.paths import Paths
from pipelines.monitor.ticks import Queue, Ticks
from pipelines.monitor.watch import Watch

if TYPE_CHECKING:
    from forecast.types import I64
    from pipelines.monitor.columns import Forecasts
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.versions import Catalog
    from pipelines.stream.decode import ReadTick

# Numbers of forecasts, 8 bytes each, that may wait until their ticks are read.
_MOST_WAITING: Final = 4_000_000


@dataclass(slots=True)
class Post:
    """One partition.

    Forecasts come first, then the ticks up to those that the forecasts were made of: a tick that were taken
    before an earlier forecast would be no actual of it.
    """

    number: int
    options: MonitorOptions
    catalog: Catalog
    counts: Counter[str]
    bad: Counter[str]
    read: ReadTick
    epoch: int = 0
    """Of the snapshot that this goes on from."""
    position: int = 0
    """Where the forecasts are read on."""
    tick_position: int = 0
    """Where the ticks are taken on."""
    tick_end: int = 0
    """Where the ticks are read on: those between wait in `queue`."""
    held: Held = field(default_factory=Held)
    held_feed: Held = field(default_factory=Held)
    """Likewise faults of the feed, which may be those of many series at once."""
    drift: list[Alarm] = field(default_factory=list)
    """To be recorded, and to lead to a retraining."""
    notes: list[Alarm] = field(default_factory=list)
    """To be recorded only."""
    news: list[Alarm] = field(default_factory=list)
    """Those of the two that are to be told; `untold` once they are recorded."""
    untold: list[Alarm] = field(default_factory=list)
    """Recorded, and not known to be in the topic of alerts."""
    scored: list[Scored] = field(default_factory=list)
    """Paths that are over, not yet in the scores."""
    waiting: Batch | None = None
    """Forecasts that cannot be taken yet."""
    messages: int = 0
    """Since the last commit."""
    stale: bool = False
    """Whether the snapshot still holds windows of scores that are written."""
    watch: Watch = field(init=False)
    queue: Queue = field(init=False)
    paths: Paths = field(init=False)
    kept: Kept = field(init=False)
    _now_s: float = 0.0
    _source: int = -1
    """Offset of the last tick that a forecast was made of."""
    _saved: tuple[int, int] = (0, 0)
    """Positions of the last snapshot."""
    _named: bool = False
    """Whether it names alerts that are to be told."""

    def __post_init__(self) -> None:
        self.watch = Watch(self.options, self.catalog, self.counts)
        self.queue = Queue(self.bad, self.read)
        self.paths = Paths(self.catalog.lineage, self._ids)
        self.kept = Kept(self.options.archive is not None)

    @property
    def changed(self) -> bool:
        """Whether there is anything to be committed."""
        moved = (self.position, self.tick_position) != self._saved
        # Else who comes next would tell again what the snapshot names, and is out.
        return moved or self.stale or bool(self.drift or self.notes) or (self._named and not self.untold)

    def take(self, batch: Batch, now_s: float) -> None:
        """Take forecasts; errors as `Watch.take`, and nothing was taken."""
        found = read_forecasts(batch, Partition(self.options.ticks, self.number), self.bad)
        rows, known, alarms = self.watch.take(found)
        self.held.take(alarms, now_s)
        if len(found):
            self.paths.put(found, rows, known)
            self._source = max(self._source, int(found.source.max()))
            self._mind(found)
        self.position = batch.position
        self.messages += len(batch.offsets)
        self.counts["forecasts"] += len(found)

    def put(self, batch: Batch) -> None:
        """Let ticks wait until their forecasts are here."""
        if batch.offsets.size:
            self.queue.put(batch)
        self.tick_end = batch.position

    def catch_up(self, now_s: float, *, now: bool = False, all_: bool = False) -> None:
        """Take the ticks whose forecasts are here.

        Parameters
        ----------
        now
            Do not wait for more of them to be read.
        all_
            Take those too whose forecasts are not here: none will come.

        Raises
        ------
        UnknownVersionError, StoreError
            A version cannot be read; nothing was taken.
        """
        if not (now or all_) and self.tick_end <= self._source and self.paths.waiting < _MOST_WAITING:
            return
        self._now_s = now_s
        self.paths.prepare()
        names = self._regressors()
        until = self.tick_end if all_ else min(self._source + 1, self.tick_end)
        pieces = self.queue.take(until, names)
        seen = [self._see(ticks) for ticks in pieces]
        self.scored += self.paths.feed(
            Seen(*map(np.concatenate, zip(*seen, strict=True))) if seen else _NOTHING
        )
        if pieces:
            self.tick_position = pieces[-1].position
        if not self.queue.size:  # nothing but markers of transactions lies between
            self.tick_position = max(self.tick_position, min(self.tick_end, until))

    def listen(self, now_s: float) -> None:
        """Look for series that have become silent."""
        self.held_feed.take(self.watch.listen(), now_s)

    def expire(self) -> None:
        """Close the paths of series that went silent: of those a path of the others behind."""
        maturing, (_, reached) = self.paths.maturing, self.watch.active()
        over = None if maturing is None else maturing.expire(reached - maturing.h * self.watch.dt_ms)
        if over is not None:
            self.scored.append(over)

    def note(self, alarms: list[Alarm]) -> None:
        """Have events recorded and told that lead to no retraining."""
        self.notes += alarms
        self.news += alarms

    def saved(self, epoch: int) -> None:
        """Note that everything is in the store."""
        self.epoch, self._saved = epoch, (self.position, self.tick_position)
        self.untold += self.news
        self._named = bool(self.untold)
        self.drift, self.notes, self.news, self.messages, self.stale = [], [], [], 0, False
        self.kept.clear()

    def positions(self) -> dict[str, Any]:
        """Return where to read on, for the store."""
        return {
            "forecasts": {"topic": self.options.forecasts, "offset": self.position},
            "ticks": {"topic": self.options.ticks, "offset": self.tick_position},
        }

    def dump(self, scores: bytes) -> bytes:
        """Return everything that is not positions, as bytes; `scores` are those of this partition."""
        head, arrays = self.watch.dump()
        told = [alarm.to_json() for alarm in (*self.untold, *self.news)]
        head = {
            "watch": head,
            "held": self.held.to_json(),
            "held_feed": self.held_feed.to_json(),
            "untold": told,
            "source": self._source,
        }
        blobs = {"paths": self.paths.dump(), "scores": scores}
        return pack(
            head, arrays | {name: np.frombuffer(blob, dtype=np.uint8) for name, blob in blobs.items()}
        )

    def load(self, data: bytes, now_s: float) -> bytes:
        """Take what `dump` returned, and return the scores.

        Raises
        ------
        PipelineError
            It is damaged, or of another format.
        UnknownVersionError, StoreError
            Versions cannot be read at present.
        """
        try:
            head, arrays = unpack(data)
            held, held_feed = Held.of(head["held"], now_s), Held.of(head["held_feed"], now_s)
            untold = [Alarm.of(each) for each in head["untold"]]
            paths, scores = arrays.pop("paths").tobytes(), arrays.pop("scores").tobytes()
            self.watch.load(head["watch"], arrays)
            self.paths.load(paths, self.watch.author)
            self.held, self.held_feed, self.untold = held, held_feed, untold
            self._source = int(head["source"])
            self._named = bool(untold)
        except (ForecastError, LookupError, TypeError, ValueError) as error:
            raise PipelineError(f"it does not fit together: {error}") from None
        return scores

    def begin(self, position: int, tick_position: int, epoch: int) -> None:
        """Read on from here."""
        self.epoch, self.position, self.tick_position, self.tick_end = (
            epoch,
            position,
            tick_position,
            tick_position,
        )
        self._saved = position, tick_position

    def _mind(self, found: Forecasts) -> None:
        """Count, and tell once, forecasts made of other ticks."""
        elsewhere = int((found.source < 0).sum())
        if elsewhere and not self.counts["elsewhere"]:
            log.warning(
                "forecasts of partition %d were made of other ticks than %r: these are not scored",
                self.number, self.options.ticks,
            )  # fmt: skip
        self.counts["elsewhere"] += elsewhere

    def _ids(self, rows: I64) -> list[str]:
        return [self.watch.rows.id(row) for row in rows.tolist()]

    def _regressors(self) -> tuple[str, ...]:
        lineage = self.catalog.lineage(self.watch.author) if self.watch.author[0] else None
        return () if lineage is None else lineage.exog

    def _see(self, ticks: Ticks) -> Seen:
        rows, faults = self.watch.tick(ticks)
        self.held_feed.take(faults, self._now_s)
        self.counts["ticks"] += len(rows)
        self.kept.put(ticks, rows)
        some = rows >= 0
        return Seen(rows[some], ticks.offset[some], ticks.ts_ms[some], ticks.y[some])


_NOTHING: Final = Seen(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
