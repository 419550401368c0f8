"""Gaussian likelihood of a regression with (seasonal) ARIMA errors and gaps, by dense matrices.

In extended precision (64 bits of mantissa): next to a unit root the matrices are singular in double.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from tests.oracles import filtering


def coefficients(parcor):
    """Coefficients of 1 - sum c_i L^i with these partial autocorrelations (Durbin-Levinson)."""
    c = np.zeros(0)
    for k in parcor:
        c = np.concatenate([c - k * c[::-1], [k]])
    return c


def solve(A, b):
    """Gaussian elimination with partial pivoting."""
    A, b = np.array(A, dtype=np.longdouble), np.array(b, dtype=np.longdouble)
    for j in range(len(A)):
        k = j + int(np.argmax(np.abs(A[j:, j])))
        A[[j, k]], b[[j, k]] = A[[k, j]], b[[k, j]]
        factor = A[j + 1 :, j] / A[j, j]
        A[j + 1 :] -= factor[:, None] * A[j]
        b[j + 1 :] -= factor * b[j]
    x = np.zeros_like(b)
    for j in range(len(A) - 1, -1, -1):
        x[j] = (b[j] - A[j, j + 1 :] @ x[j + 1 :]) / A[j, j]
    return x


def whiten(C, b):
    """L^-1 b and log|C| with L L' = C."""
    L, b = np.array(C, dtype=np.longdouble), np.array(b, dtype=np.longdouble)
    for j in range(len(L)):
        assert L[j, j] > 0, "not positive definite"
        L[j:, j] /= np.sqrt(L[j, j])
        L[j + 1 :, j + 1 :] -= L[j + 1 :, j, None] * L[None, j + 1 :, j]
    for j in range(len(L)):
        b[j] /= L[j, j]
        b[j + 1 :] -= L[j + 1 :, j, None] * b[j]
    return b, 2 * np.log(np.diag(L)).sum()


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
    gamma = list(solve(A, rhs))
    while len(gamma) < n:
        gamma.append(-sum(ar[j] * gamma[-j] for j in range(1, p + 1)))
    return np.array(gamma[:n], dtype=np.longdouble)


def free_levels(delta, seen):
    """Log |determinant| that takes the free first levels to the first observations that determine them."""
    k, n = len(delta) - 1, int(seen[-1]) + 1
    F = np.zeros((n, k))
    first = []
    for t in range(n):
        if t < k:
            F[t, t] = 1.0
        for j in range(1, k + 1):
            F[t] -= delta[j] * F[t - j] if t >= k else 0.0
        if t in seen and len(first) < k and np.linalg.matrix_rank(F[[*first, t]]) > len(first):
            first.append(t)
    return float(np.linalg.slogdet(F[first])[1]) if k else 0.0


def loglik(ar, ma, delta, y, X=None):
    """Log-likelihood with sigma2 and beta at their best, beta, sigma2, and the observations counted.

    With differences, that of the observations given the first ones that determine the free levels. Missing
    points are projected out: a basis N of the contrasts of the differenced series that they do
    not touch, with |Omega of what is seen| = |N' Omega N| |D'D| for the differenced unit columns D.
    """
    n, k = len(y), len(delta) - 1
    seen, missing = np.flatnonzero(~np.isnan(y)), np.flatnonzero(np.isnan(y))
    X = np.zeros((n, 0)) if X is None else X

    def differenced(x):
        return np.convolve(x, delta)[k:n]

    i = np.arange(n - k)
    omega = autocovariances(ar, ma, n - k)[np.abs(i[:, None] - i[None, :])]
    D = np.array([differenced(unit) for unit in np.eye(n)[missing]]).reshape(len(missing), n - k).T
    Q, R = np.linalg.qr(D, mode="complete")
    N = Q[:, len(missing) :].astype(np.longdouble)
    filled = np.interp(np.arange(n), seen, y[seen])
    Z = np.array([differenced(x) for x in [*X.T, filled]]).T
    white, logdet = whiten(N.T @ omega @ N, N.T @ Z)
    Z, e, beta = white[:, :-1], white[:, -1], np.zeros(0)
    if Z.shape[1]:
        beta = solve(Z.T @ Z, Z.T @ e)
        e = e - Z @ beta
    logdet = float(logdet) + 2 * np.log(np.abs(np.diag(R))).sum()
    m, squares = len(e), float(e @ e)
    value = -0.5 * (m * (np.log(2 * np.pi * squares / m) + 1.0) + logdet) + free_levels(delta, seen)
    return value, beta.astype(float), squares / m, m


def rational_loglik(ar, ma, y):
    """Log-likelihood of a stationary ARMA without gaps, sigma2 at its best, in exact rational arithmetic.

    Yule-Walker equations and the factor of the covariance matrix as fractions of the given floats: nothing is
    rounded before the last line.
    """
    ar, ma, y = ([Fraction(float(x)) for x in some] for some in (ar, ma, y))
    p, q, n = len(ar) - 1, len(ma) - 1, len(y)
    psi = []
    for j in range(q + 1):
        psi.append(ma[j] - sum(ar[i] * psi[j - i] for i in range(1, min(p, j) + 1)))
    rhs = [sum((ma[j] * psi[j - k] for j in range(k, q + 1)), Fraction(0)) for k in range(max(p, q, n) + 1)]
    rows = [[Fraction(0)] * (p + 1) + [rhs[k]] for k in range(p + 1)]
    for k in range(p + 1):
        for j in range(p + 1):
            rows[k][abs(k - j)] += ar[j]
    for j in range(p + 1):
        k = next(k for k in range(j, p + 1) if rows[k][j])
        rows[j], rows[k] = rows[k], rows[j]
        for k in range(p + 1):
            if k != j:
                share = rows[k][j] / rows[j][j]
                rows[k] = [x - share * z for x, z in zip(rows[k], rows[j], strict=True)]
    gamma = [rows[k][-1] / rows[k][k] for k in range(p + 1)]
    for k in range(p + 1, n):
        gamma.append(rhs[k] - sum(ar[j] * gamma[k - j] for j in range(1, p + 1)))
    omega = [[gamma[abs(i - j)] for j in range(n)] + [y[i]] for i in range(n)]
    squares, logdet = Fraction(0), 0.0
    for j in range(n):
        pivot = omega[j][j]
        squares += omega[j][-1] ** 2 / pivot
        logdet += math.log(pivot)
        for i in range(j + 1, n):
            share = omega[i][j] / pivot
            omega[i] = [x - share * z for x, z in zip(omega[i], omega[j], strict=True)]
    return -0.5 * (n * (math.log(2 * math.pi * squares / n) + 1.0) + logdet)
