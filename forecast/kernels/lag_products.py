r"""Sums of lagged products, from which every AR estimator follows.

For a series x of T points all of them need sums :math:`\sum_u x_u x_{u-d}` over ranges of u that differ
at the two ends only. One pass gives the common core of the ranges, O(T m); running sums give the ends,
O(m^2). Ends are always added to the core, never taken away from a larger sum: an outlier at an end of
the series would cancel every digit.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64

# Lags in one pass over the series, three starts times four lags: fewer, and loads bound the speed; more, and
# the sums no longer fit the registers.
LAG_TILE = 12

# A centred series whose root mean square is below this many units in the last place of its mean is constant.
CONSTANT_ULPS = 8.0 * 2.220446049250313e-16


@kernel
def padding(max_lags: int) -> int:
    """Zeros to keep on either side of a series, so that a lag may reach over its ends."""
    return (max_lags // LAG_TILE + 2) * LAG_TILE


@kernel
def longest(indptr: I64, first: int, last: int) -> int:
    """Length of the longest series among some rows."""
    most = 0
    for row in range(first, last):
        most = max(most, indptr[row + 1] - indptr[row])
    return most


@kernel
def total(x: F64) -> float:
    """Sum of a vector."""
    acc = 0.0
    for i in range(x.shape[0]):
        acc += x[i]
    return acc


@kernel
def dot(x: F64, y: F64) -> float:
    """Inner product of two vectors of one length."""
    acc = 0.0
    for i in range(x.shape[0]):
        acc += x[i] * y[i]
    return acc


@kernel
def centre(y: F64, const: int, x: F64) -> float:
    """Write y less its mean (less 0 without `const`) to `x`, return the mean.

    The mean of what remains is taken off again: it is not small where the mean is large.
    """
    t = y.shape[0]
    if const == 0:
        for i in range(t):
            x[i] = y[i]
        return 0.0
    mean = total(y) / t
    for i in range(t):
        x[i] = y[i] - mean
    rest = total(x) / t
    for i in range(t):
        x[i] -= rest
    return float(mean + rest)


@kernel
def is_constant(sum_of_squares: float, mean: float, t: int) -> bool:
    """Tell whether nothing but rounding is left of a centred series."""
    return not sum_of_squares > t * (CONSTANT_ULPS * mean) * (CONSTANT_ULPS * mean)


@kernel
def lag_product(padded: F64, begin: int, end: int, d: int) -> float:
    """Sum over u = begin..end-1 of ``padded[u] * padded[u - d]``."""
    return dot(padded[begin:end], padded[begin - d : end - d])


@kernel
def lag_products(padded: F64, at: int, n: int, m: int, out: F64) -> None:
    """Write sum over u = at..at+n-1 of ``padded[u] * padded[u - d]`` for d = 0..m.

    Parameters
    ----------
    padded
        The series between zeros, see `padding`; ``at`` counts from its first zero.
    out
        (>= padding(m),)
    """
    out[0] = lag_product(padded, at, at + n, 0)
    for d in range(1, m + 1, LAG_TILE):
        _tile(padded, at, n, d, out[d : d + LAG_TILE])


@kernel
def _tile(padded: F64, at: int, n: int, d: int, out: F64) -> None:
    """Write the sums of lags d..d+11.

    Three starts times four lags make twelve sums from seven loads. The starts differ, so each sum lacks
    products at the ends, which are added after. Slices begin where the lag does: no index can be negative,
    and that is what lets the compiler vectorise along time.
    """
    k = n - 8
    if k <= 0:
        for j in range(LAG_TILE):
            out[j] = lag_product(padded, at, at + n, d + j)
        return
    x0, x1, x2 = padded[at : at + k], padded[at + 4 : at + 4 + k], padded[at + 8 : at + 8 + k]
    b = at - d
    y0, y1, y2, y3 = padded[b : b + k], padded[b - 1 :], padded[b - 2 :], padded[b - 3 :]
    a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    c0, c1, c2, c3 = 0.0, 0.0, 0.0, 0.0
    for i in range(k):
        u, v, w = x0[i], x1[i], x2[i]
        p, q, r, s = y0[i], y1[i], y2[i], y3[i]
        a0, a1, a2, a3 = a0 + u * p, a1 + u * q, a2 + u * r, a3 + u * s
        b0, b1, b2, b3 = b0 + v * p, b1 + v * q, b2 + v * r, b3 + v * s
        c0, c1, c2, c3 = c0 + w * p, c1 + w * q, c2 + w * r, c3 + w * s
    out[0], out[1], out[2], out[3] = a0, a1, a2, a3
    out[4], out[5], out[6], out[7] = b0, b1, b2, b3
    out[8], out[9], out[10], out[11] = c0, c1, c2, c3
    for j in range(LAG_TILE):
        start = j // 4 * 4
        out[j] += lag_product(padded, at, at + start, d + j)
        out[j] += lag_product(padded, at + k + start, at + n, d + j)


@kernel
def edge_products(padded: F64, at: int, step: int, m: int, out: F64) -> None:
    """Write running sums of ``padded[u] * padded[u - d]`` over u = at, at + step, ...

    ``out[r, d]`` is the sum of the first r terms; r = 0..m, d = 0..m.
    """
    for d in range(m + 1):
        out[0, d] = 0.0
    # One reversed copy: a loop that runs backwards through one array and forwards through another is slow.
    latest = at + max(step, 0) * (m - 1)
    newest_first = np.empty(2 * m + 1)
    for j in range(2 * m):
        newest_first[j] = padded[latest - j]
    for r in range(m):
        u = at + step * r
        v = padded[u]
        lagged = newest_first[latest - u :]
        before, after = out[r], out[r + 1]
        for d in range(m + 1):
            after[d] = before[d] + v * lagged[d]


@kernel
def edge_sums(padded: F64, at: int, step: int, m: int, out: F64) -> None:
    """Write running sums of ``padded[u]`` over u = at, at + step, ...; ``out[r]`` has r terms, r = 0..m."""
    out[0] = 0.0
    for r in range(m):
        out[r + 1] = out[r] + padded[at + step * r]
