"""Graph A from the definitions: one series, plain loops, the terms of the record as they stand."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from forecast.models.records import Form, Transform
from tests.oracles import recursion


def deterministic(record, t, names, x, origin, t_origin):
    """m at time t; x holds rows of regressors, row `origin` stands at t_origin."""
    s = max(int(record.season_length[0]), 1)
    m = record.const[0] + record.slope[0] * t
    if record.seasonal.shape[1]:
        m += record.seasonal[0, (t - 1) % s]
    for j, term in enumerate(record.exog):
        beta = record.beta[0, j]
        if beta == 0:
            continue
        if term.name.startswith("fourier("):
            period, wave, k = term.name[8:-1].split(",")
            angle = 2 * np.pi * ((t * int(k)) % float(period)) / float(period)
            m += beta * (np.sin(angle) if wave == "sin" else np.cos(angle))
        else:
            m += beta * x[origin + (t - t_origin) - term.lag, names.index(term.name)]
    return m


def forecast(record, names, n_past, call, horizon, levels=()):
    """Return mean, variance, lo, hi of one series (a record of one), as graph A defines them.

    `call` has `lags` (n_lags,), and where needed `t` and `x`.
    """
    lags = np.asarray(call["lags"], dtype=float)
    t = int(call.get("t", record.nobs[0]))
    x = call.get("x")
    log = record.transform[0] == Transform.LOG
    scale = float(record.scale[0])
    a = recursion.expand_ar(
        record.phi[0, : record.p[0]], record.seasonal_phi[0, : record.P[0]],
        int(record.d[0]), int(record.D[0]), int(record.season_length[0]),
    )  # fmt: skip
    width = max(1, len(a))
    w = np.log(lags[:width] / scale) if log else lags[:width] / scale
    ahead = np.array([deterministic(record, t + k, names, x, n_past - 1, t) for k in range(1, horizon + 1)])
    if record.form[0] == Form.REGRESSION:
        used = len(a)
        past = np.array([deterministic(record, t - i, names, x, n_past - 1, t) for i in range(used)])
        level = w[:used] - past
        path = recursion.forecast_path(a, [], level, [], np.zeros(horizon)) + ahead
    else:
        path = recursion.forecast_path(a, [], w[: len(a)], [], ahead)
    psi = recursion.psi(a, [], horizon)
    wider = float(record.oos_scale[0]) if record.oos_scale[0] > 1 else 1.0
    variance = record.sigma2[0] * wider**2 * np.cumsum(psi**2)

    def units(value):
        return np.exp(value + np.log(scale)) if log else value * scale

    reach = [NormalDist().inv_cdf(0.5 + level / 200) for level in levels]
    lo = np.array([units(path - z * np.sqrt(variance)) for z in reach])
    hi = np.array([units(path + z * np.sqrt(variance)) for z in reach])
    return units(path), variance, lo, hi
