"""Least squares by orthogonal columns: what small regressions with a growing set of regressors need."""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.types import F64

# Part of a column, relative to its length, below which it lies in the span of the columns before it.
# Smaller would take rounding (n eps, 1e-13 for 500 rows) for information; larger would lose a
# regressor that is nearly, but not exactly, a sum of others.
IN_SPAN = 1e-11


@kernel
def inner(a: F64, b: F64, n: int) -> float:
    """Return the inner product of the first `n` entries."""
    acc = 0.0
    for i in range(n):
        acc += a[i] * b[i]
    return acc


@kernel
def remove(q: F64, y: F64, n: int) -> float:
    """Take from `y` its part along the unit vector `q`, in place; return the length of that part, signed."""
    along = inner(q, y, n)
    for i in range(n):
        y[i] -= along * q[i]
    return along


@kernel
def orthonormalise(columns: F64, k: int, n: int) -> bool:
    """Make column `k` a unit vector orthogonal to columns 0..k-1; False (and 0) when it lies in their span.

    Parameters
    ----------
    columns
        (K, rows) the columns, one a row of the array; the first `k` are orthonormal or zero.
        Column `k` is overwritten.

    Notes
    -----
    Gram-Schmidt, twice: orthogonal to rounding whatever the condition (Giraud et al. 2005,
    *Numerische Mathematik* 101, 87-100). O(k n).
    """
    column = columns[k]
    before = inner(column, column, n) ** 0.5
    for _ in range(2):
        for j in range(k):
            remove(columns[j], column, n)
    after = inner(column, column, n) ** 0.5
    inside = not after > IN_SPAN * before
    scale = 0.0 if inside else 1.0 / after
    for i in range(n):
        column[i] *= scale
    return not inside
