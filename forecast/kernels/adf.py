"""The augmented Dickey-Fuller regression of many series."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.projection import inner, orthonormalise, remove
from forecast.kernels.unit_root import EXACT_FIT, complete_rows, longest, scan
from forecast.types import F64, I64


@kernel
def _deterministic(rows: I64, m: int, trend: int, columns: F64) -> int:
    """Write the constant and the centred trend as orthonormal columns 0 and 1; return how many there are."""
    for r in range(m):
        columns[0, r] = 1.0
        columns[1, r] = rows[r] - 0.5 * (rows[0] + rows[m - 1])
    for k in range(trend):
        orthonormalise(columns, k, m)
    return trend


@kernel
def _difference_column(y: F64, rows: I64, m: int, lag: int, column: F64) -> None:
    for r in range(m):
        t = rows[r] - lag
        column[r] = y[t] - y[t - 1]


@kernel
def _level_column(y: F64, rows: I64, m: int, centre: float, column: F64) -> None:
    for r in range(m):
        column[r] = y[rows[r] - 1] - centre


@kernel
def _best_lag(
    y: F64, rows: I64, m: int, trend: int, centre: float, top: int, criterion: int, columns: F64, e: F64
) -> int:
    """Return the number of lags 0..top with the lowest AIC (1) or BIC (2) on one sample of `m` rows."""
    penalty = 2.0 if criterion == 1 else np.log(float(m))
    _difference_column(y, rows, m, 0, e)
    k = _deterministic(rows, m, trend, columns)
    rank = k
    for j in range(k):
        remove(columns[j], e, m)
    best, best_lag = np.inf, 0
    for lag in range(top + 1):
        if lag == 0:
            _level_column(y, rows, m, centre, columns[k])
        else:
            _difference_column(y, rows, m, lag, columns[k])
        if orthonormalise(columns, k, m):
            remove(columns[k], e, m)
            rank += 1
        k += 1
        value = m * np.log(inner(e, e, m) / m) + penalty * rank
        if value < best:
            best, best_lag = value, lag
    return best_lag


@kernel
def _t_ratio(
    y: F64, rows: I64, m: int, trend: int, centre: float, lag: int, floor: float, columns: F64, e: F64
) -> float:
    """Return the t ratio of the level in the regression with `lag` lagged differences.

    The level is the last column, so that its t ratio is the projection on what it adds,
    over the residual standard error.
    """
    _difference_column(y, rows, m, 0, e)
    k = _deterministic(rows, m, trend, columns)
    rank = k
    for j in range(1, lag + 1):
        _difference_column(y, rows, m, j, columns[k])
        rank += orthonormalise(columns, k, m)
        k += 1
    _level_column(y, rows, m, centre, columns[k])
    if not orthonormalise(columns, k, m):
        return np.nan
    for j in range(k):
        remove(columns[j], e, m)
    along = remove(columns[k], e, m)
    rss = inner(e, e, m)
    free = m - rank - 1
    if free < 1 or not rss > m * floor * floor:
        return np.nan
    return float(along / np.sqrt(rss / free))


@kernel
def _schwert(count: int, trend: int) -> int:
    """Return the largest lag considered: 12 (n / 100)^(1/4) rounded up, and at most n // 2 - trend - 1."""
    return min(int(np.ceil(12.0 * (count / 100.0) ** 0.25)), count // 2 - trend - 1)


@kernel
def _widest(max_lag: I64, first: int, last: int, width: int, trend: int) -> int:
    """Return the most lags that a series of `width` points or fewer may ask for."""
    most = 0
    for i in range(first, last):
        most = max(most, max_lag[i] if max_lag[i] >= 0 else _schwert(width, trend))
    return most


@kernel
def _sample(run: I64, n: int, top: int, trend: int, criterion: int, rows: I64) -> tuple[int, int]:
    """List the rows complete for `top` lags, or for fewer where gaps leave too few; return lags and rows."""
    m = complete_rows(run, n, top + 2, rows) if top >= 0 else 0
    if criterion > 0:
        while top > 0 and m < top + 2 * trend + 1:
            top -= 1
            m = complete_rows(run, n, top + 2, rows)
    return top, m


@kernel
def adf(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    trend: int,
    max_lag: I64,
    criterion: int,
    stat: F64,
    lag: I64,
    nobs: I64,
) -> None:
    r"""Write the augmented Dickey-Fuller statistic of series `first` to `last`.

    .. math:: \Delta y_t = \mu + \delta t + \gamma y_{t-1} + \sum_{j=1}^{p} b_j \Delta y_{t-j} + e_t

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing. The regression runs over the rows in which y_{t-p-1}, ..., y_t
        are all observed: time is never glued together.
    trend
        0 no constant, 1 constant, 2 constant and trend.
    max_lag
        (n,) p, or the largest p considered; -1 takes the rule of Schwert (1989), n being the observed points.
    criterion
        0 takes `max_lag`; 1 (AIC) and 2 (BIC) choose p on the rows complete for the largest lag, and then
        estimate again on all rows complete for p. Gaps lower the largest lag until that sample is wide
        enough.
    stat
        (n,) written: t ratio of gamma; NaN when the series is too short, constant, or fitted exactly.
    lag, nobs
        (n,) written: p, and the rows of the final regression; -1 and 0 where `stat` is NaN.

    Notes
    -----
    O(m (p + 3)^2) for m rows. Source: Said and Dickey (1984), *Biometrika* 71, 599-607.
    The oracle is ``tests/oracles/unit_root.py::adf``.
    """
    width = longest(indptr, first, last)
    most = _widest(max_lag, first, last, width, trend)
    columns = np.empty((min(most, width) + 4, width))
    e = np.empty(width)
    run = np.empty(width, dtype=np.int64)
    rows = np.empty(width, dtype=np.int64)
    for i in range(first, last):
        y = values[indptr[i] : indptr[i + 1]]
        n = len(y)
        stat[i] = np.nan
        lag[i] = -1
        nobs[i] = 0
        count, total, size = scan(y, n, run)
        top = max_lag[i] if max_lag[i] >= 0 else _schwert(count, trend)
        top, m = _sample(run, n, top, trend, criterion, rows)
        if m < top + trend + 2:
            continue
        # Without a constant the level must stay as it is.
        centre = total / count if trend > 0 else 0.0
        chosen = top
        if criterion > 0:
            chosen = _best_lag(y, rows, m, trend, centre, top, criterion, columns, e)
            m = complete_rows(run, n, chosen + 2, rows)
        stat[i] = _t_ratio(y, rows, m, trend, centre, chosen, EXACT_FIT * size, columns, e)
        if not np.isnan(stat[i]):
            lag[i] = chosen
            nobs[i] = m
