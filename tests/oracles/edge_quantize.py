"""Quantised AR models from the formulas, one model at a time and without haste."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from scipy.signal import lfilter


def decode(codes, scale):
    """Codes to lag coefficients, in Python floats: sine, then step-up."""
    phi = []
    for code in codes:
        k = math.sin(int(code) * float(scale))
        phi = [phi[i] - k * phi[len(phi) - 1 - i] for i in range(len(phi))] + [k]
    return np.array(phi)


def multiply(phi, seasonal, s):
    """Coefficients of (1 - sum phi_i L^i)(1 - sum Phi_i L^(is))."""
    long = np.zeros(1 + s * len(seasonal))
    long[0] = 1.0
    for i, value in enumerate(seasonal):
        long[s * (i + 1)] = -value
    return -np.convolve(np.concatenate([[1.0], -np.asarray(phi)]), long)[1:]


def differences(d, seasonal_d, s):
    """Coefficients c of (1 - L)^d (1 - L^s)^D = 1 - sum c_i L^i."""
    out = np.ones(1)
    for stride, times in ((1, d), (s, seasonal_d)):
        for _ in range(times):
            out = np.convolve(out, [1.0] + [0.0] * (stride - 1) + [-1.0])
    return -out[1:]


def autocovariance(phi):
    """(p, p) autocovariance matrix for innovations of variance 1: the Yule-Walker equations, exactly."""
    p = len(phi)
    left = [[Fraction(int(i == j)) for j in range(p + 1)] + [Fraction(int(i == 0))] for i in range(p + 1)]
    for lag in range(p + 1):
        for i in range(p):
            left[lag][abs(lag - 1 - i)] -= Fraction(float(phi[i]))
    gamma = _solved(np.array(left, dtype=object))
    return np.array([[gamma[abs(i - j)] for j in range(p)] for i in range(p)])


def variance_of(weights, phi):
    """Variance of sum_i weights_i y_{t-i}: squares of its response to an innovation, summed to its end.

    Equations for the autocovariance lose all digits of it near a unit root; a sum of squares loses none.
    """
    steps = int(min(2_000_000, 100 + 40 / max(1e-9, 1.0 - largest_pole(phi))))
    pulse = np.zeros(steps)
    pulse[: len(weights)] = weights
    return float((lfilter([1.0], np.concatenate([[1.0], -np.asarray(phi)]), pulse) ** 2).sum())


def _solved(rows):
    """Gaussian elimination of (n, n + 1) with exchanges of rows."""
    n = len(rows)
    for k in range(n):
        best = max(range(k, n), key=lambda i: abs(rows[i, k]))
        rows[[k, best]] = rows[[best, k]]
        rows[k] = rows[k] / rows[k, k]
        for i in range(n):
            if i != k:
                rows[i] = rows[i] - rows[i, k] * rows[k]
    return rows[:, n]


def rise(phi, other, horizon, d=0, seasonal_d=0, s=1, exact=False):
    """Mean over h of RMSE_h of the model `other` over that of the true model `phi`, less 1.

    Both are coefficients of the differenced series. Forecasts are made of the levels, from levels
    whose differences are each unit vector in turn.
    """
    phi, other = np.asarray(phi, float), np.asarray(other, float)
    step, gamma = differences(d, seasonal_d, s), autocovariance(phi) if exact else None
    past = len(phi) + len(step)
    off = np.zeros((horizon, len(phi)))
    for j in range(len(phi)):
        w = np.zeros(past + len(phi))
        w[past + len(phi) - 1 - j] = 1.0
        y = _filtered(step, w)
        off[:, j] = _ahead(_joined(other, step), y, horizon) - _ahead(_joined(phi, step), y, horizon)
    pulse = np.zeros(past + 1)
    pulse[-1] = 1.0
    psi = np.concatenate([[1.0], _ahead(_joined(phi, step), pulse, horizon)])[:horizon]
    total = 0.0
    for h in range(horizon):
        s2 = sum(psi[j] ** 2 for j in range(h + 1))
        if exact:
            row = np.array([Fraction(float(x)) for x in off[h]])
            total += math.sqrt(1.0 + float(row @ gamma @ row) / s2)
        else:
            total += math.sqrt(1.0 + variance_of(off[h], phi) / s2)
    return total / horizon - 1.0


def closest(curvature, theta, steps, most):
    """Return the least (S c - theta)' G (S c - theta) over all codes of the box, and those codes."""
    best = (math.inf, None)
    for codes in itertools.product(*(range(-int(m), int(m) + 1) for m in most)):
        off = np.array(codes) * steps - theta
        best = min(best, (float(off @ curvature @ off), codes))
    return best


def largest_pole(phi):
    """Largest modulus of the roots of z^p - phi_1 z^(p-1) - ... - phi_p."""
    phi = np.trim_zeros(np.asarray(phi, float), "b")
    return float(np.abs(np.roots(np.concatenate([[1.0], -phi]))).max()) if len(phi) else 0.0


def _joined(phi, step):
    return -np.convolve(np.concatenate([[1.0], -phi]), np.concatenate([[1.0], -step]))[1:]


def _filtered(step, w):
    y = np.zeros(len(w))
    for t in range(len(w)):
        y[t] = w[t] + sum(step[i] * y[t - 1 - i] for i in range(len(step)) if t - 1 - i >= 0)
    return y


def _ahead(a, y, horizon):
    path = list(y)
    for _ in range(horizon):
        path.append(sum(a[i] * path[-1 - i] for i in range(len(a)) if i < len(path)))
    return np.array(path[len(y) :])
