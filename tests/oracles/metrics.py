"""Scores of one window, point by point in plain Python, from the formulas."""

from __future__ import annotations

import math


def _seen(y, *others):
    return [row for row in zip(y, *others, strict=True) if not math.isnan(row[0])]


def _mean(terms):
    return sum(terms) / len(terms) if terms else math.nan


def mae(y, f):
    return _mean([abs(a - b) for a, b in _seen(y, f)])


def rmse(y, f):
    return math.sqrt(_mean([(a - b) ** 2 for a, b in _seen(y, f)]))


def smape(y, f):
    return _mean([0.0 if a == b == 0 else 200 * abs(a - b) / (abs(a) + abs(b)) for a, b in _seen(y, f)])


def scale(train, m, power=1):
    pairs = [(train[t], train[t - m]) for t in range(m, len(train))]
    terms = [abs(a - b) ** power for a, b in pairs if not (math.isnan(a) or math.isnan(b))]
    value = _mean(terms)
    return value if value > 0 else math.nan


def mase(y, f, train, m):
    return mae(y, f) / scale(train, m)


def rmsse(y, f, train, m):
    return rmse(y, f) / math.sqrt(scale(train, m, 2))


def pinball(y, f, tau):
    return _mean([tau * (a - b) if a >= b else (1 - tau) * (b - a) for a, b in _seen(y, f)])


def coverage(y, lo, hi):
    return _mean([1.0 if a <= b <= c else 0.0 for b, a, c in _seen(y, lo, hi)])


def msis(y, lo, hi, train, m, level):
    alpha = 1 - level / 100
    terms = []
    for a, low, high in _seen(y, lo, hi):
        term = high - low
        if a < low:
            term += 2 / alpha * (low - a)
        if a > high:
            term += 2 / alpha * (a - high)
        terms.append(term)
    return _mean(terms) / scale(train, m)


def quantile_function(tau, taus, q):
    """Linear between the quantiles at hand, constant beyond the outermost."""
    if tau <= taus[0]:
        return q[0]
    for k in range(1, len(taus)):
        if tau <= taus[k]:
            return q[k - 1] + (q[k] - q[k - 1]) * (tau - taus[k - 1]) / (taus[k] - taus[k - 1])
    return q[-1]


def crps(y, q, taus, steps=4000):
    """Midpoint rule over tau; `q` is one list of quantiles a point."""
    terms = []
    for a, *row in _seen(y, *q):
        grid = [(i + 0.5) / steps for i in range(steps)]
        errors = [(t, a - quantile_function(t, taus, row)) for t in grid]
        terms.append(2 * sum(e * (t - (e < 0)) for t, e in errors) / steps)
    return _mean(terms)
