r"""Exact Kalman filter and smoother in levels and innovations.

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
    keep = gains.shape[0] > 0
    path, shock = np.empty(L + t), np.empty(q + t)
    for j in range(L):
        path[L - 1 - j] = levels[j]
    for j in range(q):
        shock[q - 1 - j] = innov[j]
    g = np.zeros(L + q)
    n, log_f, squares = 0, 0.0, 0.0
    for k in range(t):
        pred = m[k]
        for j in range(L):
            pred += a[L - 1 - j] * path[k + j]
        for j in range(q):
            pred += b[q - 1 - j] * shock[k + j]
        missing = np.isnan(y[k])
        m[k] = pred
        z[k] = y[k] - pred
        path[L + k] = pred
        shock[q + k] = 0.0
        var = sigma2
        carry = not known or (missing and sigma2 > 0.0)
        if carry:
            predict_cov(a, b, sigma2, P, g)
            var = g[0]
            known = False
        f[k] = var
        if keep:
            for j in range(L + q):
                gains[k, j] = g[j] if carry else 0.0
            if not carry:
                gains[k, 0] = sigma2
                if q > 0:
                    gains[k, L] = sigma2
        if missing:
            continue
        n += 1
        if var > 0.0:
            log_f += np.log(var)
            squares += z[k] * z[k] / var
        path[L + k] = y[k]
        if not carry:
            shock[q + k] = z[k]
            continue
        if var > 0.0:
            r = z[k] / var
            for j in range(1, L):
                path[L + k - j] += g[j] * r
            for j in range(q):
                shock[q + k - j] += g[L + j] * r
            known = update_cov(sigma2, P, g)
    for j in range(L):
        levels[j] = path[L + t - 1 - j]
    for j in range(q):
        innov[j] = shock[q + t - 1 - j]
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
        for k in range(lo + head, hi):
            pred = m[k]
            for j in range(L):
                pred += A[i, j] * y[k - 1 - j]
            z[k] = y[k] - pred
            f[k] = sigma2[i]


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


@kernel
def smooth_row(
    a: F64, b: F64, seen: Bool, z: F64, f: F64, gains: F64, mean: F64, var: F64, r: F64, N: F64
) -> None:
    r"""Fixed-interval smoothing: run back over what `advance_row` stored.

    Parameters
    ----------
    seen
        (t,) where y was observed.
    z, f, gains
        As `advance_row` left them.
    mean, var
        (t,) in: one-step forecasts, and anything; out: E(y_t | all) and Var(y_t | all) where not `seen`.
    r, N
        (M,), (M, M) in: zeros; out: what corrects the state before the first point:
        E(x | all) = x + P r, Var(x | all) = P - P N P.

    Notes
    -----
    r_{t-1} = Z'z/f + (T - T K Z)' r_t and likewise N: Durbin and Koopman (2012), eq. 4.44.
    """
    M = r.shape[0]
    w = np.empty(M)
    for k in range(z.shape[0] - 1, -1, -1):
        g = gains[k]
        if seen[k]:
            for i in range(M):
                acc = 0.0
                for j in range(M):
                    acc += N[i, j] * g[j]
                w[i] = acc / f[k]
            kr, kw = 0.0, 0.0
            for i in range(M):
                kr += g[i] * r[i]
                kw += g[i] * w[i]
            r[0] += (z[k] - kr) / f[k]
            corner = N[0, 0] - 2.0 * w[0] + (kw + 1.0) / f[k]
            for j in range(1, M):
                N[0, j] -= w[j]
                N[j, 0] = N[0, j]
            N[0, 0] = corner
        else:
            shift, drop = 0.0, 0.0
            for i in range(M):
                shift += g[i] * r[i]
                acc = 0.0
                for j in range(M):
                    acc += N[i, j] * g[j]
                drop += g[i] * acc
            mean[k] += shift
            var[k] = max(0.0, g[0] - drop)
        _step_back(a, b, r, N)


@kernel
def _step_back(a: F64, b: F64, r: F64, N: F64) -> None:
    """Replace r by T'r and N by T'NT, T the companion matrix."""
    L, q = a.shape[0], b.shape[0]
    M = L + q
    top, row = r[0], N[0].copy()
    for j in range(M):
        h = a[j] if j < L else b[j - L]
        r[j] = h * top + (r[j + 1] if j != L - 1 and j != M - 1 else 0.0)
    for i in range(M):
        hi = a[i] if i < L else b[i - L]
        ui = i != L - 1 and i != M - 1
        for j in range(M):
            hj = a[j] if j < L else b[j - L]
            uj = j != L - 1 and j != M - 1
            acc = hi * hj * row[0]
            if uj:
                acc += hi * row[j + 1]
            if ui:
                acc += hj * row[i + 1]
                if uj:
                    acc += N[i + 1, j + 1]
            N[i, j] = acc
