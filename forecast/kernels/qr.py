"""Least squares by Householder reflections, one column after another."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, U8

# A column whose part outside the columns before it is below this share of its length is linear in
# them: 1e-10 is far above rounding (1e-16 sqrt(n)) and far below any regressor worth having.
COLLINEAR = 1e-10


@kernel
def reflect(x: F64, y: F64, n: int, kept: U8, rss: F64) -> int:
    r"""Factor the regression of y on the first, the first two, ... columns, all at once.

    Parameters
    ----------
    x
        (k, >= n) one regressor a row; destroyed: R is left in its leading rows.
    y
        (>= n,) destroyed: Q'y is left.
    n
        Rows of the regression.
    kept
        (k,) out: 0 where the column is linear in those before it, or no rows are left for it.
    rss
        (k + 1,) out: residual sum of squares with the first j columns, in a sum of squares that
        cannot turn negative (the tail of Q'y).

    Returns
    -------
    rank
        Number of columns kept.

    Notes
    -----
    O(n k^2). Source: Golub & Van Loan, Matrix Computations, 4th ed., 5.2.
    """
    k = x.shape[0]
    rank = 0
    for j in range(k):
        whole = 0.0
        for t in range(n):
            whole += x[j, t] * x[j, t]
        tail = 0.0
        for t in range(rank, n):
            tail += x[j, t] * x[j, t]
        kept[j] = 1 if rank < n and tail > COLLINEAR * COLLINEAR * whole and tail > 0.0 else 0
        if kept[j] == 1:
            _eliminate(x, y, n, j, rank, np.sqrt(tail))
            rank += 1
    _tail_sums(y, n, kept, rank, rss)
    return rank


@kernel
def _eliminate(x: F64, y: F64, n: int, j: int, r: int, norm: float) -> None:
    """Reflect column j onto axis r, and everything after it likewise."""
    alpha = -norm if x[j, r] >= 0 else norm
    v0 = x[j, r] - alpha
    beta = -1.0 / (alpha * v0)  # 2 / v'v
    for i in range(j + 1, x.shape[0]):
        _apply(x[j], x[i], n, r, v0, beta)
    _apply(x[j], y, n, r, v0, beta)
    x[j, r] = alpha


@kernel
def _apply(v: F64, target: F64, n: int, r: int, v0: float, beta: float) -> None:
    dot = v0 * target[r]
    for t in range(r + 1, n):
        dot += v[t] * target[t]
    dot *= beta
    target[r] -= dot * v0
    for t in range(r + 1, n):
        target[t] -= dot * v[t]


@kernel
def _tail_sums(y: F64, n: int, kept: U8, rank: int, rss: F64) -> None:
    total = 0.0
    for t in range(n - 1, rank - 1, -1):
        total += y[t] * y[t]
    r = rank
    for j in range(len(kept) - 1, -1, -1):
        rss[j + 1] = total
        if kept[j] == 1:
            r -= 1
            total += y[r] * y[r]
    rss[0] = total


@kernel
def solve(x: F64, y: F64, kept: U8, width: int, coef: F64) -> None:
    """Back-substitute for the first `width` columns; `coef` (k,) is 0 where a column was left out."""
    r = 0
    for j in range(width):
        r += kept[j]
    coef[:] = 0.0
    for j in range(width - 1, -1, -1):
        if kept[j] == 0:
            continue
        r -= 1
        total = y[r]
        for i in range(j + 1, width):
            total -= x[i, r] * coef[i]  # x[i, r] is R[r, i]; coef is 0 for dropped columns
        coef[j] = total / x[j, r]


@kernel
def unscaled_covariance(x: F64, kept: U8, width: int, cov: F64) -> None:
    """Write (X'X)^-1 of the first `width` columns to `cov`, with zeros where a column was left out."""
    inverse = np.zeros((width, width))
    unit = np.zeros(x.shape[0])
    column = np.empty(x.shape[0])
    r = 0
    for j in range(width):
        if kept[j] == 0:
            continue
        unit[r] = 1.0
        solve(x, unit, kept, width, column)
        unit[r] = 0.0
        for i in range(width):
            inverse[r, i] = column[i]
        r += 1
    for i in range(width):
        for j in range(width):
            total = 0.0
            for m in range(r):
                total += inverse[m, i] * inverse[m, j]
            cov[i, j] = total
