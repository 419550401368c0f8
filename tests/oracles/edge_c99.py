"""What a C header computes, from the definitions: plain loops in float64."""

from __future__ import annotations

import math

import numpy as np

from tests.oracles.recursion import expand_ar, expand_ma, forecast_path


class Series:
    """Record `i`: its expanded equation, units and deterministic part."""

    def __init__(self, records, i, names):
        self.r, self.i, self.names = records, i, list(names)
        s = max(int(records.season_length[i]), 1)
        self.s = s
        self.a = expand_ar(
            records.phi[i, : records.p[i]], records.seasonal_phi[i, : records.P[i]],
            int(records.d[i]), int(records.D[i]), s,
        )  # fmt: skip
        self.b = expand_ma(records.theta[i, : records.q[i]], records.seasonal_theta[i, : records.Q[i]], s)
        self.regression = records.form[i] == 1
        self.log = records.transform[i] == 1
        self.scale = float(records.scale[i])

    def w(self, y):
        """w of y; NaN where there is none."""
        if self.log:
            return math.log(y) - math.log(self.scale) if y > 0 else math.nan
        return y / self.scale

    def y(self, w):
        return math.exp(w + math.log(self.scale)) if self.log else w * self.scale

    def m(self, t, x, row):
        """Deterministic part at time t, whose regressors stand in row `row` of x (older ones before it)."""
        r, i = self.r, self.i
        m = r.const[i] + r.slope[i] * t
        if r.seasonal.shape[1]:
            m += r.seasonal[i, (t - 1) % self.s]
        for j, term in enumerate(r.exog):
            if r.beta[i, j] == 0:
                continue
            if term.name.startswith("fourier("):
                period, wave, k = term.name[len("fourier(") : -1].split(",")
                angle = 2 * math.pi * int(k) * t / float(period)
                m += r.beta[i, j] * (math.sin(angle) if wave == "sin" else math.cos(angle))
            else:
                m += r.beta[i, j] * x[row - term.lag][self.names.index(term.name)]
        return float(m)

    def variance(self, horizon):
        unit = [1.0, *np.zeros(len(self.a))]
        psi = forecast_path(self.a, self.b, unit, [1.0], np.zeros(horizon))
        psi = np.concatenate([[1.0], psi[: horizon - 1]])
        widen = max(1.0, float(np.nan_to_num(self.r.oos_scale[self.i], nan=1.0)))
        return self.r.sigma2[self.i] * np.cumsum(psi**2) * widen**2

    def forecast(self, lags, t, x, n_past, horizon):
        """Means from lags newest first; x has n_past rows up to t, then future ones."""
        levels = [self.w(v) for v in lags[: max(1, len(self.a))]]
        if self.regression:
            levels = [v - self.m(t - k, x, n_past - 1 - k) for k, v in enumerate(levels)]
        ahead = [self.m(t + 1 + k, x, n_past + k) for k in range(horizon)]
        return self._path(levels, [], ahead, horizon)

    def _path(self, levels, shocks, ahead, horizon):
        drive = np.zeros(horizon) if self.regression else ahead
        path = forecast_path(self.a, self.b, levels, shocks, drive)
        return [self.y(v + (ahead[k] if self.regression else 0.0)) for k, v in enumerate(path)]


class Stepper:
    """A state that moves: what is missing becomes its forecast, with innovation 0."""

    def __init__(self, series):
        r, i = series.r, series.i
        self.series, self.t = series, int(r.nobs[i])
        self.levels = [float(v) for v in r.levels[i, : max(1, len(series.a))]]
        self.shocks = [float(v) for v in r.innovations[i, : len(series.b)]]

    def step(self, y, x, row, horizon):
        """Imputed value and means; row `row` of x stands at the new time."""
        one, t = self.series, self.t + 1
        now = one.m(t, x, row)
        drive = 0.0 if one.regression else now
        predicted = float(forecast_path(one.a, one.b, self.levels, self.shocks, [drive])[0])
        w = one.w(y) if math.isfinite(y) else math.nan
        missing = not math.isfinite(w)
        seen = predicted if missing else w - (now if one.regression else 0.0)
        self.levels = [seen, *self.levels[:-1]]
        if self.shocks:
            self.shocks = [seen - predicted, *self.shocks[:-1]]
        self.t = t
        ahead = [one.m(t + 1 + k, x, row + 1 + k) for k in range(horizon)]
        imputed = one.y(predicted + (now if one.regression else 0.0)) if missing else y
        return imputed, one._path(self.levels, self.shocks, ahead, horizon)
