"""AR estimators from their definitions: plain loops and dense matrices, no kernel."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solve_toeplitz


def simulate(phi, n, rng, burn=300):
    """AR path of unit innovations."""
    y = np.zeros(n + burn)
    e = rng.normal(size=n + burn)
    p = len(phi)
    for t in range(n + burn):
        y[t] = e[t] + sum(phi[i] * y[t - 1 - i] for i in range(min(p, t)))
    return y[burn:]


def from_parcor(parcor):
    """Coefficients from partial autocorrelations (Durbin-Levinson)."""
    phi = []
    for k in parcor:
        phi = [f - k * b for f, b in zip(phi, phi[::-1], strict=True)] + [k]
    return np.array(phi)


def criterion(name, loglik, n, n_params):
    if name == "aicc":
        return -2 * loglik + 2 * n_params * n / (n - n_params - 1)
    return -2 * loglik + n_params * {"aic": 2, "bic": math.log(n), "hqic": 2 * math.log(math.log(n))}[name]


def conditional_loglik(rss, n):
    return -n / 2 * (math.log(2 * math.pi * rss / n) + 1)


def ols(y, p, const, hold_back=None):
    """Coefficients (intercept first with `const`) and residual sum of squares, rows hold_back..T-1."""
    hold = p if hold_back is None else hold_back
    columns = [np.ones(len(y) - hold)] * const
    columns += [y[hold - i : len(y) - i] for i in range(1, p + 1)]
    if not columns:
        return np.zeros(0), float(y[hold:] @ y[hold:])
    x = np.column_stack(columns)
    beta = np.linalg.lstsq(x, y[hold:], rcond=None)[0]
    resid = y[hold:] - x @ beta
    return beta, float(resid @ resid)


def burg(y, p, const):
    """Coefficients and sigma2 by the lattice, every sum formed anew."""
    x = y - y.mean() if const else y.copy()
    f, b = x[1:], x[:-1]
    sigma2 = x @ x / len(x)
    parcor = []
    for _ in range(p):
        k = 2 * math.fsum(f * b) / math.fsum(f * f + b * b)
        f, b = (f - k * b)[1:], (b - k * f)[:-1]
        sigma2 *= 1 - k * k
        parcor.append(k)
    return from_parcor(parcor), sigma2


def autocovariances(y, p, const):
    x = y - y.mean() if const else y
    return np.array([x[d:] @ x[: len(x) - d] for d in range(p + 1)]) / len(x)


def yule_walker(y, p, const):
    c = autocovariances(y, p, const)
    phi = solve_toeplitz(c[:p], c[1:]) if p else np.zeros(0)
    return phi, c[0] - phi @ c[1:]


def process_autocovariances(phi, n):
    """Autocovariances 0..n-1 of an AR process of unit innovations, from its linear equations."""
    p = len(phi)
    a = np.eye(p + 1)
    for k in range(p + 1):
        for i, coefficient in enumerate(phi, start=1):
            a[k, abs(k - i)] -= coefficient
    gamma = list(np.linalg.solve(a, np.eye(p + 1)[0]))
    while len(gamma) < n:
        gamma.append(sum(c * gamma[-i] for i, c in enumerate(phi, start=1)))
    return np.array(gamma[:n])


def exact_loglik(y, phi, mean, sigma2):
    """Log density of the multivariate normal distribution of `y`."""
    n = len(y)
    gamma = process_autocovariances(phi, n)
    cov = sigma2 * gamma[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))]
    sign, logdet = np.linalg.slogdet(cov)
    assert sign > 0
    x = y - mean
    return -0.5 * (n * math.log(2 * math.pi) + logdet + x @ np.linalg.solve(cov, x))
