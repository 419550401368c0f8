"""Ticks that go into the archive with the next commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from forecast.types import F64, I64
from pipelines.monitor.rows import Rows
from pipelines.monitor.ticks import Ticks

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.monitor.archive import TickArchive


@dataclass(slots=True)
class Kept:
    """Ticks of one partition in columns, since the last commit."""

    wanted: bool
    """Whether there is an archive."""
    _pieces: list[tuple[Ticks, I64]] = field(default_factory=list)

    def put(self, ticks: Ticks, rows: I64) -> None:
        """Take ticks and the numbers (k,) of their series; below 0: not to be read."""
        if self.wanted and (rows >= 0).any():
            some = rows >= 0
            cut = {name: getattr(ticks, name)[some] for name in ("offset", "ts_ms", "y", "exog")}
            self._pieces.append((ticks._replace(text=_NOTHING, **cut), rows[some]))

    def write(self, archive: TickArchive, partition: int, series: Rows) -> None:
        """Write the ticks; `HistoryError` where they cannot be."""
        if not self._pieces:
            return
        ticks = [piece for piece, _ in self._pieces]
        offsets = np.concatenate([each.offset for each in ticks])
        ids = _names(series).take(np.concatenate([rows for _, rows in self._pieces]))
        archive.write(
            partition, int(offsets[0]), int(offsets[-1]), ids, np.concatenate([each.ts_ms for each in ticks]),
            np.concatenate([each.y for each in ticks]), self._exog(ticks), offsets,
        )  # fmt: skip

    def clear(self) -> None:
        """Forget what is written."""
        self._pieces = []

    def _exog(self, ticks: list[Ticks]) -> dict[str, F64]:
        names = dict.fromkeys(name for each in ticks for name in each.names)
        return {
            name: np.concatenate(
                [
                    each.exog[:, each.names.index(name)]
                    if name in each.names
                    else np.full(len(each.y), np.nan)
                    for each in ticks
                ]
            )
            for name in names
        }


def _names(series: Rows) -> pa.Array:
    """Return the ids of all series."""
    import pyarrow as pa

    keys, n = series.keys.keys, len(series)
    ends = np.ascontiguousarray(keys.ends[: n + 1])
    text = np.ascontiguousarray(keys.text[: int(ends[n])])
    return pa.LargeStringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(text)).cast(pa.string())


_NOTHING = np.empty(0, dtype=np.uint8)
