"""The likelihood kernels at given parameters, for tests and benchmarks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels.arima_data import prepare
from forecast.kernels.arma_buffers import pad_of, places
from forecast.kernels.arma_neighbours import search_space, values_at
from forecast.kernels.arma_polynomial import shape_of
from forecast.kernels.simd import buffer


class Point(NamedTuple):
    loglik: float
    sigma2: float
    beta: np.ndarray
    """Of the regressors that were kept."""


def loglik_at(order, y, parcor, X=None):
    """Exact log-likelihoods at rows of `parcor` (points, p + q + P + Q), beta and sigma2 at their best.

    Parameters
    ----------
    order
        (p, d, q, P, D, Q, s).
    y
        (t,) with NaN where missing, but not at its ends.
    """
    p, d, q, P, D, Q, s = order
    X = np.zeros((0, len(y))) if X is None else np.ascontiguousarray(X.T)
    ar_lags, ma_lags = np.zeros(p + s * P + 1, dtype=np.int64), np.zeros(q + s * Q + 1, dtype=np.int64)
    shape = shape_of(p, q, P, Q, s, ar_lags, ma_lags)
    data, made = prepare(np.array(y, dtype=float), X, d, D, s, pad_of(shape))
    rows = places(shape, data.n, len(data.columns), len(data.holes), len(data.diff) - 1)
    work = buffer(rows.size)
    found = []
    for point in np.atleast_2d(parcor):
        at = search_space(shape.n_arma, made.r)
        at.points[0] = point
        values_at(shape, ar_lags, ma_lags, data, work, rows, 1, at)
        n = data.n_obs
        loglik = made.log_free - n * (at.values[0] + 0.5 * np.log(2 * np.pi) + 0.5 + np.log(made.unit))
        beta = np.linalg.solve(made.R[: made.r, : made.r], made.offset[: made.r] + made.unit * at.slopes[0])
        sigma2 = work[rows.value, 0] / n * made.unit**2
        found.append(Point(float(loglik), float(sigma2), beta))
    return found
