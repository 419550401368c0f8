"""Paths that are over on their way to the store: windows of scores, over all partitions of a monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.errors import PipelineError
from pipelines.logs import log
from pipelines.monitor.scoring import Scores, default_window, write_window

if TYPE_CHECKING:
    from forecast.models.freq import Freq
    from forecast.types import I64
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.post import Post
    from pipelines.monitor.versions import Catalog
    from pipelines.store import Store


@dataclass(slots=True)
class Scorer:
    """Holds the scores of a monitor; made once the first forecasts say how long paths are."""

    store: Store
    catalog: Catalog
    totals: Totals
    sql_rows: int = 1_000_000
    """Most rows that a window writes."""
    partitions: int = 1
    """Of the topic: a monitor that has not all of them says so in what it writes of the fleet."""
    _scores: Scores | None = None
    _freq: Freq | None = None
    _posts: dict[int, Post] = field(default_factory=dict)

    def add(self, post: Post) -> None:
        """Take the paths of a partition that are over."""
        scored, post.scored = post.scored, []
        scores = self._of(post)
        if scores is None:
            return
        for each in scored:
            self.totals.add("paths", len(each))
            if each.levels == scores.levels:
                scores.add(post.number, each)
        self.totals.counts["paths_late"] = scores.late

    def dump(self, number: int) -> bytes:
        """Return what is gathered of a partition."""
        return b"" if self._scores is None else self._scores.dump(number)

    def load(self, post: Post, data: bytes) -> None:
        """Take what `dump` returned."""
        scores = self._of(post)
        if scores is None or not data:
            return
        try:
            scores.load(post.number, data)
        except PipelineError as error:
            log.warning("partition %d: %s", post.number, error)

    def drop(self, number: int) -> None:
        """Forget a partition."""
        if self._scores is not None:
            self._scores.drop(number)

    def write(self, posts: Mapping[int, Post], *, all_: bool = False) -> None:
        """Write windows that are over, or all; `StoreError`, and the rest is written another time.

        Those that a partition with more to be read has still to come to wait for it.
        """
        scores, freq = self._scores, self._freq
        if scores is None or freq is None:
            return

        def ids(number: int, rows: I64) -> list[str]:
            return [posts[number].watch.rows.id(row) for row in rows.tolist()]

        part = "" if len(posts) == self.partitions else ",".join(map(str, sorted(posts)))
        reached = min((post.watch.reached for post in posts.values() if self._lags(post)), default=None)
        for index in scores.open() if all_ else scores.due(reached):
            holders = scores.partitions(index)
            self.totals.score(write_window(self.store, scores, index, ids, freq, self.sql_rows, part))
            for number in holders:
                posts[number].stale = True

    def _lags(self, post: Post) -> bool:
        """Return whether there is more to be read of a partition, and it can be."""
        return post.waiting is None and self.totals.lag.get((post.options.forecasts, post.number), 1) > 0

    def _of(self, post: Post) -> Scores | None:
        """Return the scores that fit the paths of a post; None before the first path."""
        maturing = post.paths.maturing
        if maturing is None:
            return None
        if self._scores is None or self._scores.levels != maturing.levels:
            lineage = self.catalog.lineage(post.watch.author)
            if lineage is None:
                return self._scores
            self._freq = lineage.freq
            window = default_window(post.watch.dt_ms, maturing.h, lineage.freq.is_int)
            self._scores = Scores(maturing.levels, window)
        return self._scores
