"""Scores of many paths, summed by series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from forecast.types import F64, I64
from pipelines.errors import PipelineError
from pipelines.monitor.matured import Scored
from pipelines.monitor.reference import TICKS

_FEW: Final = 16
# Columns of a number a series, and of one a series and level.
_PLAIN: Final = (
    "paths", "n", "missing", "error", "crps", "scaled_n", "scaled_error", "scaled_crps", "from_ticks", "nn",
)  # fmt: skip
_BY_LEVEL: Final = ("hits", "hits_hits", "hits_n")


class Sums:
    """Sums over the paths of each series of one partition, by row.

    ``error, crps`` are sums over points in the units of the series, ``scaled_*`` those divided by the
    scale, over the ``scaled_n`` points of paths that have one; ``nn, hits_hits, hits_n`` are sums over paths
    of products of their points and of those inside each interval.
    """

    def __init__(self, n_levels: int, rows: int = 0) -> None:
        self.n_levels = n_levels
        self._columns = {name: np.zeros(rows) for name in _PLAIN}
        self._columns |= {name: np.zeros((rows, n_levels)) for name in _BY_LEVEL}

    def __len__(self) -> int:
        return len(self._columns["paths"])

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return sum(column.size for column in self._columns.values())

    def __getitem__(self, name: str) -> F64:
        return self._columns[name]

    def add(self, scored: Scored, some: I64) -> None:
        """Add the paths at positions `some` (k,) of `scored`."""
        rows = scored.rows[some]
        if not len(rows):
            return
        self.grow(int(rows.max()) + 1)
        seen = np.isfinite(scored.mae[some]) & np.isfinite(scored.crps[some])
        n = np.where(seen, scored.n[some], 0).astype(np.float64)
        hits = np.where(seen[:, None], scored.hits[some], 0).astype(np.float64)
        error, crps = np.where(seen, scored.mae[some], 0.0), np.where(seen, scored.crps[some], 0.0)
        scale = scored.scale[some]
        scaled = seen & np.isfinite(scored.mase[some])
        divisor = np.where(scaled, scale, 1.0)
        new: dict[str, Any] = {
            "paths": seen, "n": n, "missing": scored.missing[some], "error": n * error, "crps": n * crps,
            "scaled_n": np.where(scaled, n, 0.0), "scaled_error": np.where(scaled, n * error / divisor, 0.0),
            "scaled_crps": np.where(scaled, n * crps / divisor, 0.0),
            "from_ticks": seen & (scored.scale_source[some] == TICKS), "nn": n * n,
            "hits": hits, "hits_hits": hits * hits, "hits_n": hits * n[:, None],
        }  # fmt: skip
        for name, values in new.items():
            np.add.at(self._columns[name], rows, values)

    def blend(self, other: Sums, keep: float) -> None:
        """Add other sums to `keep` times these."""
        self.grow(len(other))
        for name, column in self._columns.items():
            np.multiply(column, keep, out=column)
            column[: len(other)] += other[name]

    def grow(self, rows: int) -> None:
        """Make room for series up to `rows`."""
        have = len(self)
        if rows > have:
            more = max(rows, 2 * have, _FEW) - have
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate([column, np.zeros((more, *column.shape[1:]))])

    def take(self, rows: I64) -> dict[str, F64]:
        """Return the columns of some series, zeros for those beyond the last."""
        self.grow(int(rows.max()) + 1 if len(rows) else 0)
        return {name: column[rows] for name, column in self._columns.items()}

    def parts(self, prefix: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return the columns, of the series that have any path, as arrays by name."""
        rows = np.flatnonzero((self["paths"] > 0) | (self["missing"] > 0))
        return {f"{prefix}rows": rows, **{f"{prefix}{name}": c[rows] for name, c in self._columns.items()}}

    @classmethod
    def restore(cls, parts: Mapping[str, np.ndarray[Any, Any]], prefix: str, n_levels: int) -> Sums:
        """Return what `parts` was called on; `PipelineError` for arrays that do not fit together."""
        rows = parts.get(f"{prefix}rows", np.empty(0, np.int64))
        made = cls(n_levels)
        if not len(rows):
            return made
        if rows.dtype.kind != "i" or rows.min() < 0 or rows.max() >= _MOST_ROWS:
            raise PipelineError("the sums of scores of a snapshot name series that cannot be")
        made.grow(int(rows.max()) + 1)
        for name, column in made._columns.items():
            found = parts.get(f"{prefix}{name}")
            if found is None or found.shape != (len(rows), *column.shape[1:]):
                raise PipelineError(
                    f"the sums of scores of a snapshot lack {name!r}, or have it of another shape"
                )
            column[rows] = found
        return made


# More series than a partition ever has: beyond it an index is no row, and would take all memory.
_MOST_ROWS: Final = 100_000_000
