"""Maximum likelihood of regressions with SARIMA errors, a panel of series at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arima_data import Regression, prepare, product
from forecast.kernels.arma_buffers import Data, Places, pad_of, places
from forecast.kernels.arma_end import end_innovations
from forecast.kernels.arma_filled import fill_gaps
from forecast.kernels.arma_neighbours import (
    DONE,
    DRAFT,
    FINAL,
    STEP,
    WHOLE,
    Search,
    place_point,
    search_space,
    values_at,
)
from forecast.kernels.arma_polynomial import Shape, shape_of
from forecast.kernels.arma_search import advance, begin, place_ends
from forecast.kernels.arma_start import starting_points
from forecast.kernels.curvature import factor, solve
from forecast.kernels.simd import buffer
from forecast.types import F64, I64, U8, Bool

FITTED, TOO_SHORT, CONSTANT, FAILED, NOT_CONVERGED = 0, 1, 2, 3, 4
"""What became of a row."""

# Parameters this far out are on the edge of the parameter space (1 - |k| < 1e-5): they are held there while
# the others get their standard errors.
_AT_EDGE = 6.0


class Fits(NamedTuple):
    """Estimates of n rows, written in place."""

    coefficients: F64
    """(n, c) phi, theta, Phi, Theta one after another."""
    beta: F64
    """(n, k) of the regressors, 0 for those left out."""
    sigma2: F64
    loglik: F64
    n_used: I64
    used: Bool
    """(n, k)"""
    cov: F64
    """(n, k + c, k + c) of the used beta, then the coefficients; NaN where the Hessian has no inverse."""
    innovations: F64
    """(n, largest q + s Q) the last ones, newest first, of series without gaps."""
    innovation_cov: F64
    """(n, the same twice) their covariance."""
    known: U8
    """(n,) 0: the two are not written, 1: the covariance is zero, and not written, 2: both are."""
    code: U8


@kernel
def coefficients(shape: Shape, u: F64, out: F64) -> None:
    """Write phi, theta, Phi, Theta at a point of the search."""
    old = np.empty(max(shape.p, shape.q, shape.P, shape.Q, 1))
    at = 0
    for block in range(4):
        size = (shape.p, shape.q, shape.P, shape.Q)[block]
        for r in range(size):
            k = np.tanh(u[at + r])
            for j in range(r):
                old[j] = out[at + j]
            for j in range(r):
                out[at + j] = old[j] - k * old[r - 1 - j]
            out[at + r] = k
        if block % 2 == 1:
            for j in range(size):
                out[at + j] = -out[at + j]
        at += size


@large_kernel
def _next_points(shape: Shape, data: Data, at: Search, cov: bool, stage: int, asked: int, count: int) -> int:
    """Take what was evaluated; return how many points to evaluate next, 0 at the end."""
    out_of_line()
    if asked == 0:
        pad = data.columns.shape[1] - data.n
        w, thorough = data.columns[-1, pad:], cov and stage != FINAL
        count = starting_points(shape, w, thorough, at.points, at.family)
        if stage == FINAL:
            place_ends(at, count)
        return count
    if asked == 1:
        return begin(at, count, data.n_obs, stage)
    return advance(at, data.n_obs, cov and stage != DRAFT)


@kernel
def _jacobian(shape: Shape, u: F64) -> F64:
    """(k, k) derivatives of the coefficients by the point, by differences of 1e-5 (error 1e-10)."""
    k = len(u)
    out, up, down, x = np.zeros((k, k)), np.zeros(k), np.zeros(k), np.zeros(k)
    for i in range(k):
        x[i] = u[i]
    for i in range(k):
        x[i] = u[i] + 1e-5
        coefficients(shape, x, up)
        x[i] = u[i] - 1e-5
        coefficients(shape, x, down)
        x[i] = u[i]
        for j in range(k):
            out[j, i] = (up[j] - down[j]) / 2e-5
    return out


@large_kernel
def _arma_cov(shape: Shape, at: Search, n: int) -> tuple[F64, bool]:
    """(k, k) covariance of the point itself, zero for what is on the edge; False where there is none."""
    out_of_line()
    k = len(at.u)
    out, e = np.zeros((k, k)), np.zeros(k)
    for i in range(k):
        ar = i < shape.p or shape.p + shape.q <= i < shape.p + shape.q + shape.P
        edge = abs(at.u[i]) > _AT_EDGE
        if edge and ar:
            return out, False
        at.free[i] = 0 if edge else 1
    if not factor(at.H, at.free, at.L):
        return out, False
    for i in range(k):
        if at.free[i] == 1:
            for j in range(k):
                e[j] = 1.0 / n if i == j else 0.0
            solve(at.L, e, out[i])
    return out, True


@large_kernel
def _covariance(
    shape: Shape, data: Data, made: Regression, work: F64, rows: Places, at: Search, sigma2: float, out: F64
) -> None:
    """Write the inverse of the observed information of (beta, coefficients), sigma2 profiled out.

    beta is at its best for every parameter vector: its covariance is that at fixed parameters,
    plus what the parameters carry over through d beta / d u.
    """
    out_of_line()
    k, r = len(at.u), made.r
    total = len(data.holes) + data.columns.shape[0]
    inner, fine = _arma_cov(shape, at, data.n_obs)
    if not fine:
        return
    J, T, slope = np.zeros((r + k, k)), _inverse(made.R, r), np.zeros((r, k))
    own = _jacobian(shape, at.u)
    for i in range(k):
        for j in range(k):
            J[r + j, i] = own[j, i]
        for j in range(r):
            slope[j, i] = (at.slopes[1 + 2 * i, j] - at.slopes[2 + 2 * i, j]) * (made.unit / (2.0 * STEP))
    F = np.zeros((r, r))
    for i in range(r):
        for j in range(i + 1):
            F[j, i] = work[rows.gram + (total - 1 - r + i) * total + total - 1 - r + j, 0]
    matrix_product(T, slope, J)
    half, G, carried = _inverse(F, r), np.zeros((r, r)), np.zeros((r + k, k))
    matrix_product(T, half, G)
    matrix_product(J, inner, carried)
    scale = sigma2 * made.unit * made.unit
    for i in range(r + k):
        for j in range(i + 1):
            acc = product(carried[i], J[j], k)
            if i < r:
                acc += scale * product(G[i], G[j], r)
            out[i, j], out[j, i] = acc, acc


@kernel
def matrix_product(A: F64, B: F64, out: F64) -> None:
    """Write A B to the head of `out`."""
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            acc = 0.0
            for m in range(B.shape[0]):
                acc += A[i, m] * B[m, j]
            out[i, j] = acc


@kernel
def _inverse(R: F64, n: int) -> F64:
    """Inverse of an upper triangular matrix, of its first n rows."""
    out = np.zeros((n, n))
    for j in range(n):
        out[j, j] = 1.0 / R[j, j]
        for i in range(j - 1, -1, -1):
            acc = 0.0
            for m in range(i + 1, j + 1):
                acc += R[i, m] * out[m, j]
            out[i, j] = -acc / R[i, i]
    return out


@kernel
def _bounds(y: F64, X: F64) -> tuple[int, int, int]:
    """First observed point, one past the last, and how many there are."""
    begin, end, count = 0, 0, 0
    for t in range(len(y)):
        fine = not np.isnan(y[t])
        for j in range(X.shape[0]):
            fine = fine and np.isfinite(X[j, t])
        if fine:
            begin = t if count == 0 else begin
            end, count = t + 1, count + 1
    return begin, end, count


@kernel
def _exactly_determined(y: F64, d: int, D: int, s: int) -> bool:
    """Whether all differences that can be had, two or more of them, are the same."""
    n, w = len(y), np.empty(len(y))
    for t in range(n):
        w[t] = y[t]
    for k in range(d + D):
        stride = 1 if k < d else s
        for t in range(n - stride):
            w[t] = w[t + stride] - w[t]
        n -= stride
    low, high, seen = np.inf, -np.inf, 0
    for t in range(n):
        if not np.isnan(w[t]):
            low, high, seen = min(low, w[t]), max(high, w[t]), seen + 1
    return seen > 1 and low == high


@large_kernel
def _refusal(y: F64, X: F64, order: I64, count: int) -> int:
    """Why a series with `count` observations cannot be fitted; FITTED if it can."""
    out_of_line()
    p, d, q, P, D, Q, s = order[0], order[1], order[2], order[3], order[4], order[5], order[6]
    if count < d + s * D + p + q + P + Q + X.shape[0] + 2:
        return TOO_SHORT
    return CONSTANT if _exactly_determined(y, d, D, s) else FITTED


@large_kernel
def write_estimates(
    shape: Shape,
    data: Data,
    made: Regression,
    work: F64,
    rows: Places,
    at: Search,
    row: int,
    cov: bool,
    out: Fits,
) -> int:
    """Store the estimates of one row in the units of the data; return its code."""
    out_of_line()
    if not np.isfinite(at.values[0]):
        return FAILED
    if at.mode[DONE] != 1:
        return NOT_CONVERGED
    n = data.n_obs
    coefficients(shape, at.u, out.coefficients[row])
    sigma2 = work[rows.value, 0] / n
    out.n_used[row] = n
    out.sigma2[row] = sigma2 * made.unit * made.unit
    out.loglik[row] = made.log_free - n * (at.values[0] + 0.5 * np.log(2.0 * np.pi) + 0.5 + np.log(made.unit))
    T, inside = _inverse(made.R, made.r), 0
    for j in range(len(made.used)):
        out.used[row, j] = made.used[j]
        if made.used[j]:
            for i in range(inside, made.r):
                out.beta[row, j] += T[inside, i] * (made.offset[i] + made.unit * at.slopes[0, i])
            inside += 1
    if cov:
        out.known[row] = end_innovations(
            shape, data, work, rows, at.slopes[0], made.unit, out.sigma2[row],
            out.innovations[row], out.innovation_cov[row],
        )  # fmt: skip
        _covariance(shape, data, made, work, rows, at, sigma2, out.cov[row])
    return FITTED


@large_kernel
def _design(y: F64, X: F64, lo: int, hi: int, trend: int) -> tuple[F64, F64, int]:
    """Levels and regressors from the first observed point of a series to the last, and how many there are."""
    out_of_line()
    more = trend % 2 + trend // 2
    design = np.ones((more + X.shape[0], hi - lo))
    for t in range(hi - lo):
        if trend >= 2:
            design[more - 1, t] = t + 1
        for j in range(X.shape[0]):
            design[more + j, t] = X[j, lo + t]
    begin_at, end, count = _bounds(y[lo:hi], design)
    out = np.empty((len(design), end - begin_at))
    for j in range(len(design)):
        for t in range(begin_at, end):
            out[j, t - begin_at] = design[j, t]
    return y[lo + begin_at : lo + end], out, count


@kernel
def _room(shape: Shape, data: Data) -> tuple[Places, F64]:
    """Return the buffer of the likelihood, and where everything is in it."""
    rows = places(shape, data.n, data.columns.shape[0], len(data.holes), len(data.diff) - 1)
    return rows, buffer(rows.size)


@large_kernel
def fit_rows(
    y: F64, indptr: I64, X: F64, trend: int, orders: I64, cov: bool, first: int, last: int, out: Fits
) -> None:
    """Fit rows first..last - 1.

    Parameters
    ----------
    y, indptr
        (N,) levels, NaN where missing, and (n + 1,) bounds of the series.
    X
        (k, N) regressors.
    trend
        1: a constant comes first; 2: a slope, t = 1 at the first point of a series; 3: both.
    orders
        (n, 7) p, d, q, P, D, Q, s.
    cov
        Whether to write `out.cov` and the innovations, and to search for maxima next to cancellation.
        Without, a fit takes a third of the time: enough to compare orders.

    Notes
    -----
    The likelihood is called in one place, and no deeper than need be: every function above it in the
    tree of calls optimises it once more when it is compiled.
    """
    out_of_line()
    for row in range(first, last):
        order = orders[row]
        levels, design, count = _design(y, X, indptr[row], indptr[row + 1], trend)
        out.code[row], out.n_used[row] = _refusal(levels, design, order, count), count
        if out.code[row] != FITTED:
            continue
        ar_lags = np.zeros(order[0] + order[6] * order[3] + 1, dtype=np.int64)
        ma_lags = np.zeros(order[2] + order[6] * order[5] + 1, dtype=np.int64)
        shape = shape_of(order[0], order[2], order[3], order[5], order[6], ar_lags, ma_lags)
        data, made = prepare(levels, design, order[1], order[4], order[6], pad_of(shape))
        out.code[row] = FAILED
        if data.n_obs < 1 or np.isnan(made.log_free):
            continue
        at, stage, on = search_space(shape.n_arma, made.r), WHOLE, data
        if len(data.holes) > 0:
            stage, on = DRAFT, fill_gaps(shape, data)
        rows, work = _room(shape, on)
        asked = points = row - row  # no literal: of one in a call numba compiles a copy of what is called
        while True:
            points = _next_points(shape, on, at, cov, stage, asked, points)
            asked += 1
            last_one = points == 0
            if last_one and stage == DRAFT:
                stage, on, asked = FINAL, data, row - row
                rows, work = _room(shape, on)
                continue
            if last_one:  # the point by itself: its neighbours were in the lanes
                points = place_point(at)
            values_at(shape, ar_lags, ma_lags, on, work, rows, points, at)
            if last_one:
                break
        out.code[row] = write_estimates(shape, data, made, work, rows, at, row, cov, out)
        if len(levels) < indptr[row + 1] - indptr[row]:  # missing at an end
            out.known[row] = 0
