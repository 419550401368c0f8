"""AR(p) by the Yule-Walker equations with biased autocovariances: Levinson's recursion, all orders."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.burg import reflect_loglik, step_up, write_row
from forecast.kernels.criteria import blank_row, lag_cap, select_order
from forecast.kernels.lag_products import centre, dot, is_constant, lag_products, longest, padding
from forecast.types import F64, I64, U8


@kernel
def levinson(c: F64, m: int, filters: F64, kappa: F64) -> None:
    """Write reflection coefficients and prediction error filters, as `burg.fast_burg` does.

    Parameters
    ----------
    c
        (>= m + 1,) autocovariances up to a factor, positive definite.

    Notes
    -----
    Source: Brockwell and Davis (1991), *Time Series: Theory and Methods*, 5.2. Of the equal forms the
    one that keeps the variance as a product is used, so that it cannot turn negative.
    """
    filters[0, 0], kappa[0] = 1.0, 0.0
    power = c[0]
    for k in range(m):
        cross = dot(filters[k, : k + 1], c[1 : k + 2][::-1])
        ratio = -cross / power if power > 0.0 else 0.0
        kappa[k + 1] = ratio
        power *= 1.0 - ratio * ratio
        step_up(filters[k], ratio, k, filters[k + 1])


@kernel
def fit_yule_walker(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    max_lags: int,
    criterion: int,
    const: int,
    phi: F64,
    mean: F64,
    sigma2: F64,
    order: I64,
    ic: F64,
    loglik: F64,
    ok: U8,
) -> None:
    """Fit AR(p) by Yule-Walker to series ``first..last-1``.

    Parameters are those of `burg.fit_burg`. ``sigma2`` is c_0 less what phi explains, all over n; the
    ``var.pred`` of R's `ar.yw` is n / (n - p - 1) times as much.
    """
    pad = padding(max_lags)
    padded = np.zeros(2 * pad + longest(indptr, first, last))
    c = np.empty(max_lags + pad)
    filters, kappa = np.zeros((max_lags + 1, max_lags + 2)), np.empty(max_lags + 1)
    logliks = np.empty(max_lags + 1)
    for row in range(first, last):
        y = values[indptr[row] : indptr[row + 1]]
        t = y.shape[0]
        blank_row(row, phi, mean, sigma2, order, ic, loglik, ok)
        m = lag_cap(t, max_lags, const)
        if m < 0:
            continue
        mean[row] = centre(y, const, padded[pad : pad + t])
        lag_products(padded, pad, t, m, c)
        if is_constant(c[0], mean[row], t):
            continue
        levinson(c, m, filters, kappa)
        reflect_loglik(kappa, c[0] / t, m, t, logliks)
        k = select_order(logliks, m, t, const, criterion, ic[row])
        ok[row] = write_row(row, filters, kappa, c[0] / t, k, phi, sigma2, order)
        loglik[row] = logliks[k]
