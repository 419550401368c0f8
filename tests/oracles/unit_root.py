"""Unit-root statistics of one series, from the textbook regressions, in dense matrices and plain loops."""

from __future__ import annotations

import math

import numpy as np


def _regress(X, y):
    """Coefficients, residuals and their covariance factor, by the singular values of X."""
    beta, *_ = np.linalg.lstsq(X, y, rcond=None)
    return beta, y - X @ beta, np.linalg.pinv(X) @ np.linalg.pinv(X).T


def adf_design(y, lag, trend):
    """Rows (dy_t | y_{t-1}, dy_{t-1}, ..., dy_{t-lag}, deterministic) where all of it is observed."""
    rows, target = [], []
    for t in range(lag + 1, len(y)):
        window = y[t - lag - 1 : t + 1]
        if np.isnan(window).any():
            continue
        target.append(y[t] - y[t - 1])
        lags = [y[t - j] - y[t - j - 1] for j in range(1, lag + 1)]
        rows.append([y[t - 1], *lags, *[float(t) ** k for k in range(trend)]])
    return np.array(rows), np.array(target), lag + 1 + trend


def adf(y, lag, trend):
    """t ratio of the level, and the number of rows."""
    X, dy, k = adf_design(y, lag, trend)
    if len(dy) <= k:
        return math.nan, 0
    beta, e, cov = _regress(X, dy)
    return beta[0] / math.sqrt(e @ e / (len(dy) - k) * cov[0, 0]), len(dy)


def adf_lag(y, top, trend, criterion):
    """Lag with the lowest AIC or BIC, all on the rows that are complete for `top`."""
    best = (math.inf, 0)
    X, dy, _ = adf_design(y, top, trend)
    m = len(dy)
    for lag in range(top + 1):
        k = lag + 1 + trend
        part = np.hstack([X[:, : lag + 1], X[:, top + 1 :]])
        _, e, _ = _regress(part, dy)
        penalty = 2 * k if criterion == "aic" else k * math.log(m)
        best = min(best, (m * math.log(e @ e / m) + penalty, lag))
    return best[1]


def _residuals(y, trend):
    """Residuals of a mean or a line over the observed points; NaN stays."""
    t = np.arange(len(y), dtype=float)
    seen = ~np.isnan(y)
    X = np.stack([t**k for k in range(trend)], axis=1)
    beta, *_ = np.linalg.lstsq(X[seen], y[seen], rcond=None)
    return y - X @ beta


def _long_run(e, lag):
    """Sum over pairs of observed residuals, weighted by the Bartlett kernel of their distance."""
    total = 0.0
    for s in range(len(e)):
        for t in range(len(e)):
            weight = 1 - abs(s - t) / (lag + 1)
            if weight > 0 and not math.isnan(e[s]) and not math.isnan(e[t]):
                total += weight * e[s] * e[t]
    return total


def kpss(y, lag, trend):
    seen = np.flatnonzero(~np.isnan(y))
    y = y[seen[0] : seen[-1] + 1]
    e = _residuals(y, trend)
    partial = [sum(v for v in e[: t + 1] if not math.isnan(v)) for t in range(len(e))]
    n = len(e)
    return sum(s * s for s in partial) / n**2 / (_long_run(e, lag) / n)


def phillips_perron(y, lag, trend, current=False):
    """Z-tau and Z-rho."""
    before, now = y[:-1], y[1:]
    rows = ~np.isnan(before) & ~np.isnan(now)
    t = np.arange(len(now), dtype=float)
    fixed = np.stack([t**k for k in range(trend)], axis=1)[rows]
    X = np.column_stack([before[rows], fixed])
    beta, e, cov = _regress(X, now[rows])
    n = len(e)
    se = math.sqrt(e @ e / (n - trend - 1) * cov[0, 0])
    grid = np.full(len(now), np.nan)
    grid[rows] = e
    s2, l2 = e @ e / n, _long_run(grid, lag) / n
    level = now[rows] if current else before[rows]
    around = level - fixed @ np.linalg.lstsq(fixed, level, rcond=None)[0]
    M = around @ around / n**2 * (1 - 1 / n**2 if trend == 2 else 1)
    tau = math.sqrt(s2 / l2) * (beta[0] - 1) / se - (l2 - s2) / (2 * math.sqrt(l2) * math.sqrt(M))
    return tau, n * (beta[0] - 1) - (l2 - s2) / (2 * M)
