r"""Exact Kalman filter in levels and innovations.

.. math:: y_{t+1} = m_{t+1} + \sum_{j=1}^{L} a_j y_{t+1-j} + \sum_{j=1}^{q} b_j e_{t+1-j} + e_{t+1}

with Var(e) = sigma2 and y observed without noise. The state x_t = (y_t .. y_{t-L+1}, e_t .. e_{t-q+1})
has M = L + q elements, newest first in both parts. What is observed is known exactly, so the
covariance P of the state is zero except around gaps and at the start, and is carried only there:
O(L + q) a point where the state is known, O((L + q)^2) elsewhere.

Source: Durbin and Koopman (2012), *Time Series Analysis by State Space Methods*, ch. 4.
Oracle: ``tests/oracles/filtering.py``, dense matrices and no state space.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64, Bool

# A state is taken as known when no variance exceeds this share of sigma2. Larger, and likelihoods
# of nearly non-invertible models drift (theta = -0.995 loses 3e-4 at 1e-9); smaller, and P is
# carried for many points after each gap for changes below rounding.
KNOWN = 1e-15


@kernel
def predict_cov(a: F64, b: F64, sigma2: float, P: F64, g: F64) -> None:
    """Move P (M, M) one step ahead in place; leave its first row in g (M,)."""
    L, q = a.shape[0], b.shape[0]
    M = L + q
    for i in range(M):
        acc = 0.0
        for j in range(L):
            acc += P[i, j] * a[j]
        for j in range(q):
            acc += P[i, L + j] * b[j]
        g[i] = acc
    var = sigma2
    for j in range(L):
        var += a[j] * g[j]
    for j in range(q):
        var += b[j] * g[L + j]
    for i in range(M - 1, 0, -1):
        for j in range(M - 1, 0, -1):
            P[i, j] = P[i - 1, j - 1]
    for j in range(M - 1, 0, -1):
        g[j] = g[j - 1]
    if q > 0:
        P[L, :] = 0.0
        P[:, L] = 0.0
        P[L, L] = sigma2
        # The row of the new level meets the shifted innovations at L + 1 and the new one at L.
        g[L] = sigma2
    g[0] = var
    for j in range(M):
        P[0, j] = g[j]
        P[j, 0] = g[j]


@kernel
def update_cov(sigma2: float, P: F64, g: F64) -> bool:
    """Condition P on the newest level in place; return whether nothing is left unknown."""
    M = P.shape[0]
    f = g[0]
    largest = 0.0
    for i in range(1, M):
        k = g[i] / f
        for j in range(1, M):
            P[i, j] -= k * g[j]
        largest = max(largest, P[i, i])
    P[0, :] = 0.0
    P[:, 0] = 0.0
    # P is positive semidefinite: |P_ij| <= largest diagonal, so this tests every element.
    if largest <= KNOWN * sigma2:
        P[:, :] = 0.0
        return True
    return False


@kernel
def _predict(a: F64, b: F64, path: F64, shock: F64, k: int, pred: float) -> float:
    """Add to the deterministic part what levels and innovations before point `k` say of it."""
    L, q = a.shape[0], b.shape[0]
    for j in range(L):
        pred += a[L - 1 - j] * path[k + j]
    for j in range(q):
        pred += b[q - 1 - j] * shock[k + j]
    return pred


@kernel
def _store_gain(g: F64, carry: bool, sigma2: float, L: int, gain: F64) -> None:
    """Keep the first row of the predicted covariance, for `companion_smoother`."""
    M = g.shape[0]
    for j in range(M):
        gain[j] = g[j] if carry else 0.0
    if not carry:
        gain[0] = sigma2
        if M > L:
            gain[L] = sigma2


@kernel
def _learn(
    z: float, f: float, carry: bool, sigma2: float, k: int, L: int, g: F64, path: F64, shock: F64, P: F64
) -> bool:
    """Take in the innovation of point `k`; return whether the state is known now."""
    q = shock.shape[0] + L - path.shape[0]
    if not carry:
        shock[q + k] = z
        return True
    if not f > 0.0:
        return False
    r = z / f
    for j in range(1, L):
        path[L + k - j] += g[j] * r
    for j in range(q):
        shock[q + k - j] += g[L + j] * r
    return update_cov(sigma2, P, g)


@kernel
def _unroll(newest_first: F64, n: int, t: int) -> F64:
    """Begin a path of n + t elements with the n of the state, oldest first."""
    path = np.empty(n + t)
    for j in range(n):
        path[n - 1 - j] = newest_first[j]
    return path


@kernel
def _roll_up(path: F64, n: int, newest_first: F64) -> None:
    """Make the end of a path the state again."""
    for j in range(n):
        newest_first[j] = path[path.shape[0] - 1 - j]


@kernel
def advance_row(
    a: F64,
    b: F64,
    sigma2: float,
    levels: F64,
    innov: F64,
    P: F64,
    known: bool,
    y: F64,
    m: F64,
    z: F64,
    f: F64,
    gains: F64,
) -> tuple[bool, int, float, float]:
    r"""Move one state over t new points, in place.

    Parameters
    ----------
    a, b
        (L,), (q,) coefficients of past levels and of past innovations; L >= 1.
    sigma2
        Innovation variance, units of y squared.
    levels, innov
        (>= L,), (>= q,) state means, newest first; what lies beyond L and q is left alone.
    P
        (L + q, L + q) covariance of the state; all zero where `known`.
    y
        (t,) new points, NaN where missing.
    m
        (t,) in: their deterministic part, not NaN; out: their one-step forecasts.
    z, f
        (t,) out: innovations y minus one-step forecast (NaN where missing) and their variances.
    gains
        (t, L + q) out: first rows of the predicted covariance, as `smooth_row` needs them; or (0, 0).

    Returns
    -------
    known, n, log_f, squares
        Whether the state is known now; the number of observed points, sum log f and sum z^2 / f,
        so that loglik = -(n log 2 pi + log_f + squares) / 2.
    """
    L, q, t = a.shape[0], b.shape[0], y.shape[0]
    path, shock = _unroll(levels, L, t), _unroll(innov, q, t)
    g = np.zeros(L + q)
    n, log_f, squares = 0, 0.0, 0.0
    for k in range(t):
        m[k] = _predict(a, b, path, shock, k, m[k])
        missing = np.isnan(y[k])
        z[k], path[L + k], shock[q + k] = y[k] - m[k], m[k], 0.0
        carry = not known or (missing and sigma2 > 0.0)
        if carry:
            predict_cov(a, b, sigma2, P, g)
            known = False
        f[k] = g[0] if carry else sigma2
        if gains.shape[0] > 0:
            _store_gain(g, carry, sigma2, L, gains[k])
        if missing:
            continue
        n += 1
        if f[k] > 0.0:
            log_f += np.log(f[k])
            squares += z[k] * z[k] / f[k]
        path[L + k] = y[k]
        known = _learn(z[k], f[k], carry, sigma2, k, L, g, path, shock, P)
    _roll_up(path, L, levels)
    _roll_up(shock, q, innov)
    return known, n, log_f, squares


@kernel
def advance_rows(
    first: int,
    last: int,
    A: F64,
    B: F64,
    sizes: I64,
    sigma2: F64,
    levels: F64,
    innov: F64,
    skip: Bool,
    y: F64,
    m: F64,
    indptr: I64,
    z: F64,
    f: F64,
) -> None:
    """Move the states of rows first..last - 1 that are known and meet no gap, in place; O(L + q) a point.

    Parameters
    ----------
    A, B
        (n, max L), (n, max q) coefficients.
    sizes
        (n, 2) L and q of each row.
    levels, innov
        (n, >= L), (n, >= q) state means, newest first.
    skip
        (n,) in: rows whose state is not known; out: also rows with a NaN in `y`. They are left alone.
    y, m, indptr, z, f
        Ragged (N,) points, deterministic parts (out: forecasts), and out: innovations and their variances.
    """
    none, empty = np.zeros((0, 0)), np.zeros((0, 0))
    for i in range(first, last):
        lo, hi = indptr[i], indptr[i + 1]
        for k in range(lo, hi):
            if np.isnan(y[k]):
                skip[i] = True
        if skip[i]:
            continue
        L, q = sizes[i, 0], sizes[i, 1]
        advance_row(
            A[i, :L], B[i, :q], sigma2[i], levels[i], innov[i], none, True,
            y[lo:hi], m[lo:hi], z[lo:hi], f[lo:hi], empty,
        )  # fmt: skip


@kernel
def residual_rows(
    first: int,
    last: int,
    A: F64,
    width: I64,
    sigma2: F64,
    stationary: Bool,
    y: F64,
    m: F64,
    indptr: I64,
    skip: Bool,
    z: F64,
    f: F64,
) -> None:
    """Innovations of pure AR rows without gaps, from the start of each series.

    The first L points of a row get NaN, or, where `stationary`, the innovations of the best linear
    predictor from all earlier points (Durbin-Levinson, stepped down from the coefficients).

    Parameters
    ----------
    A, width
        (n, max L) coefficients and (n,) L, the largest lag, differences included; 0 for white noise.
    m
        (N,) deterministic part; NaN is allowed among the first L points of rows that are not `stationary`.
    skip
        (n,) in: rows to leave alone; out: also rows with a NaN, and stationary rows that are not.
    """
    short = np.empty((A.shape[1] + 1, A.shape[1] + 1))
    for i in range(first, last):
        lo, hi, L = indptr[i], indptr[i + 1], width[i]
        for k in range(lo, hi):
            if np.isnan(y[k]) or (np.isnan(m[k]) and (stationary[i] or k >= lo + L)):
                skip[i] = True
        if skip[i]:
            continue
        head = min(L, hi - lo)
        if stationary[i]:
            skip[i] = not _durbin_head(A[i, :L], sigma2[i], y[lo : lo + head], m[lo : lo + head],
                                       short, z[lo : lo + head], f[lo : lo + head])  # fmt: skip
        else:
            for k in range(lo, lo + head):
                z[k], f[k] = np.nan, np.nan
        error, seen = z[lo + head : hi], y[lo + head : hi]
        error[:] = m[lo + head : hi]
        for j in range(L):  # a lag at a time: along the series the additions vectorise
            a, lagged = A[i, j], y[lo + head - 1 - j : hi - 1 - j]
            for k in range(len(error)):
                error[k] += a * lagged[k]
        for k in range(len(error)):
            error[k] = seen[k] - error[k]
        f[lo + head : hi] = sigma2[i]


@kernel
def _durbin_head(a: F64, sigma2: float, y: F64, m: F64, short: F64, z: F64, f: F64) -> bool:
    """Innovations of the first points of a stationary AR; False when it is not stationary."""
    L = a.shape[0]
    for j in range(L):
        short[L, j] = a[j]
    var = sigma2
    for r in range(L, 0, -1):
        if r < y.shape[0]:
            z[r] = _short_error(short[r], r, y, m)
            f[r] = var
        k = short[r, r - 1]
        rest = 1.0 - k * k
        if not rest > 0.0:
            return False
        for j in range(r - 1):
            short[r - 1, j] = (short[r, j] + k * short[r, r - 2 - j]) / rest
        var /= rest
    if y.shape[0] > 0:
        z[0], f[0] = y[0] - m[0], var
    return True


@kernel
def _short_error(phi: F64, r: int, y: F64, m: F64) -> float:
    acc = y[r] - m[r]
    for j in range(r):
        acc -= phi[j] * (y[r - 1 - j] - m[r - 1 - j])
    return float(acc)
