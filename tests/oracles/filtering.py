"""Filtering without a state space: everything observed or not is one Gaussian vector."""

from __future__ import annotations

import numpy as np


def polynomial(coefs, seasonal, period, sign):
    """1 + sign * (c_1 L + ...), times the seasonal factor; ascending powers."""
    a = np.concatenate([[1.0], sign * np.asarray(coefs, float)])
    b = np.zeros(1 + period * len(seasonal))
    b[0] = 1.0
    for j, value in enumerate(seasonal, 1):
        b[period * j] = sign * value
    return np.convolve(a, b)


def differencing(d, D, s):
    delta = np.ones(1)
    for _ in range(d):
        delta = np.convolve(delta, [1.0, -1.0])
    for _ in range(D):
        delta = np.convolve(delta, np.concatenate([[1.0], np.zeros(s - 1), [-1.0]]))
    return delta


def psi_weights(ar, ma, n):
    psi = np.zeros(n)
    for j in range(n):
        psi[j] = (ma[j] if j < len(ma) else 0.0) - sum(
            ar[i] * psi[j - i] for i in range(1, min(j, len(ar) - 1) + 1)
        )
    return psi


def joint(ar, ma, delta, n, burn=1000):
    """How levels and innovations depend on free first levels and shocks.

    Returns F (n, k), S (n, burn + n), E (n, burn + n): y = F b + S e and e_t, with unit shocks, where the
    differenced process has run for `burn` points before the first one.
    """
    k = len(delta) - 1
    psi = psi_weights(ar, ma, burn + n)
    F, S, E = np.zeros((n, k)), np.zeros((n, burn + n)), np.zeros((n, burn + n))
    for t in range(n):
        E[t, burn + t] = 1.0
        u = np.zeros(burn + n)
        u[: burn + t + 1] = psi[: burn + t + 1][::-1]
        if t < k:
            F[t, t] = 1.0
            continue
        S[t] = u
        for j in range(1, k + 1):
            F[t] -= delta[j] * F[t - j]
            S[t] -= delta[j] * S[t - j]
    return F, S, E


def condition(ar, ma, delta, y, sigma2=1.0):
    """Mean and covariance of (y_1..y_n, e_1..e_n) given the observed y, first levels free (flat prior)."""
    n = len(y)
    F, S, E = joint(ar, ma, delta, n)
    all_F = np.vstack([F, np.zeros_like(F)])
    all_S = np.vstack([S, E])
    cov = sigma2 * all_S @ all_S.T
    seen = np.flatnonzero(~np.isnan(y))
    C = cov[np.ix_(seen, seen)]
    # Free levels have no shock: the observed ones among the first k carry a zero variance row.
    A = np.block([[C, all_F[seen]], [all_F[seen].T, np.zeros((F.shape[1], F.shape[1]))]])
    cross = np.hstack([cov[:, seen], all_F])
    weights = np.linalg.solve(A, cross.T).T[:, : len(seen)]
    mean = weights @ y[seen]
    # Variance of what is left: x - W y_seen has no free level in it.
    R = all_S - weights @ all_S[seen]
    return mean, sigma2 * R @ R.T


def dense_loglik(ar, ma, delta, y, sigma2=None):
    """Log-likelihood given the observations that determine the free levels; sigma2 None: profiled."""
    n, k = len(y), len(delta) - 1
    F, S, _ = joint(ar, ma, delta, n)
    seen = np.flatnonzero(~np.isnan(y))
    first = []
    for t in seen:
        if len(first) < k and np.linalg.matrix_rank(F[[*first, t]]) > len(first):
            first.append(int(t))
    rest = [int(t) for t in seen if t not in first]
    W = F[rest] @ np.linalg.inv(F[first]) if k else np.zeros((len(rest), 0))
    e = y[rest] - W @ y[first]
    R = S[rest] - W @ S[first]
    C = R @ R.T
    squares = e @ np.linalg.solve(C, e)
    s2 = squares / len(e) if sigma2 is None else sigma2
    return -0.5 * (len(e) * np.log(2 * np.pi * s2) + np.linalg.slogdet(C)[1] + squares / s2), len(e)
