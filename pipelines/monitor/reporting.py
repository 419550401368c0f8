"""The numbers of a monitor that are looked up, not counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.log.records import Partition

if TYPE_CHECKING:
    from pipelines.log.protocol import Reader
    from pipelines.monitor.archive import TickArchive
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.post import Post


def measure(posts: Mapping[int, Post], totals: Totals, archive: TickArchive | None) -> None:
    """Measure what takes a while to be looked up."""
    totals.gauges["series_active"] = sum(post.watch.active()[0] for post in posts.values())
    if archive is not None:
        totals.gauges["archive_files"] = archive.files
        totals.counts["archived"], totals.counts["merges"] = archive.written, archive.merges


def measure_lag(posts: Mapping[int, Post], totals: Totals, options: MonitorOptions, reader: Reader) -> None:
    """Ask how much there is to be read; `LogError`."""
    done = {Partition(options.forecasts, number): post.position for number, post in posts.items()}
    done |= {Partition(options.ticks, number): post.tick_position for number, post in posts.items()}
    ends = reader.ends(done)
    totals.lag = {(at.topic, at.number): max(ends[at] - position, 0) for at, position in done.items()}


def measure_turn(posts: Mapping[int, Post], totals: Totals, waiting: int) -> None:
    """Measure what may change with every turn of the loop."""
    gauges = totals.gauges
    gauges["series"] = sum(len(post.watch.rows) for post in posts.values())
    gauges["held"] = sum(len(post.held.waiting) + len(post.held_feed.waiting) for post in posts.values())
    gauges["waiting"] = waiting


def lag_of(topic: str, totals: Totals) -> dict[int, int]:
    """Return what is left to be read of a topic, by partition."""
    return {number: behind for (name, number), behind in totals.lag.items() if name == topic}
