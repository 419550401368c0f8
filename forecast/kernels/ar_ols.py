r"""AR(p) by least squares: every order 0..m from one pass over the series and one Cholesky.

The lag regressions of all orders on a common sample share one Gram matrix, whose rows differ at the two ends
of the series only (`lag_products`). With the response as last column of its Cholesky factor U,

.. math:: RSS_k = \sum_{i \ge k} U_{i,m}^2 ,

so order selection costs nothing more. The chosen order is then fitted on all the rows that it can use.
Conventions: `AutoReg` and `ar_select_order` of statsmodels. Where the series is so smooth that normal
equations would lose more than about six digits, a Householder QR of the lag matrix takes their place.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.ar_ols_lanes import CHOLESKY_PIVOT, fit_lanes, lane_work
from forecast.kernels.criteria import blank_row, gaussian_loglik, lag_cap, select_order
from forecast.kernels.lag_products import (
    centre,
    dot,
    edge_products,
    edge_sums,
    is_constant,
    lag_products,
    longest,
    padding,
    total,
)
from forecast.kernels.simd import WIDTH
from forecast.types import F64, I64, U8, Bool

# A column this close to the span of the others carries rounding only.
QR_PIVOT = 1e-12

# Rows of the factor that are eliminated at once: one load and store of the row being made for four updates.
ROW_TILE = 4

# All Gram matrices follow from core, head and tail of the lagged products, and head and tail of the points.
Ends: TypeAlias = tuple[F64, F64, F64, F64, F64]
Scratch: TypeAlias = tuple[F64, F64, F64, F64]


@kernel
def _gram(
    core: F64, head: F64, tail: F64, sums: F64, shape: tuple[int, int, int], const: int, gram: F64
) -> None:
    """Write the Gram matrix of lags 1..k and the response (last), rows t = k..T-1, upper triangle.

    ``shape`` is (k, m, T); ``sums`` (>= k + 1,) holds the sums of the columns, lag 0 first.
    """
    k, m, t = shape
    weight = const / (t - k)
    for i in range(1, k + 1):
        row, up, down = gram[i - 1], head[m - k + i], tail[m - i]
        for c in range(row.shape[0]):
            row[c] = 0.0
        level = weight * sums[i]
        upper = row[i - 1 :]
        following = sums[i:]
        for d in range(k - i + 1):
            upper[d] = core[d] + up[d] + down[d] - level * following[d]
        row[k] = core[i] + head[m - k, i] + tail[m, i] - level * sums[0]
    response = gram[k]
    for c in range(response.shape[0]):
        response[c] = 0.0
    response[k] = core[0] + head[m - k, 0] + tail[m, 0] - weight * sums[0] * sums[0]


@kernel
def _cholesky(gram: F64, k: int, work: F64, upper: F64) -> bool:
    """Factor gram = U'U, k + 1 columns; False when a pivot is too small to trust."""
    width = work.shape[0]
    for j in range(k + 1):
        row = gram[j]
        for c in range(width):
            work[c] = row[c]
        for i in range(0, j, ROW_TILE):
            u0, u1, u2, u3 = upper[i], upper[i + 1], upper[i + 2], upper[i + 3]
            f0, f1, f2, f3 = u0[j], u1[j], u2[j], u3[j]
            for c in range(width):
                work[c] -= f0 * u0[c] + f1 * u1[c] + f2 * u2[c] + f3 * u3[c]
        if not work[j] > CHOLESKY_PIVOT * row[j]:
            return False
        scale = 1.0 / np.sqrt(work[j])
        made = upper[j]
        for c in range(width):
            made[c] = work[c] * scale
        # The tile of the next rows reaches over rows that are not made yet.
        for i in range(j + 1, (j // ROW_TILE + 1) * ROW_TILE):
            blank = upper[i]
            for c in range(width):
                blank[c] = 0.0
    return True


@kernel
def _lag_matrix(x: F64, k: int, const: int) -> F64:
    """Columns (as rows of the result) lag 1..k and the response, t = k..T-1, each centred with `const`."""
    n = x.shape[0] - k
    columns = np.empty((k + 1, n))
    for j in range(k + 1):
        lag = j + 1 if j < k else 0
        source, column = x[k - lag : k - lag + n], columns[j]
        level = const * total(source) / n
        for i in range(n):
            column[i] = source[i] - level
    return columns


@kernel
def _householder(x: F64, k: int, const: int, upper: F64) -> bool:
    """Triangular factor of the lag matrix, in the layout of `_cholesky`; False when columns are collinear.

    Source: Golub and Van Loan, *Matrix Computations*, 5.2.
    """
    columns = _lag_matrix(x, k, const)
    for j in range(k + 1):
        v = columns[j][j:]
        rest = dot(v, v)
        whole = rest
        for i in range(j):
            whole += upper[i, j] * upper[i, j]
        if not rest > QR_PIVOT * QR_PIVOT * whole:
            return False
        upper[j, j] = -np.sqrt(rest) if v[0] > 0.0 else np.sqrt(rest)
        v[0] -= upper[j, j]
        norm = dot(v, v)
        for c in range(j + 1, k + 1):
            w = columns[c][j:]
            scale = 2.0 * dot(v, w) / norm
            for i in range(w.shape[0]):
                w[i] -= scale * v[i]
            upper[j, c] = w[0]
    return True


@kernel
def _column_sums(middle: float, head: F64, tail: F64, m: int, k: int, sums: F64) -> None:
    """Write the sums of lags 0..k over t = k..T-1, from those of the middle of the series and of its ends."""
    for i in range(k + 1):
        sums[i] = middle + head[m - k + i] + tail[m - i]


@kernel
def _solve(upper: F64, k: int, phi: F64) -> None:
    """Back substitution with the last column of the factor."""
    for i in range(k - 1, -1, -1):
        acc = upper[i, k]
        for j in range(i + 1, k):
            acc -= upper[i, j] * phi[j]
        phi[i] = acc / upper[i, i]


@kernel
def _ends(max_lags: int) -> Ends:
    """Allocate the sums of `_products`."""
    size = max_lags + 1
    head, tail = np.empty((size, size)), np.empty((size, size))
    return np.empty(max_lags + padding(max_lags)), head, tail, np.empty(size), np.empty(size)


@kernel
def _scratch(max_lags: int) -> Scratch:
    """Allocate column sums, Gram matrix, a row of work, and the factor."""
    width = (max_lags // 8 + 1) * 8
    gram, upper = np.zeros((max_lags + 1, width)), np.zeros((width + ROW_TILE, width))
    return np.empty(max_lags + 1), gram, np.empty(width), upper


@kernel
def _products(padded: F64, pad: int, t: int, m: int, ends: Ends) -> float:
    """Write the sums for orders up to m of a series of t points; return its sum of squares."""
    core, head, tail, head_sums, tail_sums = ends
    lag_products(padded, pad + m, t - 2 * m, m, core)
    edge_products(padded, pad + m - 1, -1, m, head)
    edge_products(padded, pad + t - m, 1, m, tail)
    edge_sums(padded, pad + m - 1, -1, m, head_sums)
    edge_sums(padded, pad + t - m, 1, m, tail_sums)
    return float(core[0] + head[m, 0] + tail[m, 0])


@kernel
def _factor(x: F64, ends: Ends, middle: float, k: int, m: int, const: int, scratch: Scratch) -> bool:
    """Factor the regression of order k on rows t = k..T-1; False when its columns are collinear.

    ``ends`` are the sums for order m >= k, and ``middle`` that of the points m..T-m-1.
    """
    core, head, tail, head_sums, tail_sums = ends
    sums, gram, work, upper = scratch
    _column_sums(middle, head_sums, tail_sums, m, k, sums)
    _gram(core, head, tail, sums, (k, m, x.shape[0]), const, gram)
    return _cholesky(gram, k, work, upper) or _householder(x, k, const, upper)


@kernel
def _logliks(upper: F64, m: int, n: int, logliks: F64) -> None:
    """Write the log-likelihoods of orders 0..m on n rows, from the factor of order m."""
    rss = 0.0
    for j in range(m, -1, -1):
        rss += upper[j, m] * upper[j, m]
        logliks[j] = gaussian_loglik(n, rss / n)


@kernel
def _best_order(
    x: F64, ends: Ends, m: int, const: int, criterion: int, logliks: F64, ic: F64, scratch: Scratch
) -> int:
    """Return the order chosen, its regression factored on all the rows it can use; -1 when collinear."""
    n = x.shape[0] - m
    middle = total(x[m:n])
    k = m
    # One call for both factorisations: the compiler would inline two.
    for final in range(2):
        if (final == 0 or k < m) and not _factor(x, ends, middle, k, m, const, scratch):
            return -1
        if final == 0:
            _logliks(scratch[3], m, n, logliks)
            k = select_order(logliks, m, n, const, criterion, ic)
    return k


@kernel
def _level(phi: F64, k: int, mean: float, sums: F64, weight: float) -> float:
    """Return the intercept: the mean of the response less what the lags make of theirs."""
    level = mean + weight * sums[0]
    for i in range(k):
        level -= phi[i] * (mean + weight * sums[i + 1])
    return float(level)


@kernel
def _fit_rest(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    left: Bool,
    max_lags: int,
    criterion: int,
    const: int,
    phi: F64,
    intercept: F64,
    sigma2: F64,
    order: I64,
    ic: F64,
    loglik: F64,
    ok: U8,
) -> None:
    """Fit one by one what `left` marks: short series, and what lanes hand back; the rest as in `fit_ols`."""
    pad = padding(max_lags)
    padded = np.zeros(2 * pad + longest(indptr, first, last))
    ends, scratch, logliks = _ends(max_lags), _scratch(max_lags), np.empty(max_lags + 1)
    sums, upper = scratch[0], scratch[3]
    for row in range(first, last):
        if not left[row - first]:
            continue
        y = values[indptr[row] : indptr[row + 1]]
        t, m = y.shape[0], lag_cap(y.shape[0], max_lags, const)
        if m < 0:
            continue
        x = padded[pad : pad + t]
        mean = centre(y, const, x)
        if is_constant(_products(padded, pad, t, m, ends), mean, t):
            continue
        k = _best_order(x, ends, m, const, criterion, logliks, ic[row], scratch)
        ok[row] = k >= 0
        if k < 0:
            continue
        _solve(upper, k, phi[row])
        order[row], intercept[row] = k, _level(phi[row], k, mean, sums, const / (t - k))
        sigma2[row] = upper[k, k] * upper[k, k] / (t - k)
        loglik[row] = gaussian_loglik(t - k, sigma2[row])


@kernel
def fit_ols(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    max_lags: int,
    criterion: int,
    const: int,
    phi: F64,
    intercept: F64,
    sigma2: F64,
    order: I64,
    ic: F64,
    loglik: F64,
    ok: U8,
) -> None:
    """Fit AR(p) by least squares to series ``first..last-1``.

    Parameters
    ----------
    values, indptr
        (N,) observations without gaps and (n + 1,) where each series begins.
    max_lags
        Largest order; lowered for short series, see `criteria.lag_cap`.
    criterion
        Code from `criteria`. Orders 0..m are compared on rows t = m..T-1; 0 fits order m itself.
    const
        1 with an intercept, 0 without.
    phi
        (n, max_lags) out, zero beyond the order.
    intercept
        (n,) out, the c of y_t = c + sum phi_i y_{t-i} + e_t.
    sigma2
        (n,) out, RSS over the T - p rows of the final fit.
    order, ic, loglik
        (n,) and (n, max_lags + 1) and (n,) out; `ic` is NaN beyond m, `loglik` conditional on p points.
    ok
        (n,) out, 0 where the series is too short, constant, or exactly predictable.
    """
    size = longest(indptr, first, last)
    work, rows, filled = lane_work(max_lags, size), np.empty(WIDTH, dtype=np.int64), 0
    left = np.ones(last - first, dtype=np.bool_)
    for row in range(first, last):
        blank_row(row, phi, intercept, sigma2, order, ic, loglik, ok)
        if max_lags > 0 and lag_cap(indptr[row + 1] - indptr[row], max_lags, const) == max_lags:
            rows[filled] = row
            filled += 1
        if filled == WIDTH or (filled > 0 and row == last - 1):
            for r in range(filled, WIDTH):
                rows[r] = rows[0]
            fit_lanes(
                values, indptr, rows, max_lags, criterion, const, work,
                phi, intercept, sigma2, order, ic, loglik, ok,
            )  # fmt: skip
            for r in range(filled):
                left[rows[r] - first] = ok[rows[r]] == 0
            filled = 0
    if left.any():
        _fit_rest(
            values, indptr, first, last, left, max_lags, criterion, const,
            phi, intercept, sigma2, order, ic, loglik, ok,
        )  # fmt: skip
