r"""Exact Gaussian likelihood of an AR(p) with missing values.

.. math:: y_t - \mu = \sum_{i=1}^{p} \phi_i (y_{t-i} - \mu) + e_t

from a stationary start, by the prediction errors of the Kalman filter with state (y_t .. y_{t-p+1}):
O(p) a point while the last p points are known, O(p^2) from a gap until p points after it.

Source: Jones (1980), Technometrics 22, 389-395. Oracle: ``tests/oracles/filtering.py::dense_loglik``.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel
from forecast.kernels.companion_filter import predict_cov, update_cov
from forecast.kernels.roots import step_up
from forecast.types import F64


@kernel
def autocovariances(k: F64, p: int, gamma: F64) -> None:
    """gamma[0..p-1] of the stationary AR with partial autocorrelations k and sigma2 = 1."""
    phi, old = np.zeros(p), np.zeros(p)
    var = 1.0
    for j in range(p):
        var /= (1.0 - k[j]) * (1.0 + k[j])
    for j in range(p):
        gamma[j] = 0.0 if j > 0 else var
        if j > 0:
            for i in range(j - 1):
                gamma[j] += phi[i] * gamma[j - 1 - i]
            gamma[j] += k[j - 1] * var
            old[: j - 1] = phi[: j - 1]
            for i in range(j - 1):
                phi[i] = old[i] - k[j - 1] * old[j - 2 - i]
            phi[j - 1] = k[j - 1]
            var *= (1.0 - k[j - 1]) * (1.0 + k[j - 1])


@kernel
def _stationary_cov(k: F64, p: int, P: F64) -> None:
    """Write the covariance of p points in a row, sigma2 = 1."""
    gamma = np.zeros(p)
    autocovariances(k, p, gamma)
    for i in range(p):
        for j in range(p):
            P[i, j] = gamma[abs(i - j)]


@kernel
def _ahead(back: F64, path: F64, t: int) -> float:
    """Predict the point after `path[t : t + L]`; `back` holds phi, the largest lag first."""
    pred = 0.0
    for j in range(back.shape[0]):
        pred += back[j] * path[t + j]
    return pred


@kernel
def _carry(
    y: float, phi: F64, back: F64, t: int, path: F64, ones: F64, P: F64, g: F64
) -> tuple[bool, float, float, float]:
    """Take in one point, or its absence, while the state is not known.

    Returns whether it is now, the errors of both runs, and their variance; `path` holds the prediction of
    the point on entry.
    """
    at = phi.shape[0] + t
    pred_one = _ahead(back, ones, t)
    predict_cov(phi, np.zeros(0), 1.0, P, g)
    ones[at] = pred_one
    v, v1, f = float(y - path[at]), 1.0 - pred_one, float(g[0])
    if np.isnan(y):
        return False, v, v1, f
    for j in range(phi.shape[0]):
        path[at - j] += g[j] * v / f
        ones[at - j] += g[j] * v1 / f
    path[at], ones[at] = y, 1.0
    return update_cov(1.0, P, g), v, v1, f


@large_kernel
def profile_loglik(x: F64, k: F64, p: int, const: bool) -> tuple[float, float, float]:
    """Log-likelihood, maximised over mean (if `const`) and sigma2, and these two.

    Parameters
    ----------
    x
        (t,) observations, NaN where missing; the first is observed.
    k
        (>= p,) partial autocorrelations.
    """
    L = max(p, 1)
    phi, g = np.zeros(L), np.zeros(L)
    step_up(k, p, phi)
    P = np.zeros((L, L))
    _stationary_cov(k, p, P)
    known = p == 0
    n_all = x.shape[0]
    # Two runs of the same filter: on the data, and on a series of ones with the same gaps.
    path, ones = np.zeros(L + n_all), np.zeros(L + n_all)
    back = phi[::-1].copy()
    level = 1.0
    for j in range(p):
        level -= phi[j]
    n, log_f, yy, y1, one2 = 0, 0.0, 0.0, 0.0, 0.0
    for t in range(n_all):
        pred = _ahead(back, path, t)
        missing = np.isnan(x[t])
        if known and not missing:
            v = x[t] - pred
            n += 1
            yy += v * v
            y1 += v * level
            one2 += level * level
            path[L + t] = x[t]
            ones[L + t] = 1.0
            continue
        path[L + t] = pred
        known, v, v1, f = _carry(x[t], phi, back, t, path, ones, P, g)
        if missing:
            continue
        n += 1
        log_f += np.log(f)
        yy += v * v / f
        y1 += v * v1 / f
        one2 += v1 * v1 / f
    mean = y1 / one2 if const and one2 > 0.0 else 0.0
    sigma2 = (yy - mean * y1) / n
    value = -0.5 * (n * (np.log(2.0 * np.pi * sigma2) + 1.0) + log_f) if sigma2 > 0.0 else -np.inf
    return value, mean, sigma2
