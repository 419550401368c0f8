"""Forecasts of one partition on their way to `Maturing`, in step with the ticks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from forecast.types import I64, Bool
from pipelines.consumer.columns import Shape, shape_of
from pipelines.logs import log
from pipelines.monitor.matured import Scored
from pipelines.monitor.maturing import Made, Maturing, Seen
from pipelines.stream.grid import Grid

if TYPE_CHECKING:
    from pipelines.monitor.columns import Author, Forecasts
    from pipelines.monitor.versions import Lineage


@dataclass(slots=True)
class Paths:
    """The open paths of a partition, of one horizon and one set of levels at a time.

    Parameters
    ----------
    lineage
        Returns a model of a version, None where there is none.
    """

    lineage: Callable[[Author], Lineage | None]
    maturing: Maturing | None = None
    waiting: int = 0
    """Numbers of the forecasts that wait for their ticks."""
    _made: list[tuple[Shape, Author, Made]] = field(default_factory=list)

    def put(self, found: Forecasts, rows: I64, known: Bool) -> None:
        """Take forecasts; of series that are not `known` to their version nothing is scored."""
        groups: dict[tuple[Shape, int], list[int]] = {}
        author = found.author.tolist()
        for i in np.flatnonzero(known & (found.source >= 0)).tolist():
            groups.setdefault((shape_of(found.messages[i]), author[i]), []).append(i)
        for (shape, of), some in groups.items():
            made = _made(found, rows, np.array(some, dtype=np.int64), shape)
            self._made.append((shape, found.authors[of], made))
            self.waiting += made.mean.size + made.lo.size + made.hi.size

    def feed(self, seen: Seen) -> Scored | None:
        """Take the ticks that the forecasts before were made of, and return the paths that are over."""
        made, self._made, self.waiting = self._made, [], 0
        found: list[Scored | None] = []
        at = 0
        for i, (shape, author, part) in enumerate(made):
            maturing = self._fit(shape, author)
            to = (
                len(seen.rows)
                if i == len(made) - 1
                else int(np.searchsorted(seen.offset, part.offset.max(), "right"))
            )
            to = max(at, to)
            ticks = Seen(seen.rows[at:to], seen.offset[at:to], seen.ts[at:to], seen.y[at:to])
            at = to
            maturing.grow(1 + max(int(part.rows.max()), int(ticks.rows.max(initial=-1))))
            tag = np.full(len(part.rows), maturing.number(*author), dtype=np.int64)
            found.append(maturing.feed(part._replace(tag=tag), ticks))
        if not made and self.maturing is not None and len(seen.rows):
            self.maturing.grow(1 + int(seen.rows.max()))
            found.append(self.maturing.actual(seen.rows, seen.ts, seen.y))
        return Scored.join(found)

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

    def _grid(self, author: Author) -> Grid | None:
        lineage = self.lineage(author)
        return None if lineage is None else Grid.of(lineage.freq)


def _made(found: Forecasts, rows: I64, some: I64, shape: Shape) -> Made:
    messages = [found.messages[i] for i in some.tolist()]
    bounds = len(some), len(shape[1]), shape[0]
    return Made(
        rows[some],
        found.source[some],
        found.ts_ms[some],
        np.array([each.mean for each in messages], dtype=np.float64),
        np.array([each.lo for each in messages], dtype=np.float64).reshape(bounds).swapaxes(0, 1),
        np.array([each.hi for each in messages], dtype=np.float64).reshape(bounds).swapaxes(0, 1),
        found.dt_ms[some],
        found.author[some],
    )
