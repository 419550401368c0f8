"""ARIMA recursions written out in plain loops, from the definitions."""

from __future__ import annotations

import numpy as np


def expand_ar(phi, seasonal_phi, d, seasonal_d, s):
    """a of 1 - sum a_j L^j = phi(L) Phi(L^s) (1-L)^d (1-L^s)^D."""
    c = np.r_[1.0, -np.asarray(phi, dtype=float)]
    c = np.convolve(c, _spread(-np.asarray(seasonal_phi, dtype=float), s))
    for _ in range(d):
        c = np.convolve(c, [1.0, -1.0])
    for _ in range(seasonal_d):
        c = np.convolve(c, _spread([-1.0], s))
    return -c[1:]


def expand_ma(theta, seasonal_theta, s):
    return np.convolve(np.r_[1.0, theta], _spread(seasonal_theta, s))[1:]


def _spread(coef, s):
    out = np.zeros(len(coef) * s + 1)
    out[0] = 1.0
    for i, c in enumerate(coef, start=1):
        out[i * s] = c
    return out


def forecast_path(a, b, levels, innovations, drive):
    """Append expected values to the history, newest last."""
    w, e = list(levels)[::-1], list(innovations)[::-1]
    start = len(w)
    for m in drive:
        ahead = sum(a[j] * w[-1 - j] for j in range(len(a)))
        ahead += sum(b[j] * e[-1 - j] for j in range(len(b)) if j < len(e))
        w.append(m + ahead)
        e.append(0.0)
    return np.array(w[start:])


def psi(a, b, h):
    """Response of w to a unit innovation: a path that starts from nothing."""
    e = np.r_[1.0, np.zeros(h)]
    w = np.zeros(h)
    for t in range(h):
        w[t] = e[t] + sum(b[j] * e[t - 1 - j] for j in range(min(t, len(b))))
        w[t] += sum(a[j] * w[t - 1 - j] for j in range(min(t, len(a))))
    return w


def simulate(a, b, m, e):
    """w_t = m_t + sum a_j w_{t-j} + e_t + sum b_j e_{t-j}, zero before the start."""
    w = np.zeros(len(e))
    for t in range(len(e)):
        w[t] = m[t] + e[t] + sum(b[j] * e[t - 1 - j] for j in range(min(t, len(b))))
        w[t] += sum(a[j] * w[t - 1 - j] for j in range(min(t, len(a))))
    return w
