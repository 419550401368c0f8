"""Portmanteau statistics of one series of residuals, by plain loops over pairs of observed points."""

from __future__ import annotations

import math

import numpy as np


def ljung_box(y, lags):
    """Ljung-Box and Box-Pierce, each term divided by its variance under whiteness."""
    seen = [v for v in y if not math.isnan(v)]
    n = len(seen)
    mean = sum(seen) / n
    c0 = sum((v - mean) ** 2 for v in seen) / n
    q = box = 0.0
    for k in range(1, lags + 1):
        pairs = [(a, b) for a, b in zip(y[k:], y[:-k], strict=True) if not math.isnan(a + b)]
        r = sum((a - mean) * (b - mean) for a, b in pairs) / len(pairs) / c0
        q += len(pairs) * (n + 2) / n * r * r
        box += len(pairs) * (n - k) / n * r * r
    return q, box


def jarque_bera(y):
    y = y[~np.isnan(y)]
    z = (y - y.mean()) / y.std()
    return len(y) / 6 * ((z**3).mean() ** 2 + ((z**4).mean() - 3) ** 2 / 4)


def arch_lm(y, lags):
    """n R^2 of e_t^2 on a constant and its lags, over the rows where all are observed."""
    y = y / np.nanmax(np.abs(y))  # R^2 has no units; the solver's rank test has
    rows = [t for t in range(lags, len(y)) if not np.isnan(y[t - lags : t + 1]).any()]
    target = np.array([y[t] ** 2 for t in rows])
    X = np.array([[1.0, *[y[t - j] ** 2 for j in range(1, lags + 1)]] for t in rows])
    e = target - X @ np.linalg.lstsq(X, target, rcond=None)[0]
    return len(rows) * (1 - e @ e / ((target - target.mean()) ** 2).sum())
