r"""Forecast error variance that comes from having estimated the autoregression.

With u = Phi(L^s) (1 - L)^d (1 - L^s)^D w less its mean path, the forecast depends on phi_i through
the regressor u_{t-i}, so its derivative at step k is

.. math:: g_{k,i} = \sum_{j=0}^{k-1} \psi_j \hat u_{T+k-i-j},
   \qquad g_{k,i} = g_{k-1,i-1} + \psi_{k-1} u_{T+1-i},

and the added variance is g' Gamma^{-1} g / n, where Gamma is the autocovariance matrix of an AR with
these phi and unit innovations, at the lags that were estimated. Past values are taken as
given; terms of order 1 / n^2 are left out. Sources: Box and Jenkins (1976), A7.4-A7.5;
Yamamoto (1976), *Applied Statistics* 25; Fuller and Hasza (1981), *JASA* 76. Oracle:
``tests/oracles/uncertainty.py``.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.roots import reduce_order, step_down
from forecast.types import F64, I64

# Smallest pivot in the Cholesky factor of a correlation matrix of lags. Below it the pivot
# is rounding, and dividing by it would make variance out of nothing.
PIVOT_FLOOR = 1e-12


@kernel
def whiten_all_lags(phi: F64, parcor: F64, p: int, work: F64, w: F64) -> None:
    r"""Write W, lower triangular, with W'W = Gamma^{-1}, for an AR with unit innovations.

    Row m holds the prediction error of order m, x_{m+1} - sum_j phi_{m,j} x_{m+1-j}, divided by its
    standard deviation; the orders come from the step-down, and the variance of order m is
    1 / prod_{j > m} (1 - k_j^2). Equal to the closed form of Siddiqui (1958), as a sum of squares
    that stays positive beside a unit root.

    `phi`, `parcor` (>= p,), `work` (>= p,) scratch, `w` (>= p, >= p).
    """
    precision = 1.0
    for j in range(p):
        work[j] = phi[j]
    for m in range(p - 1, -1, -1):
        k = parcor[m]
        reduce_order(work, m + 1, k)
        precision *= (1.0 - k) * (1.0 + k)
        root = np.sqrt(precision)
        for j in range(m):
            w[m, m - 1 - j] = -root * work[j]
        w[m, m] = root


@kernel
def autocorrelations(parcor: F64, p: int, work: F64, rho: F64) -> float:
    r"""Write rho_0 .. rho_{p-1} of an AR(p) and return its variance at unit innovations.

    The Levinson-Durbin recursion read backwards:
    rho_{m+1} = k_{m+1} v_m + sum_j phi_{m,j} rho_{m+1-j}, v_m = prod_{j<=m} (1 - k_j^2).
    """
    rho[0] = 1.0
    v = 1.0
    for m in range(p):
        k = parcor[m]
        if m + 1 < p:
            acc = k * v
            for j in range(m):
                acc += work[j] * rho[m - j]
            rho[m + 1] = acc
        low = 0
        high = m - 1
        while low <= high:
            below = work[low] - k * work[high]
            work[high] -= k * work[low]
            work[low] = below
            low += 1
            high -= 1
        work[m] = k
        v *= (1.0 - k) * (1.0 + k)
    return 1.0 / v


@kernel
def whiten_lags(rho: F64, variance: float, lags: I64, count: int, w: F64) -> None:
    """Write W, lower triangular, with W'W the inverse of Gamma at some lags only.

    Cholesky factor C of the correlations of the lags ``lags[:count]``, inverted in place;
    W = C^{-1} / sqrt(variance).
    """
    for r in range(count):
        for c in range(r + 1):
            acc = rho[lags[r] - lags[c]]
            for j in range(c):
                acc -= w[r, j] * w[c, j]
            if r == c:
                w[r, r] = np.sqrt(max(acc, PIVOT_FLOOR))
            else:
                w[r, c] = acc / w[c, c]
    scale = 1.0 / np.sqrt(variance)
    for c in range(count - 1, -1, -1):
        inverse = 1.0 / w[c, c]
        for r in range(count - 1, c, -1):  # upwards: what is read of column c is still C
            acc = 0.0
            for j in range(c + 1, r + 1):
                acc += w[r, j] * w[j, c]
            w[r, c] = -acc * inverse
        w[c, c] = inverse
    for r in range(count):
        for c in range(r + 1):
            w[r, c] *= scale


@kernel
def whiten(phi: F64, p: int, work: F64, parcor: F64, rho: F64, lags: I64, w: F64) -> int:
    """Write W, W'W = Gamma^{-1} at the nonzero lags, and `lags` (0 is lag 1); return how many.

    -1 when phi is not stationary: there is no such matrix then.
    """
    if not step_down(phi, p, parcor) > 0.0:
        return -1
    count = 0
    for i in range(p):
        if phi[i] != 0.0:
            lags[count] = i
            count += 1
    if count == p:
        whiten_all_lags(phi, parcor, p, work, w)
    else:
        whiten_lags(rho, autocorrelations(parcor, p, work, rho), lags, count, w)
    return count


@kernel
def differenced(
    f: F64, width: int, levels: F64, path: F64, p: int, offset: float, tilt: float, u: F64
) -> None:
    """Write u_{T-p+1} .. u_{T+h}, oldest first: the filtered levels and forecasts less offset + tilt k."""
    for t in range(u.shape[0]):
        k = t - p + 1  # steps after T; 0 and below are levels
        acc = path[k - 1] if k > 0 else levels[-k]
        for j in range(width):
            back = k - 1 - j
            acc -= f[j] * (path[back - 1] if back > 0 else levels[-back])
        u[t] = acc - offset - tilt * k


@kernel
def squared_norm(w: F64, g: F64, lags: I64, count: int) -> float:
    """|W g|^2 at some lags; ``g[i + 1]`` belongs to lag i + 1, ``lags`` counts from 0."""
    total = 0.0
    for r in range(count):
        acc = 0.0
        for c in range(r + 1):
            acc += w[r, c] * g[lags[c] + 1]
        total += acc * acc
    return total


@kernel
def phi_variance_rows(
    phi: F64,
    p: I64,
    f: F64,
    f_width: I64,
    levels: F64,
    path: F64,
    psi: F64,
    mean: F64,
    n_used: F64,
    out: F64,
    first: int,
    last: int,
) -> None:
    """Write the variance that the estimation of phi adds to the forecasts of rows first..last.

    Parameters
    ----------
    phi, p
        (n, width), (n,) non-seasonal factor; zeros inside are lags that were not estimated.
    f, f_width
        (n, *), (n,) the other factors, Phi(L^s) (1 - L)^d (1 - L^s)^D, as a recursion.
    levels
        (n, >= p + f_width) last values, newest first.
    path, psi
        (n, h) forecasts in the units of `levels`; psi weights of the whole model.
    mean
        (n, 2) mean path of u: its value at T and its growth a step.
    n_used
        (n,) observations behind the estimate.
    out
        (n, h) written, units of w squared; 0 without AR part, and where phi is not stationary.
        O(n (h^2 + h p^2)); scratch is allocated once a call.
    """
    size = phi.shape[1]
    h = psi.shape[1]
    work, parcor, rho = np.empty(size + 1), np.empty(size + 1), np.empty(size + 1)
    lags = np.empty(size + 1, dtype=np.int64)
    w = np.empty((size, size))
    g = np.empty(size + 1)
    history = np.empty(size + h)
    for i in range(first, last):
        order = p[i]
        count = whiten(phi[i], order, work, parcor, rho, lags, w)
        if count <= 0:
            out[i] = 0.0
            continue
        u = history[: order + h]
        differenced(f[i], f_width[i], levels[i], path[i], order, mean[i, 0], mean[i, 1], u)
        g[: order + 1] = 0.0
        for k in range(h):
            for lag in range(order, 0, -1):
                g[lag] = g[lag - 1] + psi[i, k] * u[order - lag]
            acc = 0.0
            for j in range(k + 1):
                acc += psi[i, j] * u[order + k - j]
            g[0] = acc
            out[i, k] = squared_norm(w, g, lags, count) / n_used[i]
