"""The regression of a series on deterministic terms, regressors and its own past."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64


@kernel
def _deterministic(t: int, const: bool, slope: bool, season: int, x: F64, n: int) -> int:
    """Write what row `n` has without looking at any data; return how many columns that is."""
    j = 0
    if const:
        x[j, n] = 1.0
        j += 1
    if slope:
        x[j, n] = t + 1.0
        j += 1
    for s in range(season):
        x[j, n] = 1.0 if t % season == s else 0.0
        j += 1
    return j


@kernel
def build_design(
    y: F64,
    exog: F64,
    term_row: I64,
    term_lag: I64,
    const: bool,
    slope: bool,
    season: int,
    lags: I64,
    hold_back: int,
    x: F64,
    target: F64,
) -> int:
    """Write the rows of the regression whose every member is observed.

    Parameters
    ----------
    y
        (t,) values, NaN where missing.
    exog
        (names, t) regressors.
    term_row, term_lag
        (terms,) which row of `exog`, and how many steps back.
    const, slope
        Whether 1 and the step number (1 at the first point) are regressors.
    season
        Number of seasonal dummies; 0 for none. With `const` the last is linear in the others.
    lags
        Lags of y, ascending; they come last, so that one factorisation serves every order.
    hold_back
        Points at the start that are never a target.
    x, target
        (k, >= t) and (>= t,) out; order: const, slope, seasons, exog terms, lags.

    Returns
    -------
    n
        Rows written. A row with a missing member is left out whole: time is never glued together.
    """
    n = 0
    for t in range(hold_back, len(y)):
        if np.isnan(y[t]):
            continue
        j = _deterministic(t, const, slope, season, x, n)
        good = True
        for m in range(len(term_row)):
            back = t - term_lag[m]
            x[j, n] = exog[term_row[m], back] if back >= 0 else np.nan
            good = good and not np.isnan(x[j, n])
            j += 1
        for m in range(len(lags)):
            back = t - lags[m]
            x[j, n] = y[back] if back >= 0 else np.nan
            good = good and not np.isnan(x[j, n])
            j += 1
        if good:
            target[n] = y[t]
            n += 1
    return n
