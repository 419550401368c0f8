"""Variance from estimated parameters: numerical derivatives and dense covariance matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg import toeplitz

from tests.oracles import recursion


def autocovariances(phi, count):
    """gamma_0 .. gamma_{count-1} of an AR with unit innovations: the Yule-Walker system, solved."""
    p = len(phi)
    matrix = np.eye(p + 1)
    for j in range(p + 1):
        for i in range(1, p + 1):
            matrix[j, abs(j - i)] -= phi[i - 1]
    gamma = list(np.linalg.solve(matrix, np.r_[1.0, np.zeros(p)]))
    while len(gamma) < count:
        gamma.append(sum(phi[i] * gamma[-1 - i] for i in range(p)))
    return np.array(gamma[:count])


def covariance(phi, n):
    """Gamma^{-1} / n at the nonzero lags."""
    lags = np.flatnonzero(phi)
    gamma = toeplitz(autocovariances(phi, len(phi)))
    return np.linalg.inv(gamma[np.ix_(lags, lags)]) / n


def phi_gradient(phi, mean, seasonal_phi, d, seasonal_d, s, levels, h, step=1e-6):
    """(h, nonzero lags) central differences of the forecast, with the mean of u held fixed."""

    def path(coef):
        a = recursion.expand_ar(coef, seasonal_phi, d, seasonal_d, s)
        const = mean * (1 - coef.sum())
        return recursion.forecast_path(a, [], levels, [], np.full(h, const))

    columns = []
    for i in np.flatnonzero(phi):
        up, down = phi.copy(), phi.copy()
        up[i] += step
        down[i] -= step
        columns.append((path(up) - path(down)) / (2 * step))
    return np.array(columns).T


def phi_variance(phi, mean, seasonal_phi, d, seasonal_d, s, levels, h, n):
    g = phi_gradient(phi, mean, seasonal_phi, d, seasonal_d, s, levels, h)
    return np.einsum("hk,kl,hl->h", g, covariance(phi, n), g)
