"""The KPSS statistic of many series."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.unit_root import EXACT_FIT, bartlett, detrend, longest
from forecast.types import F64, I64


@kernel
def hobijn_lag(e: F64, n: int) -> int:
    """Return the data-dependent lag of Hobijn, Franses and Ooms (2004), Bartlett weights."""
    s0 = 0.0
    s1 = 0.0
    for j in range(int(n ** (2.0 / 9.0)) + 1):
        product = 0.0
        for t in range(j, n):
            product += e[t] * e[t - j]
        s0 += (1.0 if j == 0 else 2.0) * product
        s1 += 2.0 * j * product
    if s0 == 0.0:
        return 0
    gamma = 1.1447 * ((s1 / s0) ** 2) ** (1.0 / 3.0)
    return min(int(gamma * n ** (1.0 / 3.0)), n - 1)


@kernel
def _partial_sums(e: F64, n: int) -> float:
    """Return the sum of the squared partial sums."""
    partial = 0.0
    square = 0.0
    for t in range(n):
        partial += e[t]
        square += partial * partial
    return square


@kernel
def _trim(values: F64, begin: int, end: int) -> tuple[int, int]:
    """Return the position of the first observed point, and the length up to the last."""
    while begin < end and np.isnan(values[begin]):
        begin += 1
    while begin < end and np.isnan(values[end - 1]):
        end -= 1
    return begin, end - begin


@kernel
def kpss(
    values: F64, indptr: I64, first: int, last: int, trend: int, max_lag: I64, stat: F64, lag: I64
) -> None:
    r"""Write the KPSS statistic of series `first` to `last`.

    .. math:: \eta = T^{-2} \sum_t S_t^2 \Big/ \Big(T^{-1} \sum_t e_t^2
        + 2 T^{-1} \sum_{j=1}^{l} \big(1 - \tfrac{j}{l+1}\big) \sum_t e_t e_{t-j}\Big)

    with e the residuals of a mean or a line and S their partial sums.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing. T runs from the first to the last observed point; a missing point
        adds 0 to S and to every product, so that numerator and denominator are those of the residual times
        the indicator of being observed (Parzen 1963; Datta and Du 2012): the limit is that of complete
        data.
    trend
        1 mean (level stationarity), 2 line (trend stationarity).
    max_lag
        (n,) l; -1 chooses it by `hobijn_lag`.
    stat, lag
        (n,) written; NaN and -1 when fewer than ``trend + 1`` points are seen, l >= T, or the fit is exact.

    Notes
    -----
    O(T l). Source: Kwiatkowski, Phillips, Schmidt and Shin (1992), *J. Econometrics* 54, 159-178, eq. 10-13.
    The oracle is ``tests/oracles/unit_root.py::kpss``.
    """
    width = longest(indptr, first, last)
    e = np.empty(width)
    observed = np.empty(width, dtype=np.bool_)
    for i in range(first, last):
        stat[i] = np.nan
        lag[i] = -1
        begin, n = _trim(values, indptr[i], indptr[i + 1])
        count = 0
        size = 0.0
        for t in range(n):
            e[t] = values[begin + t]
            observed[t] = not np.isnan(e[t])
            if observed[t]:
                count += 1
                size = max(size, abs(e[t]))
        if count < trend + 1 or max_lag[i] >= n:
            continue
        square = detrend(e, observed, n, trend)
        if not square > count * (EXACT_FIT * size) ** 2:
            continue
        lags = max_lag[i] if max_lag[i] >= 0 else hobijn_lag(e, n)
        variance = (square + 2.0 * bartlett(e, n, lags)) / n
        stat[i] = _partial_sums(e, n) / (float(n) * n) / variance
        lag[i] = lags
