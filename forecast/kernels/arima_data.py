"""From levels with gaps and regressors to the differenced columns of the likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_likelihood import Data
from forecast.types import F64, I64, Bool

# A regressor is left out when what the others leave of it is smaller than this share of it: least squares
# has lost all but a few digits of its coefficient there.
_COLLINEAR = 1e-8
# ... or than this share of its values before differencing.
_CONSTANT = 1e-12


class Regression(NamedTuple):
    """How the columns of the likelihood come from the regressors."""

    R: F64
    """(r, r) with Z = Q R: Q are the columns, Z the kept regressors; the upper half."""
    offset: F64
    """(r,) of Q, taken off the series."""
    used: Bool
    """(k,) regressors kept."""
    unit: float
    """Size of the series in the columns."""
    log_free: float
    """Log determinant of the first levels as functions of the free ones."""


@kernel
def fill(x: F64, hole: Bool) -> None:
    """Put straight lines over the gaps; any values are exact, near ones keep rounding small."""
    n, last = len(x), -1
    for t in range(n):
        if hole[t]:
            continue
        for k in range(last + 1, t):
            x[k] = x[t] if last < 0 else x[last] + (x[t] - x[last]) * ((k - last) / (t - last))
        last = t
    for k in range(last + 1, n):
        x[k] = x[last] if last >= 0 else 0.0


@kernel
def difference(x: F64, d: int, D: int, s: int) -> int:
    """Difference in place; return how many points are left, at the head."""
    n = len(x)
    for k in range(d + D):
        stride = 1 if k < d else s
        for t in range(n - stride):
            x[t] = x[t + stride] - x[t]
        n -= stride
    return max(n, 0)


@kernel
def difference_polynomial(d: int, D: int, s: int) -> F64:
    """Coefficients of (1 - L)^d (1 - L^s)^D."""
    out = np.zeros(d + s * D + 1)
    out[0] = 1.0
    size = 1
    for k in range(d + D):
        stride = 1 if k < d else s
        for j in range(size - 1, -1, -1):
            out[j + stride] -= out[j]
        size += stride
    return out


@kernel
def _log_free(delta: F64, hole: Bool) -> float:
    """Log |determinant| of the first observations that determine the free levels; NaN if none do."""
    k = len(delta) - 1
    first = False
    for t in range(min(k, len(hole))):
        first = first or hole[t]
    if not first and len(hole) >= k:
        return 0.0
    rows, basis, found, total = np.zeros((len(hole), k)), np.zeros((k, k)), 0, 0.0
    for t in range(len(hole)):
        for j in range(k):
            rows[t, j] = 1.0 if t == j else 0.0
            if t >= k:
                for i in range(1, k + 1):
                    rows[t, j] -= delta[i] * rows[t - i, j]
        if hole[t] or found == k:
            continue
        rest = rows[t].copy()
        for _ in range(2):
            for b in range(found):
                rest -= np.sum(basis[b] * rest) * basis[b]
        size = np.sqrt(np.sum(rest * rest))
        if size > 1e-9 * max(1.0, np.sqrt(np.sum(rows[t] * rows[t]))):
            basis[found] = rest / size
            found, total = found + 1, total + np.log(size)
    return total if found == k else np.nan


@large_kernel
def _orthogonalise(Z: F64, sizes: F64, n: int, w: F64, R: F64, offset: F64, used: Bool) -> int:
    """Replace columns of Z by orthonormal ones (times sqrt n), kept ones first, and regress w on them."""
    out_of_line()
    kept = 0
    for j in range(Z.shape[0]):
        size = np.sqrt(np.sum(Z[j, :n] * Z[j, :n]))
        if kept < R.shape[0]:
            R[:, kept] = 0.0
        for _ in range(2):
            for i in range(kept):
                c = np.sum(Z[i, :n] * Z[j, :n]) / n
                Z[j, :n] -= c * Z[i, :n]
                R[i, kept] += c
        rest = np.sqrt(np.sum(Z[j, :n] * Z[j, :n]))
        used[j] = rest > max(_COLLINEAR * size, _CONSTANT * sizes[j]) and rest > 0.0
        if used[j]:
            R[kept, kept] = rest / np.sqrt(n)
            Z[kept, :n] = Z[j, :n] * (np.sqrt(n) / rest)
            kept += 1
    for _ in range(2):
        for i in range(kept):
            c = np.sum(Z[i, :n] * w[:n]) / n
            w[:n] -= c * Z[i, :n]
            offset[i] += c
    return kept


@large_kernel
def prepare(y: F64, X: F64, d: int, D: int, s: int, pad: int) -> tuple[Data, Regression]:
    """Difference and scale one series.

    Parameters
    ----------
    y
        (t,) levels, NaN where missing; the first and last are observed.
    X
        (k, t) regressors; a point with one that is not finite counts as missing.
    pad
        Zeros in front of the columns.
    """
    out_of_line()
    t, k, lost = len(y), X.shape[0], d + s * D
    n = max(t - lost, 0)
    hole = np.isnan(y)
    for j in range(k):
        hole |= ~np.isfinite(X[j])
    w, Z, sizes = y.copy(), X.copy(), np.zeros(k)
    fill(w, hole)
    difference(w, d, D, s)
    for j in range(k):
        fill(Z[j], hole)
        sizes[j] = np.sqrt(np.sum(Z[j] * Z[j]))
        difference(Z[j], d, D, s)
    if lost == 0:
        for i in range(t):
            if hole[i]:
                w[i] = 0.0
                Z[:, i] = 0.0
    R, offset, used = np.zeros((k, k)), np.zeros(k), np.zeros(k, dtype=np.bool_)
    r = _orthogonalise(Z, sizes, n, w, R, offset, used)
    size = np.sqrt(np.sum(w[:n] * w[:n]) / max(n, 1))
    unit = size if size > 0.0 else 1.0
    if lost == 0:
        w[:n] = np.where(hole, 0.0, w[:n])
    delta = difference_polynomial(d, D, s)
    early, later = np.sum(hole[:lost]), np.sum(hole[lost:])
    columns, at = np.zeros((early + r + 1, pad + n)), 0
    for i in range(min(lost, t)):
        if hole[i]:
            for j in range(lost - i, min(lost, n - 1 + lost - i) + 1):
                columns[at, pad + i + j - lost] = delta[j]
            at += 1
    columns[early : early + r, pad:] = Z[:r, :n]
    columns[early + r, pad:] = w[:n] / unit
    holes = np.flatnonzero(hole[lost:]) if later > 0 else np.zeros(0, dtype=np.int64)
    data = Data(columns, n, early, holes, delta, t - early - later - lost)
    return data, Regression(R[:r, :r].copy(), offset[:r].copy(), used, unit, _log_free(delta, hole))
