"""The Phillips-Perron statistics of many series."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.projection import inner
from forecast.kernels.unit_root import EXACT_FIT, bartlett, detrend, longest
from forecast.types import F64, I64, Bool


@kernel
def _load(y: F64, n: int, level: F64, now: F64, step: F64, observed: Bool) -> tuple[int, float]:
    """Write y_{t-1}, y_t, their difference, and where both are observed; return how often, and the size."""
    rows = 0
    size = 0.0
    for t in range(n):
        level[t] = y[t]
        now[t] = y[t + 1]
        step[t] = y[t + 1] - y[t]
        observed[t] = not np.isnan(step[t])
        if observed[t]:
            rows += 1
            size = max(size, abs(y[t]), abs(y[t + 1]))
    return rows, size


@kernel
def _regress(level: F64, e: F64, n: int, spread: float) -> tuple[float, float]:
    """Leave in `e` what the level does not explain; return rho - 1 and the residual sum of squares."""
    step = inner(level, e, n) / spread
    for t in range(n):
        e[t] -= step * level[t]
    return step, inner(e, e, n)


@kernel
def _statistics(
    step: float, rss: float, long: float, spread: float, moment: float, rows: int, trend: int
) -> tuple[float, float]:
    """Return Z-tau and Z-rho; `long` is the long-run variance, `moment` the sum of squares behind M."""
    moment /= float(rows) * rows
    if trend == 2:
        moment *= 1.0 - 1.0 / (float(rows) * rows)
    excess = 0.5 * (long - rss / rows)
    ratio = step / np.sqrt(rss / (rows - trend - 1) / spread)
    return np.sqrt(rss / rows / long) * ratio - excess / np.sqrt(long * moment), rows * step - excess / moment


@kernel
def phillips_perron(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    trend: int,
    max_lag: I64,
    current: bool,
    z_tau: F64,
    z_rho: F64,
    nobs: I64,
) -> None:
    r"""Write the Phillips-Perron Z-tau and Z-rho of series `first` to `last`.

    .. math:: y_t = \mu + \delta t + \rho y_{t-1} + e_t, \qquad
        Z_\tau = \frac{s}{\lambda} t_\rho - \frac{\lambda^2 - s^2}{2 \lambda \sqrt M}, \qquad
        Z_\rho = n (\rho - 1) - \frac{\lambda^2 - s^2}{2 M}

    with s2 the residual variance, lambda2 its long-run variance (Bartlett weights), and M the sum of squares
    of the level about its mean (line) over n squared, for a line times 1 - 1 / n2.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing. Rows of the regression are the t at which y_t and y_{t-1} are
        observed; a pair of residuals enters lag j when both exist, j steps apart on the grid.
    trend
        1 constant, 2 constant and trend.
    max_lag
        (n,) lags of the long-run variance, >= 0.
    current
        Take M from y_t in place of y_{t-1}: the same limit, and what R's ``urca::ur.pp`` reports.
    z_tau, z_rho, nobs
        (n,) written; NaN, NaN, 0 when there are no degrees of freedom, no variation, or an exact fit.

    Notes
    -----
    O(n l). Source: Phillips and Perron (1988), *Biometrika* 75, 335-346.
    The oracle is ``tests/oracles/unit_root.py::phillips_perron``.
    """
    width = longest(indptr, first, last)
    level = np.empty(width)
    now = np.empty(width)
    e = np.empty(width)
    observed = np.empty(width, dtype=np.bool_)
    for i in range(first, last):
        z_tau[i] = np.nan
        z_rho[i] = np.nan
        nobs[i] = 0
        y = values[indptr[i] : indptr[i + 1]]
        n = len(y) - 1
        rows, size = _load(y, n, level, now, e, observed)
        if rows - trend - 1 < 1:
            continue
        floor = (EXACT_FIT * size) ** 2
        spread = detrend(level, observed, n, trend)
        detrend(e, observed, n, trend)
        if not spread > rows * floor:
            continue
        step, rss = _regress(level, e, n, spread)
        if not rss > rows * floor:
            continue
        long = (rss + 2.0 * bartlett(e, n, max_lag[i])) / rows
        moment = detrend(now, observed, n, trend) if current else spread
        z_tau[i], z_rho[i] = _statistics(step, rss, long, spread, moment, rows, trend)
        nobs[i] = rows
