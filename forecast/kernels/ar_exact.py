r"""AR(p) by exact Gaussian maximum likelihood, on series without gaps.

With a = (1, -phi), the likelihood needs the series only through sums of products:

.. math::
    \log L = -\tfrac n2 \left(\log\frac{2 \pi S}{n} + 1\right) + \tfrac12 \sum_i i \log(1 - k_i^2), \qquad
    S = a' D a - \frac{(a' B a)^2}{a' N a},

where D_ij is the sum of x_{u+i} x_{u+j}, B_ij that of x_{u+i} and N_ij = n - i - j the number of terms, over
u = 0..n-1-i-j. sigma2 = S / n is concentrated out, and so is the mean, (a'Ba) / (a'Na); k_i are the partial
autocorrelations. One evaluation with its gradient is O(p^2), whatever n.

Source: Box, Jenkins and Reinsel (1994), *Time Series Analysis*, appendix A7.4; Hamilton (1994), ch. 5.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.bfgs import descent, update_inverse
from forecast.kernels.burg import fast_burg, lattice_burg, step_up
from forecast.kernels.criteria import FIXED, LOG_2PI, blank_row, lag_cap, select_order
from forecast.kernels.lag_products import (
    centre,
    edge_products,
    edge_sums,
    is_constant,
    lag_products,
    longest,
    padding,
    total,
)
from forecast.types import F64, I64, U8

# Half the Newton decrement at which an optimum is taken, in units of log-likelihood: well below the 1e-6 that
# other implementations are compared at, well above the rounding of the likelihood (about 1e-12).
DECREMENT = 1e-11

# Optima that are not reached by then are ridges, where the likelihood no longer changes.
MAX_ITERATIONS = 100

# Start values keep this far from the unit circle: on it the likelihood is zero.
START_MARGIN = 1e-6

# Armijo's constant, and how often a step is cut to a third before it is given up: 3^-25 is below rounding.
SUFFICIENT, MAX_CUTS = 1e-4, 25


Sums: TypeAlias = tuple[F64, F64, F64, float]
Ends: TypeAlias = tuple[F64, F64, F64, F64, F64]
Scratch: TypeAlias = tuple[F64, F64, F64, F64, F64]


@kernel
def product_matrix(core: F64, head: F64, tail: F64, m: int, d: F64) -> None:
    """Write D, rows and columns 0..m, from the sums of `lag_products` and `edge_products`."""
    for i in range(m + 1):
        for j in range(i, m + 1):
            d[i, j] = core[j - i] + tail[m - i, j - i]
            d[i, j] += head[m - j, j - i]
            d[j, i] = d[i, j]


@kernel
def sum_of_squares(a: F64, p: int, n: int, const: int, sums: Sums, gradient: F64) -> tuple[float, float]:
    """Return S and the mean it is taken about, and write dS/da.

    Parameters
    ----------
    a
        (>= p + 1,) prediction error filter, a_0 = 1.
    n
        Length of the series.
    const
        1 to profile out the mean, 0 to keep it at zero.
    sums
        D (>= p + 1, >= p + 1); sums of the first i points, and of the last i points (>= p + 1,); sum of all.
    gradient
        (>= p + 1,) out.
    """
    d, head, tail, level = sums
    s, gain, moment, at_head, at_tail = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(p + 1):
        acc = 0.0
        for j in range(p + 1):
            acc += d[i, j] * a[j]
        gradient[i] = 2.0 * acc
        s += a[i] * acc
        gain += a[i]
        moment += i * a[i]
        at_head += a[i] * head[i]
        at_tail += a[i] * tail[i]
    if const == 0:
        return s, 0.0
    weight = gain * (n * gain - 2.0 * moment)
    if not weight > 0.0:
        return s, 0.0
    mean = gain * (level * gain - at_head - at_tail) / weight
    for i in range(p + 1):
        slope = gain * (2.0 * level - head[i] - tail[i]) - at_head - at_tail
        gradient[i] += mean * (mean * 2.0 * ((n - i) * gain - moment) - 2.0 * slope)
    return s - mean * mean * weight, mean


@kernel
def exact_loglik(
    kappa: F64, p: int, n: int, const: int, sums: Sums, filters: F64, slopes: F64
) -> tuple[float, float, float]:
    """Return log L, S and the mean at reflection coefficients, and write the gradient.

    Parameters
    ----------
    kappa
        (>= p + 1,) a_k of order k at k = 1..p, that is, the partial autocorrelations with the sign turned.
    sums
        See `sum_of_squares`.
    filters
        (>= p + 1, >= p + 2) out, prediction error filters of orders 0..p.
    slopes
        (3, >= p + 2), out: row 0 holds d log L / d atanh(kappa_k) at k = 1..p.
    """
    filters[0, 0] = 1.0
    determinant = 0.0
    for k in range(p):
        step_up(filters[k], kappa[k + 1], k, filters[k + 1])
        determinant += (k + 1) * np.log(1.0 - kappa[k + 1] * kappa[k + 1])
    back, ahead = slopes[1], slopes[2]
    s, mean = sum_of_squares(filters[p], p, n, const, sums, back)
    if not s > 0.0:
        return -np.inf, s, mean
    # Reverse of the step-up: back holds dS / d a^(k).
    for k in range(p, 0, -1):
        a, ratio = filters[k - 1], kappa[k]
        slope = back[k]
        for i in range(1, k):
            slope += back[i] * a[k - i]
            ahead[i] = back[i] + ratio * back[k - i]
        for i in range(1, k):
            back[i] = ahead[i]
        slopes[0, k] = -0.5 * n * slope / s * (1.0 - ratio * ratio) - k * ratio
    return -0.5 * n * (LOG_2PI + np.log(s / n) + 1.0) + 0.5 * determinant, s, mean


@kernel
def _first_inverse(kappa: F64, p: int, n: int, hessian: F64) -> None:
    """Write the inverse Hessian of independent partial autocorrelations, 1 / (n (1 - k^2) + i)."""
    for i in range(p):
        for j in range(p):
            hessian[i, j] = 0.0
        hessian[i, i] = 1.0 / (n * (1.0 - kappa[i + 1] ** 2) + i + 1.0)


@kernel
def maximise(
    kappa: F64,
    p: int,
    n: int,
    const: int,
    sums: Sums,
    filters: F64,
    slopes: F64,
    hessian: F64,
    work: F64,
) -> tuple[float, float, float]:
    """Climb from `kappa`, in place, to the optimum; return log L, S and the mean there.

    `hessian` (p, p) and `work` (5, >= p + 2) are scratch. The coordinates are atanh(kappa), so that every
    point is stationary.
    """
    theta, gradient, step, change, spare = work[0], work[1], work[2], work[3], work[4]
    best = exact_loglik(kappa, p, n, const, sums, filters, slopes)
    _first_inverse(kappa, p, n, hessian)
    for i in range(p):
        theta[i], gradient[i] = np.arctanh(kappa[i + 1]), -slopes[0, i + 1]
    for _ in range(MAX_ITERATIONS):
        promised = descent(hessian, gradient, p, step)
        if not promised > 2.0 * DECREMENT:
            break
        share, found = 1.0, best
        for _ in range(MAX_CUTS):
            for i in range(p):
                kappa[i + 1] = np.tanh(theta[i] + share * step[i])
            found = exact_loglik(kappa, p, n, const, sums, filters, slopes)
            if found[0] >= best[0] + SUFFICIENT * share * promised:
                break
            share /= 3.0
        if not found[0] > best[0]:
            break
        best = found
        for i in range(p):
            step[i] *= share
            theta[i] += step[i]
            change[i] = -slopes[0, i + 1] - gradient[i]
            gradient[i] = -slopes[0, i + 1]
        update_inverse(hessian, step, change, p, spare)
    for i in range(p):
        kappa[i + 1] = np.tanh(theta[i])
    return exact_loglik(kappa, p, n, const, sums, filters, slopes)


@kernel
def _clip(kappa: F64, m: int) -> None:
    for k in range(1, m + 1):
        kappa[k] = min(max(kappa[k], START_MARGIN - 1.0), 1.0 - START_MARGIN)


@kernel
def _likelier_start(
    burg: F64, k: int, n: int, const: int, sums: Sums, kappa: F64, filters: F64, slopes: F64
) -> None:
    """Move `kappa` from the optimum of order k - 1 to where the climb at order k begins."""
    kappa[k] = burg[k]
    nested = exact_loglik(kappa, k, n, const, sums, filters, slopes)[0]
    if not nested > exact_loglik(burg, k, n, const, sums, filters, slopes)[0]:
        for i in range(k + 1):
            kappa[i] = burg[i]


@kernel
def _all_orders(
    burg: F64,
    m: int,
    n: int,
    const: int,
    criterion: int,
    sums: Sums,
    chosen: F64,
    logliks: F64,
    scratch: Scratch,
) -> None:
    """Write the optima of orders 0..m, one a row, and their log-likelihoods; a fixed order is tried alone."""
    kappa, filters, slopes, hessian, work = scratch
    for k in range(m + 1):
        logliks[k] = np.nan
        if criterion == FIXED and k < m:
            continue
        _likelier_start(burg, k, n, const, sums, kappa, filters, slopes)
        logliks[k] = maximise(kappa, k, n, const, sums, filters, slopes, hessian, work)[0]
        for i in range(k + 1):
            chosen[k, i] = kappa[i]


@kernel
def _scratch(size: int) -> Scratch:
    """Allocate kappa, filters, slopes, the Hessian and the work of `maximise`."""
    square = np.zeros((size, size))
    return np.zeros(size), square, np.empty((3, size)), np.empty((size, size)), np.empty((5, size))


@kernel
def _products(padded: F64, at: int, t: int, m: int, ends: Ends, products: F64) -> Sums:
    """Return what `sum_of_squares` asks of a series of `t` points that begins at `at`."""
    core, head, tail, head_sums, tail_sums = ends
    lag_products(padded, at + m, t - 2 * m, m, core)
    edge_products(padded, at + m - 1, -1, m, head)
    edge_products(padded, at + t - m, 1, m, tail)
    product_matrix(core, head, tail, m, products)
    edge_sums(padded, at, 1, m, head_sums)
    edge_sums(padded, at + t - 1, -1, m, tail_sums)
    return products, head_sums, tail_sums, total(padded[at : at + t])


@kernel
def _burg(x: F64, c: F64, m: int, filters: F64, kappa: F64, work: F64) -> None:
    """Write Burg's reflection coefficients, kept off the unit circle."""
    if not fast_burg(x, c, m, filters, kappa, work):
        lattice_burg(x, m, filters, kappa)
    _clip(kappa, m)


