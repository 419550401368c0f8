r"""AR(p) by Burg's method, all orders 0..m from the sums of lagged products.

Burg's reflection coefficients minimise the sum of squared forward and backward prediction errors. The lattice
runs over the series once for every order; here the same numbers follow from the sums of lagged products in
O(m^2). Forming errors from sums loses digits when the errors are small beside the series, so the loss is
estimated, and where it is large the lattice is used.

Source: Vos (2013), A fast implementation of Burg's method.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.criteria import blank_row, gaussian_loglik, lag_cap, select_order
from forecast.kernels.lag_products import centre, dot, is_constant, lag_products, longest, padding
from forecast.types import F64, I64, U8

# Largest factor by which the recursion may magnify rounding: the sum of squares of the series, times the
# squared absolute sum of the prediction error filter, over the sum of squared errors. Much higher, and the
# coefficients differ from those of the lattice by more than 1e-12 (4e-13 is the worst seen); lower, and more
# persistent series take the slow way.
MAX_LOSS = 1e3


@kernel
def fast_burg(x: F64, c: F64, m: int, filters: F64, kappa: F64, work: F64) -> bool:
    """Write reflection coefficients and prediction error filters; False when too many digits are lost.

    Parameters
    ----------
    x
        (t,) centred series, t > m + 1.
    c
        (>= m + 1,) sums of x_u x_{u-d}.
    filters
        (m + 1, >= m + 1) out, row k holds 1, a_1..a_k of e_t = x_t + sum a_i x_{t-i}, so phi = -a.
    kappa
        (>= m + 1,) out, ``kappa[k]`` is the last coefficient a_k of order k; ``kappa[0]`` is 0.
    work
        (4, >= m + 2)

    Notes
    -----
    With X = (x_n..x_{n-k-1}) and J the reversal, g = sum over n of (X X' + J X X' J) (a, 0): the sums of
    squared errors and of their products are (a, 0)'g and (a, 0)'J g. A step adds kappa J g, takes the first
    and the last window out, and appends one element, whose row of the matrix is kept in `r`.
    """
    t = x.shape[0]
    g, new, r, head = work[0], work[1], work[2], work[3]
    filters[0, 0], kappa[0] = 1.0, 0.0
    if m == 0:
        return True
    for i in range(m):
        head[i] = x[m - 1 - i]
    g[0] = 2.0 * c[0] - x[0] * x[0] - x[t - 1] * x[t - 1]
    g[1] = 2.0 * c[1]
    r[1] = 2.0 * c[1]
    for k in range(m):
        a, b = filters[k], filters[k + 1]
        size = k + 2
        a[k + 1] = 0.0
        power, cross = 0.0, 0.0
        reverse = g[:size][::-1]
        for i in range(k + 1):
            power += a[i] * g[i]
            cross += a[i] * reverse[i]
        mirrored = a[:size][::-1]
        ratio = -cross / power
        spread = 0.0
        for i in range(size):
            b[i] = a[i] + ratio * mirrored[i]
            spread += abs(b[i])
        kappa[k + 1] = ratio
        # power (1 - ratio^2) bounds the next sum of squared errors, up to the terms at the ends.
        if not power * (1.0 - ratio * ratio) * MAX_LOSS > 2.0 * c[0] * spread * spread:
            return False
        if k + 1 < m:
            _lengthen(x, c, b, ratio, size, g, new, r, head[m - size :])
            g, new = new, g
    return True


@kernel
def _lengthen(x: F64, c: F64, b: F64, ratio: float, size: int, g: F64, new: F64, r: F64, head: F64) -> None:
    """Write the g of the next order, see `fast_burg`; `head` is x_{size-1}..x_0."""
    t = x.shape[0]
    tail = x[t - size :]
    at_head, at_tail = 0.0, 0.0
    for i in range(size):
        at_head += head[i] * b[i]
        at_tail += tail[i] * b[i]
    reverse = g[:size][::-1]
    for i in range(size):
        new[i] = g[i] + ratio * reverse[i] - head[i] * at_head - tail[i] * at_tail
    # r[L] loses the products of lag L that reach out of the windows: one at each end.
    before = head[1:]
    after = x[t - size + 1 :]
    u, v = x[size - 1], x[t - size]
    for i in range(size - 1):
        r[i + 1] -= u * before[i] + v * after[i]
    r[size] = 2.0 * c[size]
    row = r[1 : size + 1][::-1]
    new[size] = dot(row, b[:size])


@kernel
def lattice_burg(x: F64, m: int, filters: F64, kappa: F64) -> None:
    """Write what `fast_burg` writes, by the lattice: O(t m), no loss of digits.

    Source: Percival and Walden (1993), *Spectral Analysis for Physical Applications*, 9.5.
    """
    t = x.shape[0]
    forward, backward = x.copy(), x.copy()
    filters[0, 0], kappa[0] = 1.0, 0.0
    for k in range(m):
        f, e = forward[k + 1 :], backward[k : t - 1]
        n = t - k - 1
        cross, power = 0.0, 0.0
        for i in range(n):
            cross += f[i] * e[i]
            power += f[i] * f[i] + e[i] * e[i]
        ratio = -2.0 * cross / power if power > 0.0 else 0.0
        later = backward[k + 1 :]
        # From the end, because the backward error moves one place along.
        for i in range(n - 1, -1, -1):
            ahead, behind = f[i], e[i]
            f[i] = ahead + ratio * behind
            later[i] = behind + ratio * ahead
        kappa[k + 1] = ratio
        step_up(filters[k], ratio, k, filters[k + 1])


@kernel
def step_up(a: F64, ratio: float, k: int, b: F64) -> None:
    """Write the filter of order k + 1 from that of order k and its reflection coefficient."""
    a[k + 1] = 0.0
    mirrored = a[: k + 2][::-1]
    for i in range(k + 2):
        b[i] = a[i] + ratio * mirrored[i]


@kernel
def reflect_loglik(kappa: F64, variance: float, m: int, n: int, loglik: F64) -> None:
    """Write n log-likelihood terms at sigma2_k = variance prod (1 - kappa_i^2), for every order k = 0..m."""
    for k in range(m + 1):
        variance *= 1.0 - kappa[k] * kappa[k]
        loglik[k] = gaussian_loglik(n, variance)


@kernel
def write_row(
    row: int, filters: F64, kappa: F64, variance: float, k: int, phi: F64, sigma2: F64, order: I64
) -> bool:
    """Write the chosen order, its coefficients and its variance; False when nothing is left to predict."""
    for i in range(1, k + 1):
        phi[row, i - 1] = -filters[k, i]
        variance *= 1.0 - kappa[i] * kappa[i]
    order[row], sigma2[row] = k, variance
    return variance > 0.0


@kernel
def fit_burg(
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
    r"""Fit AR(p) by Burg's method to series ``first..last-1``.

    Parameters
    ----------
    values, indptr
        (N,) observations without gaps and (n + 1,) where each series begins.
    max_lags
        Largest order; lowered for short series, see `criteria.lag_cap`.
    criterion
        Code from `criteria`; -2 log L is n log sigma2 + n (log 2 pi + 1), n all points, so the AIC is that of
        R's `ar` but for what is the same for all orders. 0 fits the largest order itself.
    const
        1 to take the mean off first, 0 not to.
    phi
        (n, max_lags) out, zero beyond the order.
    mean
        (n,) out.
    sigma2
        (n,) out, :math:`c_0 / n \prod (1 - k_i^2)` (R's ``var.method = 1``).
    order, ic, loglik
        (n,) and (n, max_lags + 1) and (n,) out; `ic` is NaN beyond the largest order tried.
    ok
        (n,) out, 0 where the series is too short, constant, or exactly predictable.
    """
    pad = padding(max_lags)
    padded = np.zeros(2 * pad + longest(indptr, first, last))
    c = np.empty(max_lags + pad)
    filters, kappa = np.zeros((max_lags + 1, max_lags + 2)), np.empty(max_lags + 1)
    work, logliks = np.empty((4, max_lags + 2)), np.empty(max_lags + 1)
    for row in range(first, last):
        y = values[indptr[row] : indptr[row + 1]]
        t = y.shape[0]
        blank_row(row, phi, mean, sigma2, order, ic, loglik, ok)
        m = lag_cap(t, max_lags, const)
        if m < 0:
            continue
        x = padded[pad : pad + t]
        mean[row] = centre(y, const, x)
        lag_products(padded, pad, t, m, c)
        if is_constant(c[0], mean[row], t):
            continue
        if not fast_burg(x, c, m, filters, kappa, work):
            lattice_burg(x, m, filters, kappa)
        reflect_loglik(kappa, c[0] / t, m, t, logliks)
        k = select_order(logliks, m, t, const, criterion, ic[row])
        ok[row] = write_row(row, filters, kappa, c[0] / t, k, phi, sigma2, order)
        loglik[row] = logliks[k]
