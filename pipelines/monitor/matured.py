"""Scores of paths that have matured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecast.selection.metrics import crps, mae
from forecast.types import F64, I64, U8

# Paths that are scored at a time: their numbers, and those between, stay in the cache.
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """k paths that are over; sums are over the points that were observed."""

    rows: I64
    """(k,)"""
    origin: I64
    """(k,) last time known, on the wire's clock."""
    end: I64
    """(k,) time of the last point."""
    tag: I64
    """(k,) positions in `names`."""
    names: tuple[tuple[str, str], ...]
    """Version and model."""
    levels: tuple[float, ...]
    n: I64
    """(k,) points that were observed."""
    missing: I64
    """(k,) points that were not."""
    mae: F64
    """(k,) units of the series; NaN where nothing was observed."""
    mase: F64
    """(k,) NaN too where no scale is known."""
    crps: F64
    """(k,) units of the series."""
    hits: I64
    """(k, L) points inside the interval of each level."""
    scale: F64
    """(k,) what the absolute error is divided by for the MASE; NaN: unknown."""
    scale_source: U8
    """(k,) `reference.UNKNOWN`, `HISTORY` or `TICKS`."""

    def __len__(self) -> int:
        return len(self.rows)

    @staticmethod
    def join(parts: Sequence[Scored | None]) -> Scored | None:
        """Return several as one, in their order; None where there is none."""
        some = [part for part in parts if part is not None]
        if len(some) < 2:
            return some[0] if some else None
        columns = {
            name: np.concatenate([getattr(part, name) for part in some])
            for name in Scored.__slots__
            if name not in ("names", "levels")
        }
        longest = max((part.names for part in some), key=len)
        return Scored(**columns, names=longest, levels=some[0].levels)


def score_paths(
    rows: I64, origin: I64, end: I64, tag: I64, names: tuple[tuple[str, str], ...],
    values: NDArray[np.float32], levels: tuple[float, ...], scale: F64, source: U8,
) -> Scored:  # fmt: skip
    """Score k paths.

    Parameters
    ----------
    values
        (k, h, 2 + 2 L) mean, lower bounds, upper bounds, actual; all less the same constant of a path.

    Notes
    -----
    The CRPS is that of the quantiles that the bounds are, the mean in their middle taken for the median (of a
    Gaussian forecast it is); see `forecast.selection.metrics.crps` for its formula and source.
    Without levels it is the absolute error.
    """
    blocks = [_score(values[at : at + _BLOCK], levels) for at in range(0, max(len(values), 1), _BLOCK)]
    error, score, hits, n = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Scored(
        rows=rows, origin=origin, end=end, tag=tag, names=names, levels=levels, n=n.astype(np.int64),
        missing=(values.shape[1] - n).astype(np.int64), mae=_finite(error), mase=_finite(error / scale),
        crps=_finite(score), hits=hits.astype(np.int64), scale=scale, scale_source=source,
    )  # fmt: skip


def _score(values: NDArray[np.float32], levels: tuple[float, ...]) -> tuple[F64, F64, I64, I64]:
    """Return absolute errors, CRPS, points inside of each level, and points observed, of k paths."""
    n_levels = len(levels)
    parts = np.moveaxis(values.astype(np.float64), 2, 1)
    mean, lo, hi, y = parts[:, 0], parts[:, 1 : 1 + n_levels], parts[:, 1 + n_levels : -1], parts[:, -1]
    half = np.array(levels) / 200.0
    taus = np.concatenate([0.5 - half[::-1], [0.5], 0.5 + half])
    quantiles = np.concatenate([lo[:, ::-1], mean[:, None], hi], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):  # of a forecast beyond what float32 holds
        error = mae(y, mean)
        score = crps(y, quantiles, taus)
        hits = ((lo <= y[:, None]) & (y[:, None] <= hi)).sum(axis=2)
    return error, score, hits, (~np.isnan(y)).sum(axis=1)


def _finite(values: F64) -> F64:
    return np.where(np.isfinite(values), values, np.nan)
