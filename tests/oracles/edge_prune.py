"""Pruning from its definitions: one regression after the other, loops over origins, dense autocovariances."""

from __future__ import annotations

import math

import numpy as np


def regression(v, z, lags):
    """Rows (x, y) of v on the columns z and `lags`, without those that hold a NaN."""
    first = max([0, *lags])
    x, y = [], []
    for t in range(first, len(v)):
        row = [*z[t], *(v[t - lag] for lag in lags)]
        if np.isfinite([*row, v[t]]).all():
            x.append(row)
            y.append(v[t])
    return np.array(x, dtype=float).reshape(len(y), z.shape[1] + len(lags)), np.array(y)


def least_squares(x, y):
    """Coefficients and residual sum of squares."""
    if x.shape[1] == 0:
        return np.zeros(0), float(y @ y)
    size = np.sqrt((x**2).sum(axis=0))
    coef = np.linalg.lstsq(x / size, y, rcond=None)[0] / size
    return coef, float(((y - x @ coef) ** 2).sum())


def path(x, y, f):
    """Columns left after 0, 1, .. drops of the smallest |t| behind the first f, and the rss of each."""
    kept = list(range(x.shape[1]))
    sets, sums = [], []
    while True:
        coef, rss = least_squares(x[:, kept], y)
        sets.append([j - f for j in kept if j >= f])
        sums.append(rss)
        if len(kept) == f:
            return sets, sums
        inverse = np.linalg.inv(x[:, kept].T @ x[:, kept])
        s2 = rss / (len(y) - len(kept))
        t = [abs(coef[i]) / math.sqrt(s2 * inverse[i, i]) for i in range(len(kept))]
        kept.remove(kept[min(range(f, len(kept)), key=lambda i: t[i])])


def bic(rss, n, k):
    return n * math.log(rss / n) + k * math.log(n)


def bic_choice(x, y, f):
    """The set of lags on the path whose BIC is smallest."""
    sets, sums = path(x, y, f)
    values = [bic(rss, len(y), len(kept)) for kept, rss in zip(sets, sums, strict=True)]
    return sets[int(np.argmin(values))]


def rolling_rmse(v, drive, phi, horizon, first, *, d=0):
    """Mean over h of the RMSE of forecasts from every origin whose first target is `first` or later.

    `phi` by lag; `drive` (t,) what else enters the equation. d times, errors add up to those of levels.
    """
    p, squares = len(phi), []
    for t in range(max(first, p), len(v) - horizon + 1):
        if not np.isfinite([*v[t - p : t + horizon], *drive[t - p : t + horizon]]).all():
            continue
        past = list(v[t - p : t])
        for h in range(horizon):
            past.append(drive[t + h] + sum(phi[i] * past[-1 - i] for i in range(p)))
        error = v[t : t + horizon] - np.array(past[p:])
        for _ in range(d):
            error = np.cumsum(error)
        squares.append(error**2)
    return float(np.sqrt(np.mean(squares, axis=0)).mean()), len(squares)


def autocovariances(phi, n, terms=20_000):
    """Autocovariances 0..n-1 of a stationary AR with unit innovations, by its psi weights."""
    psi = np.zeros(terms)
    psi[0] = 1.0
    for j in range(1, terms):
        for i in range(min(j, len(phi))):
            psi[j] += phi[i] * psi[j - 1 - i]
    return np.array([psi[: terms - k] @ psi[k:] for k in range(n)])


def error_variance(old, new):
    """Variance of new(L) w, w the AR with coefficients `old` and unit innovations: a' R a."""
    a = np.concatenate([[1.0], -np.asarray(new)])
    gamma = autocovariances(old, len(a), 4_000)
    return float(sum(a[i] * a[j] * gamma[abs(i - j)] for i in range(len(a)) for j in range(len(a))))


def levinson(parcor):
    """Coefficients from partial autocorrelations, by the textbook's loop."""
    phi = []
    for k in parcor:
        phi = [f - k * b for f, b in zip(phi, phi[::-1], strict=True)] + [k]
    return np.array(phi)
