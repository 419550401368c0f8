"""Starting points of the search: Hannan-Rissanen, a few plain ones, and those next to cancellation.

Source: Hannan and Rissanen (1982), "Recursive estimation of mixed autoregressive-moving average order",
Biometrika 69, steps one and two. The seasonal factors are regressed beside the others, without the cross
terms of their product: near enough for a start.

Where both sides have a factor, the likelihood has ridges along which a root of one side nearly cancels a
root of the other, most often near 1 and -1, and with maxima of their own. A model of one order less on both
sides with such a pair of roots put back is a start on each.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_polynomial import Shape
from forecast.types import F64, I64

# A start nearer than this to the unit circle would begin on a plateau.
_LARGEST = 0.9
# ... but for those with a pair of roots there.
_NEAREST = 0.9999
# Lags of the long autoregression beyond the longest of the model.
_MORE = 8
# Added to the diagonal of the regression, as a share of it: lags of a smooth series are nearly collinear.
_RIDGE = 1e-6

# First partial autocorrelations of phi, -theta, Phi and -Theta, all others zero: slow, fast, and what
# differencing one time too many leaves.
_PLAIN = np.array([[0.0, 0.0, 0.0, 0.0], [0.8, 0.0, 0.5, 0.3], [0.8, 0.5, 0.7, 0.6], [-0.5, 0.0, 0.0, 0.5],
                   [0.3, 0.7, 0.0, 0.7], [0.0, -0.5, 0.3, 0.0], [0.95, 0.3, 0.9, 0.5]])  # fmt: skip
# Sizes of a root of the AR side and of one of the MA side that nearly cancel.
_REAL = np.array([[0.97, 0.85], [0.85, 0.97], [0.99, 0.95], [0.95, 0.99],
                  [0.95, 0.7], [0.7, 0.95], [0.9, 0.6], [0.6, 0.9]])  # fmt: skip
_COMPLEX = np.array([[0.95, 0.91], [0.91, 0.95]])
# Angles of complex roots between 0 and pi, ends left out.
_ANGLES = 32
FAMILIES = 6
"""Groups of starts next to cancellation: near 1 and -1, the same in the season, complex peaks and troughs."""
MOST = len(_PLAIN) + 1 + 4 * len(_REAL) + len(_COMPLEX) * _ANGLES
"""Most starts there are."""


@kernel
def long_order(shape: Shape, n: int) -> int:
    """Order of the long autoregression."""
    return min(max(shape.ar_degree, shape.ma_degree) + _MORE, n // 3)


@kernel
def long_ar(w: F64, order: int, phi: F64) -> None:
    """Add Yule-Walker coefficients 0..order - 1 to zeros by Levinson's recursion."""
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
def parcor_of(c: F64, order: int, largest: float) -> None:
    """Replace the coefficients of 1 - sum c_i L^i by partial autocorrelations, pulled inside the circle."""
    old = np.empty(max(order, 1))
    for r in range(order, 0, -1):
        k = min(max(c[r - 1], -largest), largest)
        for j in range(r):
            old[j] = c[j]
        c[r - 1] = k
        for j in range(r - 1):
            c[j] = (old[j] + k * old[r - 2 - j]) / (1.0 - k * k)


@kernel
def _to_coefficients(c: F64, order: int) -> None:
    """Replace partial autocorrelations by the coefficients of 1 - sum c_i L^i."""
    old = np.empty(max(order, 1))
    for r in range(order):
        for j in range(r):
            old[j] = c[j]
        for j in range(r):
            c[j] = old[j] - c[r] * old[r - 1 - j]


@kernel
def _put_back(c: F64, order: int, lost: int, root: float, angle: float) -> None:
    """Multiply 1 - sum c_i L^i by the factor of `lost` roots of this size, from partial autocorrelations.

    The factor is 1 - root L, or that of a complex pair: 1 - 2 root cos(angle) L + root^2 L^2.
    """
    first = root if lost == 1 else 2.0 * root * np.cos(angle)
    second = 0.0 if lost == 1 else -root * root
    _to_coefficients(c, order - lost)
    c[order - lost : order] = 0.0
    for j in range(order - 1, -1, -1):
        c[j] -= (first * c[j - 1] if j > 0 else 0.0) + (second * c[j - 2] if j > 1 else 0.0)
    c[0] += first
    if lost == 2:
        c[1] += second
    parcor_of(c, order, _NEAREST)


@large_kernel
def _gram(shape: Shape, w: F64, G: F64, x: F64) -> bool:
    """Write the normal equations of w on its lags and those of the errors of a long autoregression."""
    out_of_line()
    p, q, P, Q = shape.p, shape.q, shape.P, shape.Q
    n = len(w)
    order = long_order(shape, n) if q + Q > 0 else 0
    begin = order + max(shape.ma_degree, shape.ar_degree - order)
    k = p + q + P + Q
    if n - begin < 2 * k + 5 or (q + Q > 0 and order < 1):
        return False
    e = np.zeros(n)
    if order > 0:
        phi = np.zeros(order)
        long_ar(w, order, phi)
        e[order:] = -w[order:]  # of minus theta
        for j in range(order):  # a lag at a time: along the series the additions vectorise
            for t in range(order, n):
                e[t] += phi[j] * w[t - 1 - j]
    lags = _lags(shape)
    for i in range(k):
        left = w if i < p or p + q <= i < p + q + P else e
        for j in range(i + 1):
            right = w if j < p or p + q <= j < p + q + P else e
            acc = 0.0
            for t in range(begin, n):
                acc += left[t - lags[i]] * right[t - lags[j]]
            G[i, j] = acc
        acc = 0.0
        for t in range(begin, n):
            acc += left[t - lags[i]] * w[t]
        x[i] = acc
    return True


