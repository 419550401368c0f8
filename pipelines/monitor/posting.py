"""Takes partitions up where the store says that a monitor of the group left them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import LogError, PipelineError, StoreError, StreamError
from pipelines.log.records import Partition
from pipelines.logs import log
from pipelines.monitor.post import Post
from pipelines.monitor.versions import UnknownVersionError

if TYPE_CHECKING:
    from pipelines.log.protocol import Reader
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.versions import Catalog
    from pipelines.store import SnapshotRow, Store
    from pipelines.stream.decode import ReadTick


@dataclass(slots=True)
class Posting:
    """Opens partitions."""

    store: Store
    reader: Reader
    catalog: Catalog
    options: MonitorOptions
    totals: Totals
    read: ReadTick

    def open(self, number: int, now_s: float) -> tuple[Post, bytes]:
        """Return a partition as it was left, and its scores.

        Raises
        ------
        StoreError, UnknownVersionError
            The store does not answer, or lacks a version: where `retriable`, later.
        StreamError
            The snapshot is of other topics, or the topic was made anew.
        LogError
            The log does not answer.
        """
        post = self._new(number)
        row = self._row(number)
        forecasts, ticks = self._places(number)
        begins, ends = self.reader.begins([forecasts, ticks]), self.reader.ends([forecasts, ticks])
        if row is None:
            at = ends if self.options.from_latest else begins
            post.begin(at[forecasts], at[ticks], 0)
            return post, b""
        positions = {each: self._offset(row, each, begins[each], ends[each]) for each in (forecasts, ticks)}
        scores = b""
        try:
            scores = post.load(row.data, now_s)
        except (StoreError, UnknownVersionError):
            raise
        except PipelineError as error:
            log.error(
                "the snapshot of %s/%d cannot be used: %s; its positions stand, detectors begin at rest",
                *forecasts, error,
            )  # fmt: skip
            post = self._new(number)
        post.begin(positions[forecasts], positions[ticks], row.epoch)
        return post, scores

    def is_done(self, number: int, end: int, tick_end: int) -> bool:
        """Return whether another monitor of the group has done a partition up to here."""
        row = self._row(number)
        if row is None:
            return False
        done = _offsets(row.positions)
        return done is not None and done["forecasts"][1] >= end and done["ticks"][1] >= tick_end

    def _new(self, number: int) -> Post:
        return Post(number, self.options, self.catalog, self.totals.counts, self.totals.bad, self.read)

    def _places(self, number: int) -> tuple[Partition, Partition]:
        return Partition(self.options.forecasts, number), Partition(self.options.ticks, number)

    def _row(self, number: int) -> SnapshotRow | None:
        return self.store.snapshot(self.options.membership.group, self.options.forecasts, number)

    def _offset(self, row: SnapshotRow, place: Partition, begin: int, end: int) -> int:
        """Return where to read a partition on; what is kept no longer is passed over, and told."""
        found = _offsets(row.positions)
        which = "forecasts" if place.topic == self.options.forecasts else "ticks"
        if found is None or found[which][0] != place.topic:
            had = "nothing that can be read" if found is None else f"positions of {found[which][0]!r}"
            raise StreamError(
                f"group {row.group!r} has {had}, not of {which} in {place.topic!r}: give another --group, or "
                "the topics of before"
            )
        offset = found[which][1]
        if offset > end:
            raise LogError(
                f"{place.topic}/{place.number}: position {offset} is beyond the end {end}; the topic was "
                "made anew or has lost records: give another --group"
            )
        if offset < begin:
            self.totals.add("skipped", begin - offset)
            log.warning("%d records of %s/%d are no longer kept", begin - offset, *place)
        return max(offset, begin)


def _offsets(positions: Mapping[str, Any]) -> dict[str, tuple[str, int]] | None:
    """Return topic and offset by what they are of; None where that is not what they hold."""
    try:
        return {
            name: (str(positions[name]["topic"]), int(positions[name]["offset"]))
            for name in ("forecasts", "ticks")
        }
    except (LookupError, TypeError, ValueError):
        return None
