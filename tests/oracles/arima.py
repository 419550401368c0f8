"""Regression with ARIMA errors from the formula: the likelihood of what a record says, by dense matrices."""

from __future__ import annotations

import numpy as np

from tests.oracles import filtering


def record_loglik(records, i, y, X=None):
    """Log-likelihood of series `i` (REGRESSION form) at the record's own parameters, and the points in it."""
    s, t = int(records.season_length[i]), np.arange(1, len(y) + 1)
    m = records.const[i] + records.slope[i] * t
    if X is not None:
        m = m + X @ records.beta[i]
    ar = filtering.polynomial(records.phi[i, : records.p[i]], records.seasonal_phi[i, : records.P[i]], s, -1)
    ma = filtering.polynomial(
        records.theta[i, : records.q[i]], records.seasonal_theta[i, : records.Q[i]], s, 1
    )
    delta = filtering.differencing(records.d[i], records.D[i], s)
    return filtering.dense_loglik(ar, ma, delta, y - m, records.sigma2[i])
