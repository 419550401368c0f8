r"""Innovations at the end of a series, from the buffers of its last likelihood.

Given all data the presample sums x have mean :math:`L'^{-1}(c - R'^{-1} d)` and covariance
:math:`\sigma^2 L'^{-1}(I - (RR')^{-1})L^{-1}` in the letters of `arma_likelihood`; the innovations are
:math:`e_0 - H x`. Where h has died away they are known exactly.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Data, Places, pad_of
from forecast.kernels.arma_polynomial import Shape
from forecast.types import F64

# Variances below this share of sigma2 count as none, as in `companion_filter`.
_KNOWN = 1e-15


@kernel
def _solve_down(work: F64, L: int, inverse: int, m: int, x: F64) -> None:
    """Solve L x = x in place, in lane 0."""
    for i in range(m):
        acc = x[i]
        for j in range(i):
            acc -= work[L + i * m + j, 0] * x[j]
        x[i] = acc * work[inverse + i, 0]


@kernel
def _solve_up(work: F64, L: int, inverse: int, m: int, x: F64) -> None:
    """Solve L' x = x in place, in lane 0."""
    for i in range(m - 1, -1, -1):
        acc = x[i]
        for j in range(i + 1, m):
            acc -= work[L + j * m + i, 0] * x[j]
        x[i] = acc * work[inverse + i, 0]


@large_kernel
def _presample_mean(data: Data, work: F64, at: Places, m: int, slopes: F64, c: F64) -> None:
    """Write the mean of x given the data to `c`."""
    out_of_line()
    r, last = len(slopes), data.columns.shape[0] - 1
    d = np.zeros(m)
    for i in range(m):
        c[i], d[i] = work[at.c + last * m + i, 0], work[at.d + last * m + i, 0]
        for j in range(r):
            c[i] -= slopes[j] * work[at.c + (last - r + j) * m + i, 0]
            d[i] -= slopes[j] * work[at.d + (last - r + j) * m + i, 0]
    _solve_up(work, at.B, at.inverse_B, m, d)
    for i in range(m):
        c[i] -= d[i]
    _solve_up(work, at.M, at.inverse, m, c)


@large_kernel
def _spread(work: F64, at: Places, m: int, H: F64, sigma2: float, cov: F64) -> bool:
    """Write the covariance of H x; False, and nothing, where it counts as none."""
    out_of_line()
    q, largest = len(H), 0.0
    rest = np.zeros((q, m))
    for i in range(q):
        _solve_down(work, at.M, at.inverse, m, H[i])
        for j in range(m):
            rest[i, j] = H[i, j]
        _solve_down(work, at.B, at.inverse_B, m, rest[i])
        acc = 0.0
        for j in range(m):
            acc += H[i, j] * H[i, j] - rest[i, j] * rest[i, j]
        largest = max(largest, acc)
    if largest <= _KNOWN:
        return False
    for i in range(q):
        for j in range(i + 1):
            acc = 0.0
            for k in range(m):
                acc += H[i, k] * H[j, k] - rest[i, k] * rest[j, k]
            cov[i, j], cov[j, i] = sigma2 * acc, sigma2 * acc
    return True


@large_kernel
def end_innovations(
    shape: Shape, data: Data, work: F64, at: Places, slopes: F64, unit: float, sigma2: float, e: F64, cov: F64
) -> int:
    """Mean and covariance of the last innovations of a series without gaps, newest first.

    Parameters
    ----------
    slopes
        (r,) of the regressors in `data`.
    e, cov
        Out: (q + s Q,) and its square, units of the series.

    Returns
    -------
    int
        0: not written, the series is shorter than the MA part; 1: known exactly, `cov` not written; 2.
    """
    out_of_line()
    n, pad, q = data.n, pad_of(shape), shape.ma_degree
    m, r, last = min(max(shape.ar_degree, q), n), len(slopes), data.columns.shape[0] - 1
    if n < q or len(data.holes) + data.n_flat > 0:
        return 0
    x, H, tail = np.zeros(m), np.zeros((q, m)), 0.0
    _presample_mean(data, work, at, m, slopes, x)
    for i in range(q):
        t = n - 1 - i
        acc = work[at.e + last * at.rows + pad + t, 0]
        for j in range(r):
            acc -= slopes[j] * work[at.e + (last - r + j) * at.rows + pad + t, 0]
        for k in range(min(m, t + 1)):
            H[i, k] = work[at.h + pad + t - k, 0]
            acc -= H[i, k] * x[k]
            tail = max(tail, abs(H[i, k]))
        e[i] = unit * acc
    if tail == 0.0:
        return 1
    return 2 if _spread(work, at, m, H, sigma2, cov) else 1
