"""STL of one series: every local fit is a weighted least-squares problem of its own. Jumps are all 1."""

from __future__ import annotations

import numpy as np


def _fit(x, y, weight, at, window, degree):
    """Local fit at `at`: tricube weights over the `window` nearest points, Cleveland's cut-offs."""
    n = len(x)
    width = min(window, n)
    left = int(np.clip(at - (window - 1) // 2, 0, n - width))
    near = slice(left, left + width)
    reach = max(abs(at - x[near][0]), abs(x[near][-1] - at)) + max(window - n, 0) // 2
    distance = np.abs(x[near] - at)
    w = np.where(distance <= 0.001 * reach, 1.0, (1 - (distance / reach) ** 3) ** 3)
    w = np.where(distance <= 0.999 * reach, w, 0.0) * weight[near]
    if w.sum() == 0:
        return np.nan
    centre = (w * x[near]).sum() / w.sum()
    if degree == 0 or np.sqrt((w * (x[near] - centre) ** 2).sum() / w.sum()) <= 0.001 * (n - 1):
        return (w * y[near]).sum() / w.sum()
    X = np.stack([np.ones(width), x[near] - at], axis=1)
    root = np.sqrt(w)[:, None]
    return np.linalg.lstsq(X * root, y[near] * root[:, 0], rcond=None)[0][0]


def loess(y, weight, window, degree, at):
    x = np.arange(len(y), dtype=float)
    return np.array([_fit(x, y, weight, a, window, degree) for a in at])


def stl(y, period, window, degree, inner, outer=0):
    """Trend, seasonal, weights. `window`, `degree`: seasonal, trend, low-pass. NaN in y has no weight."""
    n = len(y)
    seen = (~np.isnan(y)).astype(float)
    y = np.where(seen > 0, y, 0.0)
    trend, seasonal, weight = np.zeros(n), np.zeros(n), seen.copy()
    for k in range(outer + 1):
        for _ in range(inner):
            C = np.zeros(n + 2 * period)
            for j in range(period):
                part = (y - trend)[j::period]
                C[j::period] = loess(part, weight[j::period], window[0], degree[0], range(-1, len(part) + 1))
            means = C
            for width in (period, period, 3):
                means = np.convolve(means, np.full(width, 1 / width), mode="valid")
            low = loess(means, np.ones(n), window[2], degree[2], range(n))
            seasonal = C[period : period + n] - low
            trend = loess(y - seasonal, weight, window[1], degree[1], range(n))
        if k < outer:
            r = np.abs(y - trend - seasonal)
            u = r / (6 * np.median(r[seen > 0]))
            weight = seen * np.where(u <= 0.001, 1.0, np.where(u <= 0.999, (1 - u**2) ** 2, 0.0))
    return trend, seasonal, weight
