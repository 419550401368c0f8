"""Gaussian likelihood of a regression with (seasonal) ARIMA errors and gaps, by dense matrices."""

from __future__ import annotations

import numpy as np

from tests.oracles import filtering


def coefficients(parcor):
    """Coefficients of 1 - sum c_i L^i with these partial autocorrelations (Durbin-Levinson)."""
    c = np.zeros(0)
    for k in parcor:
        c = np.concatenate([c - k * c[::-1], [k]])
    return c


def autocovariances(ar, ma, n):
    """gamma_0 .. gamma_{n-1} for ascending polynomials ar, ma and unit innovations: Yule-Walker by solve."""
    p, q = len(ar) - 1, len(ma) - 1
    psi = filtering.psi_weights(ar, ma, q + 1)
    size = max(p, q) + 1
    A, rhs = np.zeros((size, size)), np.zeros(size)
    for k in range(size):
        for j in range(p + 1):
            A[k, abs(k - j)] += ar[j]
        rhs[k] = sum(ma[j] * psi[j - k] for j in range(k, q + 1))
    gamma = list(np.linalg.solve(A, rhs))
    while len(gamma) < n:
        gamma.append(-sum(ar[j] * gamma[-j] for j in range(1, p + 1)))
    return np.array(gamma[:n])


def loglik(ar, ma, delta, y, X=None):
    """Log-likelihood with sigma2 and beta at their best, beta, sigma2, and the observations counted.

    With differences, that of the observations given the first ones that determine the free levels.
    """
    n, k = len(y), len(delta) - 1
    i = np.arange(n - k)
    omega = autocovariances(ar, ma, n - k)[np.abs(i[:, None] - i[None, :])]
    # y = F b + S w, w the differenced series.
    F, S = np.zeros((n, k)), np.zeros((n, n - k))
    for t in range(n):
        if t < k:
            F[t, t] = 1.0
            continue
        S[t, t - k] = 1.0
        for j in range(1, k + 1):
            F[t] -= delta[j] * F[t - j]
            S[t] -= delta[j] * S[t - j]
    seen = np.flatnonzero(~np.isnan(y))
    first = []
    for t in seen:
        if len(first) < k and np.linalg.matrix_rank(F[[*first, t]]) > len(first):
            first.append(int(t))
    rest = [int(t) for t in seen if t not in first]
    W = F[rest] @ np.linalg.inv(F[first]) if k else np.zeros((len(rest), 0))
    R = S[rest] - W @ S[first]
    C = R @ omega @ R.T
    e = y[rest] - W @ y[first]
    L = np.linalg.cholesky(C)
    e, beta = np.linalg.solve(L, e), np.zeros(0)
    if X is not None and X.shape[1]:
        Z = np.linalg.solve(L, X[rest] - W @ X[first])
        beta = np.linalg.lstsq(Z, e, rcond=None)[0]
        e = e - Z @ beta
    m, squares = len(e), float(e @ e)
    logdet = 2.0 * np.log(np.diag(L)).sum()
    return -0.5 * (m * (np.log(2 * np.pi * squares / m) + 1.0) + logdet), beta, squares / m, m
