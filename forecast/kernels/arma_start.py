"""Starting points of the search: Hannan-Rissanen, and a few plain ones.

Source: Hannan and Rissanen (1982), "Recursive estimation of mixed autoregressive-moving average order",
Biometrika 69, steps one and two. The seasonal factors are regressed beside the others, without the cross
terms of their product: near enough for a start.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_polynomial import Shape
from forecast.types import F64, I64

# A start nearer than this to the unit circle would begin on a plateau.
_LARGEST = 0.9
# Lags of the long autoregression beyond the longest of the model.
_MORE = 8
# Added to the diagonal of the regression, as a share of it: lags of a smooth series are nearly collinear.
_RIDGE = 1e-6


@kernel
def _long_ar(w: F64, order: int, phi: F64) -> None:
    """Yule-Walker coefficients 0..order - 1 by Levinson's recursion."""
    n = len(w)
    r, old = np.zeros(order + 1), np.zeros(order)
    for lag in range(order + 1):
        acc = 0.0
        for t in range(lag, n):
            acc += w[t] * w[t - lag]
        r[lag] = acc
    rest = r[0]
    for k in range(order):
        if not rest > 0.0:
            return
        acc = r[k + 1]
        for j in range(k):
            acc -= phi[j] * r[k - j]
        c = acc / rest
        for j in range(k):
            old[j] = phi[j]
        for j in range(k):
            phi[j] = old[j] - c * old[k - 1 - j]
        phi[k] = c
        rest *= 1.0 - c * c


@kernel
def parcor_of(c: F64, order: int) -> None:
    """Replace the coefficients of 1 - sum c_i L^i by partial autocorrelations, pulled inside the circle."""
    old = np.empty(max(order, 1))
    for r in range(order, 0, -1):
        k = min(max(c[r - 1], -_LARGEST), _LARGEST)
        for j in range(r):
            old[j] = c[j]
        c[r - 1] = k
        for j in range(r - 1):
            c[j] = (old[j] + k * old[r - 2 - j]) / (1.0 - k * k)


@kernel
def _regress(columns: F64, y: F64, beta: F64) -> bool:
    """Least squares of y (t,) on the rows of `columns` (k, t), with a ridge; False where it has none."""
    k, n = columns.shape
    L, x = np.zeros((k, k)), np.zeros(k)
    for i in range(k):
        for j in range(i + 1):
            acc = 0.0
            for t in range(n):
                acc += columns[i, t] * columns[j, t]
            L[i, j] = acc
        acc = 0.0
        for t in range(n):
            acc += columns[i, t] * y[t]
        x[i] = acc
    for i in range(k):
        for j in range(i + 1):
            acc = L[i, j] * (1.0 + _RIDGE if i == j else 1.0)
            for m in range(j):
                acc -= L[i, m] * L[j, m]
            if i == j and not acc > 0.0:
                return False
            L[i, j] = np.sqrt(acc) if i == j else acc / L[j, j]
    for i in range(k):
        acc = x[i]
        for j in range(i):
            acc -= L[i, j] * x[j]
        x[i] = acc / L[i, i]
    for i in range(k - 1, -1, -1):
        acc = x[i]
        for j in range(i + 1, k):
            acc -= L[j, i] * beta[j]
        beta[i] = acc / L[i, i]
    return True


@large_kernel
def hannan_rissanen(shape: Shape, w: F64, out: F64) -> bool:
    """Write partial autocorrelations of the four factors; False where the series is too short.

    Parameters
    ----------
    w
        (n,) differenced series, regressors taken off, zero where missing.
    out
        (p + q + P + Q,) of phi, -theta, Phi, -Theta.
    """
    out_of_line()
    p, q, P, Q, s = shape.p, shape.q, shape.P, shape.Q, shape.s
    n, longest = len(w), max(shape.ar_degree, shape.ma_degree)
    order = min(longest + _MORE, n // 3) if q + Q > 0 else 0
    begin = order + max(shape.ma_degree, shape.ar_degree - order)
    k = p + q + P + Q
    if n - begin < 2 * k + 5 or (q + Q > 0 and order < 1):
        return False
    e = np.zeros(n)
    if order > 0:
        phi = np.zeros(order)
        _long_ar(w, order, phi)
        e[order:] = w[order:]
        for j in range(order):  # a lag at a time: along the series the additions vectorise
            for t in range(order, n):
                e[t] -= phi[j] * w[t - 1 - j]
    lags, columns = _lags(shape), np.empty((k, n - begin))
    for i in range(k):
        ar = i < p or p + q <= i < p + q + P
        for t in range(begin, n):
            columns[i, t - begin] = w[t - lags[i]] if ar else -e[t - lags[i]]
    if not _regress(columns, w[begin:], out):
        return False
    at = 0
    for size in (p, q, P, Q):
        parcor_of(out[at : at + size], size)
        at += size
    return s > 0


@kernel
def _lags(shape: Shape) -> I64:
    """Lag of every coefficient."""
    p, q, P = shape.p, shape.q, shape.P
    lags = np.empty(shape.n_arma, dtype=np.int64)
    for i in range(shape.n_arma):
        if i < p + q:
            lags[i] = i + 1 if i < p else i - p + 1
        else:
            lags[i] = shape.s * (i - p - q + 1 if i < p + q + P else i - p - q - P + 1)
    return lags


# First partial autocorrelations of phi, -theta, Phi and -Theta, all others zero: slow, fast, and what
# differencing one time too many leaves.
_PLAIN = np.array([[0.0, 0.0, 0.0, 0.0], [0.8, 0.0, 0.5, 0.3], [0.8, 0.5, 0.7, 0.6], [-0.5, 0.0, 0.0, 0.5],
                   [0.3, 0.7, 0.0, 0.7], [0.0, -0.5, 0.3, 0.0], [0.95, 0.3, 0.9, 0.5]])  # fmt: skip


@kernel
def plain_starts(shape: Shape, out: F64) -> int:
    """Write partial autocorrelations of some models to rows of `out`; return how many."""
    firsts = (0, shape.p, shape.p + shape.q, shape.p + shape.q + shape.P)
    sizes = (shape.p, shape.q, shape.P, shape.Q)
    for row in range(_PLAIN.shape[0]):
        out[row, :] = 0.0
        for j in range(4):
            if sizes[j] > 0:
                out[row, firsts[j]] = _PLAIN[row, j]
    return len(_PLAIN)
