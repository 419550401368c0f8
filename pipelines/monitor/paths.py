"""Forecasts of one partition on their way to `Maturing`, in step with the ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from forecast.types import I64, Bool
from pipelines.consumer.columns import Shape
from pipelines.logs import log
from pipelines.monitor.history_scales import HistoryScales
from pipelines.monitor.matured import Scored
from pipelines.monitor.maturing import Made, Maturing, Seen
from pipelines.stream.grid import Grid

if TYPE_CHECKING:
    from pipelines.monitor.columns import Author, Forecasts, Shaped
    from pipelines.monitor.versions import Lineage


# A year of hours for each of thousands of series would end the process; a fleet of 200,000 with 48 steps and
# one level takes 150 MB.
_MOST_BYTES: Final = 1 << 30


def _nameless(rows: I64) -> list[str]:
    return [""] * len(rows)


@dataclass(slots=True)
class Paths:
    """The open paths of a partition, of one horizon and one set of levels at a time.

    Parameters
    ----------
    lineage
        Returns a model of a version, None where there is none.
    ids
        Names the series of rows.
    """

    lineage: Callable[[Author], Lineage | None]
    ids: Callable[[I64], Sequence[str]] = _nameless
    maturing: Maturing | None = None
    waiting: int = 0
    """Numbers of the forecasts that wait for their ticks."""
    scales: HistoryScales = field(default_factory=HistoryScales)
    _made: list[tuple[Shape, Author, Made]] = field(default_factory=list)

    def put(self, found: Forecasts, rows: I64, known: Bool) -> None:
        """Take forecasts; of series that are not `known` to their version nothing is scored."""
        usable = known & (found.source >= 0)
        for part in found.paths:
            author = np.where(usable[part.at], found.author[part.at], -1)
            for of in np.unique(author[author >= 0]).tolist():
                made = _made_of(found, rows, part, author == of)
                self._made.append((part.shape, found.authors[of], made))
                self.waiting += made.mean.size + made.lo.size + made.hi.size

    def prepare(self) -> None:
        """Look up what `feed` will ask for; `UnknownVersionError`, `StoreError`, and nothing has changed."""
        for author in {author for _, author, _ in self._made}:
            self.lineage(author)

    def feed(self, seen: Seen) -> list[Scored]:
        """Take the ticks that the forecasts before were made of, and return the paths that are over.

        Those of several shapes, whose levels and numbers of versions differ, are never one.
        """
        made, self._made, self.waiting = self._made, [], 0
        found: list[Scored | None] = []
        at = 0
        for i, (shape, author, part) in enumerate(made):
            to = (
                len(seen.rows)
                if i == len(made) - 1
                else int(np.searchsorted(seen.offset, part.offset.max(), "right"))
            )
            to = max(at, to)
            ticks = Seen(seen.rows[at:to], seen.offset[at:to], seen.ts[at:to], seen.y[at:to])
            at = to
            n = 1 + max(int(part.rows.max()), int(ticks.rows.max(initial=-1)))
            if self._too_large(shape, n):
                found.append(self._actual(ticks))
                continue
            maturing = self._fit(shape, author)
            maturing.grow(n)
            self._scale(maturing, author)
            tag = np.full(len(part.rows), maturing.number(*author), dtype=np.int64)
            found.append(maturing.feed(part._replace(tag=tag), ticks))
        if not made:
            found.append(self._actual(seen))
        return [each for each in found if each is not None]

    def _actual(self, seen: Seen) -> Scored | None:
        """Take ticks without forecasts."""
        if self.maturing is None or not len(seen.rows):
            return None
        self.maturing.grow(1 + int(seen.rows.max()))
        return self.maturing.actual(seen.rows, seen.ts, seen.y)

    def _too_large(self, shape: Shape, n: int) -> bool:
        """Whether open paths of a new shape would need more memory than a monitor should take."""
        h, levels = shape
        if self.maturing is not None and self.maturing.shape == shape:
            return False
        n_bytes = 4 * n * h * (2 + 2 * len(levels))
        if n_bytes <= _MOST_BYTES:
            return False
        log.warning(
            "forecasts of %d points and %d levels are not scored: %d series would take %.1f GB, at most %.1f",
            h, len(levels), n, n_bytes / 1e9, _MOST_BYTES / 1e9,
        )  # fmt: skip
        return True

    def dump(self) -> bytes:
        """Return the open paths as bytes; none may wait."""
        return b"" if self.maturing is None else self.maturing.dump()

    def load(self, data: bytes, author: Author) -> None:
        """Take what `dump` returned; `PipelineError` for bytes that are not that.

        Parameters
        ----------
        author
            Of the last forecast: its grid is that of the paths.
        """
        self.maturing = Maturing.load(data, self._grid(author)) if data else None

    def _fit(self, shape: Shape, author: Author) -> Maturing:
        """Return open paths of a shape; those of another one cannot be gone on with."""
        if self.maturing is None or self.maturing.shape != shape:
            if self.maturing is not None:
                log.warning(
                    "forecasts have %d points and the levels %s now: open paths are not scored", *shape
                )
            lineage = self.lineage(author)
            season_length = 1 if lineage is None else lineage.season_length
            self.maturing = Maturing(0, *shape, season_length, self._grid(author))
        return self.maturing

    def _scale(self, maturing: Maturing, author: Author) -> None:
        """Fix the scales of series that are new, where their training history knows them."""
        lineage = self.lineage(author)
        self.scales.fix(maturing.reference, None if lineage is None else lineage.history, self.ids)

    def _grid(self, author: Author) -> Grid | None:
        lineage = self.lineage(author)
        return None if lineage is None else Grid.of(lineage.freq)


def _made_of(found: Forecasts, rows: I64, part: Shaped, some: Bool) -> Made:
    """Return forecasts `some` of one shape, in the order of the log."""
    at = part.at[some]
    return Made(
        rows[at], found.source[at], found.ts_ms[at], part.mean[some], part.lo[:, some], part.hi[:, some],
        found.dt_ms[at], found.author[at],
    )  # fmt: skip
