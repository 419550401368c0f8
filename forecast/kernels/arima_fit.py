"""Maximum likelihood of regressions with SARIMA errors, a panel of series at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arima_data import Regression, prepare
from forecast.kernels.arma_likelihood import Data, Places, evaluate, load_lanes, pad_of, places
from forecast.kernels.arma_polynomial import Shape, shape_of
from forecast.kernels.arma_search import (
    Search,
    climb,
    derivatives,
    factor,
    search_space,
    solve,
    values_at,
)
from forecast.kernels.arma_start import hannan_rissanen, plain_starts
from forecast.kernels.simd import buffer
from forecast.types import F64, I64, U8, Bool

FITTED, TOO_SHORT, CONSTANT, FAILED, NOT_CONVERGED = 0, 1, 2, 3, 4
"""What became of a row."""

# Parameters this far out are on the edge of the parameter space (1 - |k| < 1e-5): they are held there while the
# others get their standard errors.
_AT_EDGE = 6.0
# A search that ends this far out may have missed a maximum inside: it is begun a second time elsewhere.
_SUSPECT = 3.0


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
def _start(shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, work: F64, rows: Places, at: Search) -> None:
    """Put the best of some starting points into `at.u`, and the best of the others into `at.trial`."""
    out_of_line()
    pad = data.columns.shape[1] - data.n
    count = plain_starts(shape, at.points)
    own = np.zeros(shape.n_arma)
    if hannan_rissanen(shape, data.columns[-1, pad:], own):
        at.points[count, :] = own
        count += 1
    values_at(shape, ar_lags, ma_lags, data, work, rows, count, at)
    best = 0
    for row in range(1, count):
        if at.values[row] < at.values[best] or not np.isfinite(at.values[best]):
            best = row
    other = 1 if best == 0 else 0
    for row in range(count):
        if row != best and at.values[row] < at.values[other]:
            other = row
    at.u[:] = np.arctanh(at.points[best])
    at.trial[:] = np.arctanh(at.points[other])


@large_kernel
def _maximise(
    shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, work: F64, rows: Places, at: Search, cov: bool
) -> tuple[float, bool]:
    """Search from the best start, and from another where the end is suspect."""
    out_of_line()
    _start(shape, ar_lags, ma_lags, data, work, rows, at)
    second = at.trial.copy()
    value, done = climb(shape, ar_lags, ma_lags, data, work, rows, at, cov)
    if done and (shape.n_arma == 0 or np.max(np.abs(at.u)) < _SUSPECT):
        return value, done
    kept = at.u.copy()
    at.u[:] = second
    again, done_again = climb(shape, ar_lags, ma_lags, data, work, rows, at, cov)
    if again < value:
        return again, done_again
    at.u[:] = kept
    derivatives(shape, ar_lags, ma_lags, data, work, rows, at, True)
    return value, done


@kernel
def _jacobian(shape: Shape, u: F64) -> F64:
    """(k, k) derivatives of the coefficients by the point, by differences of 1e-5 (error 1e-10)."""
    k = len(u)
    out, up, down, x = np.zeros((k, k)), np.zeros(k), np.zeros(k), u.copy()
    for i in range(k):
        x[i] = u[i] + 1e-5
        coefficients(shape, x, up)
        x[i] = u[i] - 1e-5
        coefficients(shape, x, down)
        x[i] = u[i]
        out[:, i] = (up - down) / 2e-5
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
    if not factor(at.H, at.free, 0.0, at.L):
        return out, False
    for i in range(k):
        if at.free[i] == 1:
            e[:] = 0.0
            e[i] = 1.0 / n
            solve(at.L, e, at.step)
            out[i, :] = at.step
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
    k, r = len(at.u), len(made.offset)
    total = len(data.holes) + data.columns.shape[0]
    inner, fine = _arma_cov(shape, at, data.n_obs)
    if not fine:
        return
    J, T = np.zeros((r + k, k)), _inverse(made.R)
    J[r:] = _jacobian(shape, at.u)
    for i in range(k):
        J[:r, i] = T @ (at.slopes[1 + 2 * i] - at.slopes[2 + 2 * i]) * (made.unit / 2e-4)
    full = J @ inner @ J.T
    F = np.zeros((r, r))
    for i in range(r):
        for j in range(i + 1):
            F[i, j] = work[rows.gram + (total - 1 - r + i) * total + total - 1 - r + j, 0]
    G = T @ _inverse(F.T.copy())
    full[:r, :r] += (sigma2 * made.unit * made.unit) * (G @ G.T)
    out[: r + k, : r + k] = 0.5 * (full + full.T)


@kernel
def _inverse(R: F64) -> F64:
    """Inverse of an upper triangular matrix."""
    n = len(R)
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
    """Whether all differences that can be had are the same."""
    w = y.copy()
    n = len(w)
    for k in range(d + D):
        stride = 1 if k < d else s
        for t in range(n - stride):
            w[t] = w[t + stride] - w[t]
        n -= stride
    low, high, seen = np.inf, -np.inf, False
    for t in range(n):
        if not np.isnan(w[t]):
            low, high, seen = min(low, w[t]), max(high, w[t]), True
    return seen and low == high


@large_kernel
def _fit_row(y: F64, X: F64, order: I64, row: int, cov: bool, out: Fits) -> int:
    """Fit one series; return its code."""
    out_of_line()
    p, d, q, P, D, Q, s = order[0], order[1], order[2], order[3], order[4], order[5], order[6]
    begin, end, count = _bounds(y, X)
    if count < d + s * D + p + q + P + Q + X.shape[0] + 2:
        return TOO_SHORT
    if _exactly_determined(y, d, D, s):
        return CONSTANT
    ar_lags, ma_lags = np.zeros(p + s * P + 1, dtype=np.int64), np.zeros(q + s * Q + 1, dtype=np.int64)
    shape = shape_of(p, q, P, Q, s, ar_lags, ma_lags)
    data, made = prepare(y[begin:end].copy(), X[:, begin:end].copy(), d, D, s, pad_of(shape))
    if data.n_obs < 1 or np.isnan(made.log_free):
        return FAILED
    rows = places(shape, data.n, data.columns.shape[0], len(data.holes), d + s * D)
    work = buffer(rows.size)
    at = search_space(shape.n_arma, len(made.offset))
    value, done = _maximise(shape, ar_lags, ma_lags, data, work, rows, at, cov)
    if not np.isfinite(value):
        return FAILED
    if not done:
        return NOT_CONVERGED
    load_lanes(at.points[:1], 0, work, rows)  # the lanes held its neighbours
    evaluate(shape, ar_lags, ma_lags, data, work, rows)
    _write(shape, data, made, work, rows, at, row, cov, out)
    return FITTED


@large_kernel
def _write(
    shape: Shape,
    data: Data,
    made: Regression,
    work: F64,
    rows: Places,
    at: Search,
    row: int,
    cov: bool,
    out: Fits,
) -> None:
    """Store the estimates of one row in the units of the data."""
    out_of_line()
    n = data.n_obs
    coefficients(shape, at.u, out.coefficients[row])
    sigma2 = work[rows.value, 0] / n
    out.n_used[row] = n
    out.sigma2[row] = sigma2 * made.unit * made.unit
    out.loglik[row] = made.log_free - n * (at.values[0] + 0.5 * np.log(2.0 * np.pi) + 0.5 + np.log(made.unit))
    T, inside = _inverse(made.R), 0
    beta = T @ (made.offset + made.unit * at.slopes[0])
    for j in range(len(made.used)):
        out.used[row, j] = made.used[j]
        if made.used[j]:
            out.beta[row, j] = beta[inside]
            inside += 1
    if cov:
        _covariance(shape, data, made, work, rows, at, sigma2, out.cov[row])


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
        Whether to write `out.cov`.
    """
    out_of_line()
    more = trend % 2 + trend // 2
    for row in range(first, last):
        lo, hi = indptr[row], indptr[row + 1]
        design = np.ones((more + X.shape[0], hi - lo))
        if trend >= 2:
            design[more - 1] = np.arange(1, hi - lo + 1)
        for j in range(X.shape[0]):
            design[more + j] = X[j, lo:hi]
        out.code[row] = _fit_row(y[lo:hi], design, orders[row], row, cov, out)
