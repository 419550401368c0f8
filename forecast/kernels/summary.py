"""What a series is like, in one pass."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64


@kernel
def summarise(values: F64, indptr: I64, observed: I64, low: F64, high: F64) -> None:
    """Write (n,) number of observed points, smallest and largest value; NaN where there is none."""
    for i in range(len(indptr) - 1):
        count, lo, hi = 0, np.inf, -np.inf
        for t in range(indptr[i], indptr[i + 1]):
            y = values[t]
            if not np.isnan(y):
                count += 1
                lo = min(lo, y)
                hi = max(hi, y)
        observed[i] = count
        low[i] = lo if count else np.nan
        high[i] = hi if count else np.nan


@kernel
def last_values(values: F64, indptr: I64, levels: F64) -> None:
    """Write (n, L) the last L values of each series, newest first; 0 before its first point."""
    for i in range(levels.shape[0]):
        lo, hi = indptr[i], indptr[i + 1]
        for j in range(levels.shape[1]):
            levels[i, j] = values[hi - 1 - j] if hi - 1 - j >= lo else 0.0
