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
        free = rows - trend - 1
        if free < 1:
            continue
        floor = (EXACT_FIT * size) ** 2
        spread = detrend(level, observed, n, trend)
        detrend(e, observed, n, trend)
        if not spread > rows * floor:
            continue
        step = inner(level, e, n) / spread  # rho - 1
        for t in range(n):
            e[t] -= step * level[t]
        rss = inner(e, e, n)
        if not rss > rows * floor:
            continue
        short = rss / rows
        long = (rss + 2.0 * bartlett(e, n, max_lag[i])) / rows
        moment = detrend(now, observed, n, trend) if current else spread
        moment /= float(rows) * rows
        if trend == 2:
            moment *= 1.0 - 1.0 / (float(rows) * rows)
        ratio = step / np.sqrt(rss / free / spread)
        z_tau[i] = np.sqrt(short / long) * ratio - 0.5 * (long - short) / np.sqrt(long * moment)
        z_rho[i] = rows * step - 0.5 * (long - short) / moment
        nobs[i] = rows
