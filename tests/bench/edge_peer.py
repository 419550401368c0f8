"""The same state space models in statsmodels: what a tick costs there."""

from __future__ import annotations

import time
import warnings

import numpy as np
from statsmodels.tsa.statespace.sarimax import SARIMAX


class Peer:
    """SARIMAX with the parameters of series 0, and values to append.

    Parameters
    ----------
    y
        (T + rounds,) values, NaN where missing; the first T of them are known before the clock starts.
    x
        (T + rounds + horizon, k) regressors, or None.
    """

    def __init__(self, records, y, x, horizon, rounds):
        self.y, self.x, self.horizon, self.known = y, x, horizon, len(y) - rounds
        orders = {name: int(getattr(records, name)[0]) for name in ("p", "d", "q", "P", "D", "Q")}
        p, d, q, P, D, Q = orders.values()
        s = int(records.season_length[0]) if P or D or Q else 0
        parts = (records.beta, records.phi, records.theta, records.seasonal_phi, records.seasonal_theta)
        self.params = np.concatenate([*(part[0] for part in parts), records.sigma2[:1]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of starting values, which are not used
            known = None if x is None else x[: self.known]
            self.model = SARIMAX(y[: self.known], known, order=(p, d, q), seasonal_order=(P, D, Q, s))

    def tick_seconds(self):
        """CPU seconds of `append` of one value and `get_forecast`, mean and variance; one entry a tick."""
        fitted, took = self.model.smooth(self.params), []  # as `fit` returns it
        for at in range(self.known, len(self.y)):
            now, ahead = (None, None) if self.x is None else self.regressors(at)
            begin = time.thread_time()
            fitted = fitted.append(self.y[at : at + 1], exog=now)
            found = fitted.get_forecast(self.horizon, exog=ahead)
            _ = found.predicted_mean, found.var_pred_mean
            took.append(time.thread_time() - begin)
        return took

    def regressors(self, at):
        return self.x[at : at + 1], self.x[at + 1 : at + 1 + self.horizon]
