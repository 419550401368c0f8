"""Units for series whose squares would not fit into a double."""

from __future__ import annotations

import numpy as np

from forecast.kernels.summary import summarise
from forecast.models.panel import Panel
from forecast.models.threads import over_rows
from forecast.types import F64, I64

# Sums of squares and fourth powers (Jarque-Bera) of 2^18 points must stay inside the double range
# of 2^-1022..2^1023: values within 2^-200..2^200 do, with room. Outside, a series gets its own unit.
_SAFE_EXPONENT = 200
# 2^1024 is no double.
_LARGEST_EXPONENT = 1023


def survey(panel: Panel, jobs: int = 1) -> tuple[I64, F64, F64]:
    """Return (n,) number of observed points, smallest and largest value; NaN where there is none."""
    n = panel.n_series
    observed, low, high = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)

    def work(first: int, last: int) -> None:
        rows = slice(first, last)
        summarise(panel.values, panel.indptr[first : last + 1], observed[rows], low[rows], high[rows])

    over_rows(work, n, jobs)
    return observed, low, high


def units(low: F64, high: F64) -> F64:
    """(n,) a power of two for each series: 1 unless its largest value is above 2^200 or below 2^-200."""
    largest = np.fmax(np.abs(low), np.abs(high))
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    exponent[np.abs(exponent) <= _SAFE_EXPONENT] = 0
    return np.ldexp(np.ones(len(low)), np.minimum(exponent, _LARGEST_EXPONENT))


def in_units(panel: Panel, scale: F64) -> F64:
    """Return the values in units of `scale`.

    A series is always either wholly in its own unit or untouched, so nothing is rounded.
    """
    return panel.values if (scale == 1.0).all() else panel.values / np.repeat(scale, panel.lengths)


def rescale(panel: Panel) -> tuple[F64, F64]:
    """Return the values in units of `units`, and these units."""
    _, low, high = survey(panel)
    scale = units(low, high)
    return in_units(panel, scale), scale