@kernel
def _solve(G: F64, x: F64, free: I64, L: F64, beta: F64) -> bool:
    """Write least squares of the free coefficients, zero for the others, with a ridge."""
    k = len(x)
    for i in range(k):
        for j in range(i + 1):
            acc = G[i, j] * (1.0 + _RIDGE if i == j else 1.0)
            if free[i] == 0 or free[j] == 0:
                acc = 1.0 if i == j else 0.0
            for m in range(j):
                acc -= L[i, m] * L[j, m]
            if i == j and not acc > 0.0:
                return False
            L[i, j] = np.sqrt(acc) if i == j else acc / L[j, j]
    for i in range(k):
        acc = x[i] if free[i] == 1 else 0.0
        for j in range(i):
            acc -= L[i, j] * beta[j]
        beta[i] = acc / L[i, i]
    for i in range(k - 1, -1, -1):
        acc = beta[i]
        for j in range(i + 1, k):
            acc -= L[j, i] * beta[j]
        beta[i] = acc / L[i, i]
    return True


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


@kernel
def _regressed(shape: Shape, G: F64, x: F64, free: I64, out: F64) -> None:
    """Write partial autocorrelations by least squares of the free coefficients; zeros where it fails."""
    k, first = shape.n_arma, 0
    L = np.zeros((k, k))
    if not _solve(G, x, free, L, out):
        out[:] = 0.0
    for j in range(4):
        size = (shape.p, shape.q, shape.P, shape.Q)[j]
        parcor_of(out[first : first + size], size, _LARGEST)
        first += size


@large_kernel
def _families(
    shape: Shape, G: F64, x: F64, ar: int, ma: int, sizes: tuple[int, int], lost: int, out: F64
) -> int:
    """Write starts with `lost` roots put back into the factors that begin at `ar` and `ma`; count them."""
    out_of_line()
    p, q = sizes
    free = np.ones(shape.n_arma, dtype=np.int64)
    for j in range(lost):
        free[ar + p - 1 - j], free[ma + q - 1 - j] = 0, 0
    _regressed(shape, G, x, free, out[0])
    pairs = _REAL if lost == 1 else _COMPLEX
    each = 2 if lost == 1 else _ANGLES
    for row in range(len(pairs) * each - 1, -1, -1):
        out[row, :] = out[0]
        # Near 1 and then near -1; or all angles of one pair of sizes, then those of the other.
        which, angle = (
            (row % len(pairs), 0.0) if lost == 1 else (row // each, np.pi * (row % each + 0.5) / each)
        )
        sign = -1.0 if lost == 1 and row >= len(pairs) else 1.0
        _put_back(out[row, ar : ar + p], p, lost, sign * pairs[which, 0], angle)
        _put_back(out[row, ma : ma + q], q, lost, sign * pairs[which, 1], angle)
    return len(pairs) * each


@large_kernel
def _plain(shape: Shape, G: F64, x: F64, out: F64) -> int:
    """Write starts of any kind; return how many."""
    out_of_line()
    at = 0
    for j in range(4):
        size = (shape.p, shape.q, shape.P, shape.Q)[j]
        for row in range(len(_PLAIN)):
            if size > 0:
                out[row, at] = _PLAIN[row, j]
        at += size
    _regressed(shape, G, x, np.ones(shape.n_arma, dtype=np.int64), out[len(_PLAIN)])
    return len(_PLAIN) + 1


@large_kernel
def starting_points(shape: Shape, w: F64, thorough: bool, out: F64, family: I64) -> int:
    """Write partial autocorrelations of some models to rows of `out`; return how many.

    Parameters
    ----------
    w
        (n,) differenced series, regressors taken off, zero where missing.
    thorough
        Whether to write those next to cancellation, too.
    out
        (>= MOST, p + q + P + Q) of phi, -theta, Phi, -Theta.
    family
        (>= MOST,) out: 0 for starts of any kind, 1..FAMILIES for those next to cancellation.
    """
    out_of_line()
    p, q, P, Q, k = shape.p, shape.q, shape.P, shape.Q, shape.n_arma
    out[:] = 0.0
    family[:] = 0
    G, x = np.zeros((k, k)), np.zeros(k)
    _gram(shape, w, G, x)
    count = _plain(shape, G, x, out)
    for kind in range(3 if thorough else 0):
        ar, ma, lost = (p + q, p + q + P, 1) if kind == 1 else (0, p, 1 + kind // 2)
        sizes = (P, Q) if kind == 1 else (p, q)
        if min(sizes) < lost:
            continue
        more = _families(shape, G, x, ar, ma, sizes, lost, out[count:])
        for row in range(more):
            family[count + row] = 1 + 2 * kind + row // (more // 2)
        count += more
    return count
