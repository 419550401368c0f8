"""Regressions from the formula: numpy's least squares on an explicit design matrix."""

from __future__ import annotations

import numpy as np


def arx_design(y, exog, terms, const, slope, season, lags, hold_back):
    """Rows (t, k) and targets whose every member is observed; columns const, slope, seasons, exog, lags."""
    rows, target = [], []
    for t in range(hold_back, len(y)):
        row = [1.0] * const + [t + 1.0] * slope + [float(t % season == s) for s in range(season)]
        row += [exog[name][t - lag] if t >= lag else np.nan for name, lag in terms]
        row += [y[t - lag] if t >= lag else np.nan for lag in lags]
        if np.isfinite([*row, y[t]]).all():
            rows.append(row)
            target.append(y[t])
    return np.array(rows).reshape(len(rows), -1), np.array(target)


def least_squares(x, target):
    """Coefficients, RSS; minimum norm where columns are dependent."""
    coef = np.linalg.lstsq(x, target, rcond=None)[0]
    return coef, float(np.square(target - x @ coef).sum())


def lasso_objective(x, target, fixed, coef, penalty):
    """1/(2n) RSS + penalty * sum s_j |b_j| with s_j the deviation of column j after the fixed ones."""
    n = len(target)
    free = x[:, fixed:] - x[:, :fixed] @ np.linalg.lstsq(x[:, :fixed], x[:, fixed:], rcond=None)[0]
    size = np.sqrt(np.square(free).mean(axis=0))
    rss = np.square(target - x @ coef).sum()
    return rss / (2 * n) + penalty * (size * np.abs(coef[fixed:])).sum()


def seasonal_walk(y, season):
    """Last level by season (newest first) and the mean squared step per season passed, NaN-safe."""
    steps, last = [], {}
    for t, value in enumerate(y):
        if np.isnan(value):
            continue
        s = t % season
        if s in last:
            k = (t - last[s][0]) // season
            steps.append((value - last[s][1]) ** 2 / k)
        last[s] = (t, value)
    levels = [last.get((len(y) - 1 - j) % season, (0, np.nan))[1] for j in range(season)]
    return levels, (float(np.mean(steps)) if steps else np.nan)


def classical_effects(w, season):
    """Additive effects by centred moving average, plainly."""
    half = season // 2
    detrended = {s: [] for s in range(season)}
    for t in range(half, len(w) - half):
        window = np.asarray(w[t - half : t + half + 1], dtype=float)
        weights = np.ones(len(window))
        if season % 2 == 0:
            weights[[0, -1]] = 0.5
        detrended[t % season].append(w[t] - (weights * window).sum() / season)
    effects = np.array([np.mean(detrended[s]) for s in range(season)])
    return effects - effects.mean()
