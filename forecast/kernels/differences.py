"""Differences and seasonal effects of ragged series."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64


@kernel
def difference(
    values: F64, indptr: I64, d: int, seasonal_d: int, season: int, out: F64, out_indptr: I64
) -> None:
    """Write (1-L)^d (1-L^s)^D of every series, without its first d + s D points.

    `out_indptr` holds the shorter rows.
    """
    for i in range(len(indptr) - 1):
        lo, hi = indptr[i], indptr[i + 1]
        row = values[lo:hi].copy()
        n = hi - lo
        for _ in range(seasonal_d):
            for t in range(n - 1, season - 1, -1):
                row[t] -= row[t - season]
            row, n = row[min(season, n) :], max(n - season, 0)
        for _ in range(d):
            for t in range(n - 1, 0, -1):
                row[t] -= row[t - 1]
            row, n = row[min(1, n) :], max(n - 1, 0)
        at = out_indptr[i]
        for t in range(out_indptr[i + 1] - at):
            out[at + t] = row[t]


@kernel
def seasonal_effects(values: F64, indptr: I64, season: int, effects: F64) -> None:
    """Write (n, s) additive seasonal effects by classical decomposition; they sum to zero.

    The trend is the centred moving average over one season (2 x s for even s); an effect is the mean
    of what it leaves at that season. Source: Kendall & Stuart (1983), The Advanced Theory of
    Statistics, vol. 3, 46.  Series shorter than two seasons get zeros.
    """
    half = season // 2
    for i in range(len(indptr) - 1):
        lo, hi = indptr[i], indptr[i + 1]
        effects[i, :] = 0.0
        if hi - lo < 2 * season:
            continue
        count = np.zeros(season)
        for t in range(lo + half, hi - half):
            trend = 0.0
            if season % 2 == 1:
                for j in range(t - half, t + half + 1):
                    trend += values[j]
            else:
                trend = 0.5 * (values[t - half] + values[t + half])
                for j in range(t - half + 1, t + half):
                    trend += values[j]
            effects[i, (t - lo) % season] += values[t] - trend / season
            count[(t - lo) % season] += 1
        mean = 0.0
        for s in range(season):
            effects[i, s] /= count[s]
            mean += effects[i, s] / season
        for s in range(season):
            effects[i, s] -= mean


@kernel
def remove_mean_function(values: F64, indptr: I64, const: F64, slope: F64, effects: F64, out: F64) -> None:
    """Write values - (const + slope t + effect of the season), t = 1 at the first point; may be in place."""
    season = effects.shape[1]
    for i in range(len(indptr) - 1):
        lo = indptr[i]
        for t in range(lo, indptr[i + 1]):
            level = const[i] + slope[i] * (t - lo + 1.0)
            if season > 0:
                level += effects[i, (t - lo) % season]
            out[t] = values[t] - level
