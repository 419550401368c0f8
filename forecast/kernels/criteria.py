"""Information criteria, and the order that minimises them."""

from __future__ import annotations

import math

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64, U8

FIXED, AIC, AICC, BIC, HQIC = 0, 1, 2, 3, 4

LOG_2PI = 1.8378770664093453


@kernel
def lag_cap(t: int, max_lags: int, const: int) -> int:
    """Return the largest order to try on `t` points, -1 when there are too few for any model.

    (t - 3 - const) // 2, at most `max_lags`: with `m` points held back the regression still has more
    rows than parameters (sigma2 counted) plus one, which is what AICc divides by.
    """
    if t < 3 + const:
        return -1
    return min(max_lags, (t - 3 - const) // 2)


@kernel
def blank_row(row: int, phi: F64, level: F64, sigma2: F64, order: I64, ic: F64, loglik: F64, ok: U8) -> None:
    """Write what a series without a model has: zero coefficients, NaN elsewhere, ok = 0."""
    for i in range(phi.shape[1]):
        phi[row, i] = 0.0
    for i in range(ic.shape[1]):
        ic[row, i] = np.nan
    level[row], sigma2[row], loglik[row] = np.nan, np.nan, np.nan
    order[row], ok[row] = 0, 0


@kernel
def penalty(criterion: int, n: int, n_params: int) -> float:
    """Return what a criterion adds to -2 log L; `n_params` counts sigma2. `FIXED` reports the AIC.

    Infinite where AICc has no meaning.
    """
    if criterion == AICC:
        spare = n - n_params - 1.0
        return 2.0 * n_params * n / spare if spare > 0.0 else np.inf
    if criterion == BIC:
        return n_params * math.log(n)
    if criterion == HQIC:
        return 2.0 * n_params * math.log(math.log(n))
    return 2.0 * n_params


@kernel
def gaussian_loglik(n: int, sigma2: float) -> float:
    """Log-likelihood of `n` independent normal errors at their own mean square."""
    return -0.5 * n * float(LOG_2PI + np.log(sigma2) + 1.0)


@kernel
def select_order(loglik: F64, m: int, n: int, const: int, criterion: int, ic: F64) -> int:
    """Write the criterion of orders 0..m and return the best (the smallest of equals).

    Parameters
    ----------
    loglik
        (>= m + 1,) log-likelihood by order.
    n
        Observations in every one of them.
    ic
        (>= m + 1,) out; untouched beyond `m`.
    """
    best = 0
    for k in range(m + 1):
        ic[k] = -2.0 * loglik[k] + penalty(criterion, n, k + const + 1)
        if ic[k] < ic[best]:
            best = k
    return m if criterion == FIXED else best