@kernel
def _write(
    row: int,
    kappa: F64,
    p: int,
    n: int,
    const: int,
    sums: Sums,
    scratch: Scratch,
    phi: F64,
    mean: F64,
    sigma2: F64,
    loglik: F64,
) -> bool:
    """Write the model at an optimum, False if it is none; `mean` holds what the series was centred by."""
    filters = scratch[1]
    value, s, level = exact_loglik(kappa, p, n, const, sums, filters, scratch[2])
    for i in range(p):
        phi[row, i] = -filters[p, i + 1]
    loglik[row], sigma2[row] = value, s / n
    mean[row] += level
    return bool(np.isfinite(value))


@kernel
def fit_exact(
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
    """Fit AR(p) by exact maximum likelihood to series ``first..last-1``.

    Parameters are those of `burg.fit_burg`, with `loglik` the exact one, at the optimum, `sigma2` S / n and
    `mean` the estimate by generalised least squares; with a fixed order `ic` has no other. Each order starts
    from Burg's partial autocorrelations or from the optimum of the order below with Burg's last one,
    whichever is likelier.
    """
    pad = padding(max_lags)
    size = max_lags + 2
    padded = np.zeros(2 * pad + longest(indptr, first, last))
    head, tail, products = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
    ends = (np.empty(max_lags + pad), head, tail, np.empty(size), np.empty(size))
    scratch = _scratch(size)
    burg, chosen, logliks = np.zeros(size), np.zeros((size, size)), np.empty(size)
    for row in range(first, last):
        y = values[indptr[row] : indptr[row + 1]]
        t = y.shape[0]
        blank_row(row, phi, mean, sigma2, order, ic, loglik, ok)
        m = lag_cap(t, max_lags, const)
        if m < 0:
            continue
        x = padded[pad : pad + t]
        mean[row] = centre(y, const, x)
        sums = _products(padded, pad, t, m, ends, products)
        if is_constant(products[0, 0], mean[row], t):
            continue
        _burg(x, products[0], m, scratch[1], burg, scratch[4])
        _all_orders(burg, m, t, const, criterion, sums, chosen, logliks, scratch)
        best = select_order(logliks, m, t, const, criterion, ic[row])
        order[row] = best
        ok[row] = _write(row, chosen[best], best, t, const, sums, scratch, phi, mean, sigma2, loglik)
