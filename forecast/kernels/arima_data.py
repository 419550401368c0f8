"""From levels with gaps and regressors to the differenced columns of the likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Data
from forecast.types import F64, I64, Bool

# A regressor is left out when what the others leave of it is smaller than this share of it: least squares
# has lost all but a few digits of its coefficient there.
_COLLINEAR = 1e-8
# ... or than this share of its values before differencing.
_CONSTANT = 1e-12


class Regression(NamedTuple):
    """How the columns of the likelihood come from the regressors."""

    R: F64
    """(>= r, >= r) with Z = Q R: Q are the columns, Z the kept regressors; the upper half."""
    offset: F64
    """(>= r,) of Q, taken off the series."""
    used: Bool
    """(k,) regressors kept."""
    r: int
    """How many are kept."""
    unit: float
    """Size of the series in the columns."""
    log_free: float
    """Log determinant of the first levels as functions of the free ones."""


@kernel
def product(x: F64, y: F64, n: int) -> float:
    """Inner product of the first n."""
    acc = 0.0
    for t in range(n):
        acc += x[t] * y[t]
    return acc


@kernel
def add_to(x: F64, c: float, y: F64, n: int) -> None:
    """Add c y to x, the first n of both."""
    for t in range(n):
        x[t] += c * y[t]


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
    rows, basis, found, total = np.zeros((len(hole), k)), np.zeros((k + 1, k)), 0, 0.0
    for t in range(len(hole)):
        for j in range(k):
            rows[t, j] = 1.0 if t == j else 0.0
            if t >= k:
                for i in range(1, k + 1):
                    rows[t, j] -= delta[i] * rows[t - i, j]
        if hole[t] or found == k:
            continue
        whole = np.sqrt(product(rows[t], rows[t], k))
        rest = basis[found]
        add_to(rest, 1.0, rows[t], k)
        for i in range(2 * found):
            add_to(rest, -product(basis[i % found], rest, k), basis[i % found], k)
        size = np.sqrt(product(rest, rest, k))
        if size > 1e-9 * max(1.0, whole):
            found, total = found + 1, total + np.log(size)
        for j in range(k):
            rest[j] = rest[j] / size if size > 1e-9 * max(1.0, whole) else 0.0
    return total if found == k else np.nan


@large_kernel
def _orthogonalise(Z: F64, sizes: F64, n: int, R: F64, used: Bool) -> int:
    """Replace rows of Z by orthogonal ones of length sqrt n, kept ones first; return how many are kept."""
    out_of_line()
    kept = 0
    for j in range(Z.shape[0]):
        size = np.sqrt(product(Z[j], Z[j], n))
        for i in range(2 * kept):
            c = product(Z[i % kept], Z[j], n) / n
            add_to(Z[j], -c, Z[i % kept], n)
            R[i % kept, kept] += c
        rest = np.sqrt(product(Z[j], Z[j], n))
        used[j] = rest > max(_COLLINEAR * size, _CONSTANT * sizes[j]) and rest > 0.0
        if not used[j]:
            for i in range(kept):
                R[i, kept] = 0.0
            continue
        R[kept, kept] = rest / np.sqrt(n)
        for t in range(n):
            Z[kept, t] = Z[j, t] * (np.sqrt(n) / rest)
        kept += 1
    return kept


@large_kernel
def _regress(Z: F64, r: int, n: int, w: F64, offset: F64) -> None:
    """Take off w what lies along the first r rows of Z, twice for the sake of rounding."""
    out_of_line()
    for i in range(2 * r):
        c = product(Z[i % r], w, n) / n
        add_to(w, -c, Z[i % r], n)
        offset[i % r] += c


@large_kernel
def _missing(y: F64, X: F64, hole: Bool) -> int:
    """Mark points without a value or with a regressor that is not finite; count them."""
    out_of_line()
    count = 0
    for t in range(len(y)):
        hole[t] = np.isnan(y[t])
        for j in range(X.shape[0]):
            hole[t] = hole[t] or not np.isfinite(X[j, t])
        count += int(hole[t])
    return count


@large_kernel
def _differenced(y: F64, X: F64, hole: Bool, d: int, D: int, s: int, w: F64, Z: F64, sizes: F64) -> None:
    """Fill, difference, and without differences set to zero what is missing."""
    out_of_line()
    for j in range(-1, X.shape[0]):
        row, source = (w, y) if j < 0 else (Z[j], X[j])
        for t in range(len(y)):
            row[t] = source[t]
        fill(row, hole)
        if j >= 0:
            sizes[j] = np.sqrt(product(row, row, len(y)))
        difference(row, d, D, s)
        for t in range(len(y)):
            if d + D == 0 and hole[t]:
                row[t] = 0.0


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
    n, hole = max(t - lost, 0), np.zeros(t, dtype=np.bool_)
    w, Z, sizes = np.empty(t), np.empty((k, t)), np.zeros(k)
    missing = _missing(y, X, hole)
    _differenced(y, X, hole, d, D, s, w, Z, sizes)
    R, offset, used = np.zeros((k, k)), np.zeros(k), np.zeros(k, dtype=np.bool_)
    r = _orthogonalise(Z, sizes, n, R, used)
    _regress(Z, r, n, w, offset)
    size = np.sqrt(product(w, w, n) / max(n, 1))
    unit = size if size > 0.0 else 1.0
    delta = difference_polynomial(d, D, s)
    early = 0
    for i in range(min(lost, t)):
        early += int(hole[i])
    columns = np.zeros((early + r + 1, pad + n))
    for j in range(r + 1):
        for i in range(n):
            keep = lost > 0 or not hole[i]
            columns[early + j, pad + i] = (Z[j, i] if j < r else w[i] / unit) if keep else 0.0
    holes = np.zeros(missing - early, dtype=np.int64)
    _place_holes(hole, lost, n, pad, delta, columns, holes)
    low = np.zeros(missing + r + 1, dtype=np.int64)
    data = Data(columns, n, early, holes, delta, t - missing - lost, low)
    return data, Regression(R, offset, used, r, unit, _log_free(delta, hole))


@kernel
def _place_holes(hole: Bool, lost: int, n: int, pad: int, delta: F64, columns: F64, holes: I64) -> None:
    """Write the columns of missing points that differencing cuts, and where the others begin."""
    early, later = 0, 0
    for t in range(len(hole)):
        if hole[t] and t < lost:
            for i in range(max(0, t - lost), min(n, t + 1)):
                columns[early, pad + i] = delta[lost + i - t]
            early += 1
        elif hole[t]:
            holes[later] = t - lost
            later += 1
