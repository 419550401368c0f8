"""Reads the ticks of the partitions whose forecasts a monitor reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.log.records import Partition

if TYPE_CHECKING:
    from pipelines.log.protocol import Reader
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.post import Post


@dataclass(slots=True)
class TickReading:
    """Which partitions of ticks are read: those of the posts, while there is room for what they have."""

    reader: Reader
    options: MonitorOptions
    _numbers: set[int] = field(default_factory=set)

    def read(self, posts: Mapping[int, Post]) -> bool:
        """Hand ticks to their posts; return whether there were any."""
        room = self.options.queue_limit
        wanted = {
            number
            for number, post in posts.items()
            if post.queue.size < (room if number in self._numbers else room // 2 + 1)
        }
        if wanted != self._numbers:
            places = {Partition(self.options.ticks, number): posts[number].tick_end for number in wanted}
            self._numbers = set()
            self.reader.assign(places)
            self._numbers = wanted
        found = self.reader.poll(0.0, self.options.batch_limit) if wanted else []
        for batch in found:
            if batch.partition.number in wanted:
                posts[batch.partition.number].put(batch)
        return bool(found)

    def again(self) -> None:
        """Read on from where the posts stand, after a fault."""
        self._numbers = set()

    def forget(self, number: int) -> None:
        """Read a partition no longer; if it is wanted again, from where its post stands then."""
        self._numbers.discard(number)

    def pass_markers(self, posts: Mapping[int, Post]) -> None:
        """Move posts on behind markers of transactions, where no tick is left to be read."""
        for at, position in self.reader.positions().items():
            if at.number in self._numbers:
                post = posts[at.number]
                post.tick_end = max(post.tick_end, position)
