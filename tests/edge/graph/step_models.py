"""Models for the Kalman step, one of every kind, and how far apart two runs over them are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecast.models.freq import Freq
from forecast.models.records import ExogTerm, Form, Records, Transform
from tests import record_strategies
from tests.edge.graph.step_worlds import Device, Library, errors, regressors, with_tail
from tests.strategies import make_records

H, TICKS = 24, 200
# 1e-12 is what is promised; what is left of rounding is 1e-14.
TOLERANCE = 1e-12
RNG = np.random.default_rng(20261121)


def stationary(p, size=0.9, seed=0):
    rng = np.random.default_rng(seed)
    a = []
    for m in range(p):
        k = rng.uniform(-size, size)
        a = [a[j] - k * a[m - 1 - j] for j in range(m)] + [k]
    return a


REG = Form.REGRESSION
A, B2, A1 = ExogTerm("a"), ExogTerm("b", 2), ExogTerm("a", 1)
LAGGED = {"exog": (A, B2, A1), "exog_tail": np.zeros((1, 2, 2)), "beta": [[2.0, -1.0, 0.5]]}
MODELS = {
    "white": {"const": 3.0},
    "ar1": {"phi": [0.5], "const": 1.0, "levels": [2.0]},
    "ar24": {"phi": stationary(24, 0.5), "const": 1.0, "levels": [RNG.normal(size=24)], "oos_scale": 1.3},
    "near the circle": {"phi": stationary(8, 0.99, 3), "levels": [RNG.normal(size=8)]},
    "arx": {"phi": [0.6, -0.2], "levels": [1.0, 2.0], **LAGGED},
    "ma": {"theta": [0.9, 0.3], "const": 2.0, "form": REG, "innovations": [0.1, 0.2]},
    "seasonal ma": {"seasonal_theta": [-0.95], "season_length": 4, "innovations": np.zeros((1, 4)),
                    "sigma2": 0.3},
    "almost not invertible": {"theta": [-0.999], "const": 2.0, "d": 1, "innovations": [0.1]},
    "arima": {"phi": [0.5], "theta": [0.4], "d": 1, "const": 0.1, "levels": [3.0, 2.0], "innovations": [0.3]},
    "d = 2": {"phi": [0.4], "theta": [-0.7], "d": 2, "levels": [3.0, 2.0, 1.0], "innovations": [0.3]},
    "sarima": {"phi": [0.5], "theta": [0.4], "seasonal_theta": [-0.6], "season_length": 12, "d": 1, "D": 1,
               "levels": RNG.normal(size=(1, 14)), "innovations": RNG.normal(size=(1, 13))},
    "sarima, both": {"phi": [0.5], "theta": [0.4], "seasonal_phi": [0.3], "seasonal_theta": [-0.6], "d": 1,
                     "D": 1, "season_length": 12, "levels": RNG.normal(size=(1, 26)),
                     "innovations": RNG.normal(size=(1, 13))},
    "arimax": {"phi": [0.5], "theta": [0.4], "d": 1, "form": REG, "slope": 0.05, "levels": [1.0, 2.0],
               "innovations": [0.3], **LAGGED},
    "log": {"phi": [0.6], "const": 0.1, "transform": Transform.LOG, "scale": 2.0, "levels": [0.2],
            "sigma2": 0.1},
    "log arimax": {"phi": [0.6], "theta": [0.5], "d": 1, "transform": Transform.LOG, "scale": 8.0,
                   "levels": [0.2, 0.1], "innovations": [0.1], "form": REG, "sigma2": 0.01,
                   **(LAGGED | {"beta": [[0.2, -0.1, 0.05]]})},
    "naive": {"d": 1, "levels": [3.0]},
    "drift": {"d": 1, "const": 0.1, "levels": [3.0]},
    "seasonal naive": {"D": 1, "season_length": 4, "levels": [3.0, 1.0, 2.0, 4.0]},
    "season and slope": {"phi": [0.6], "seasonal": [0.5, 1.0, -1.0, 0.0], "slope": 0.01, "season_length": 4,
                         "levels": [1.0]},
    "waves": {"phi": [0.6], "beta": [[2.0, -1.0]], "levels": [1.0],
              "exog": (ExogTerm("fourier(7,sin,2)"), ExogTerm("fourier(7,cos,1)"))},
    "calendar": {"phi": [0.6], "beta": [[2.0, -1.0, 0.5, 0.3]], "levels": [1.0], "freq": Freq("h"),
                 "exog": (ExogTerm("calendar(hour,3)"), A, ExogTerm("calendar(month,2)"),
                          ExogTerm("fourier(24,cos,2)"))},
    "no variance": {"phi": [0.5, 0.1], "theta": [0.3], "levels": [3.0, 1.0], "innovations": [0.2],
                    "sigma2": 0.0},
    "no variance, ar": {"phi": [0.5, 0.1], "levels": [3.0, 1.0], "sigma2": 0.0},
}  # fmt: skip


def one(name):
    return make_records(1, **({"sigma2": 0.5} | MODELS[name]))


def values(records, ticks, seed, missing=0.1):
    """(ticks, n) values of about the size of the levels, some of them missing."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(ticks, records.n_series)) + 3.0
    y = records.scale * np.where(records.transform == Transform.LOG, np.exp(0.3 * w), w)
    y[rng.random(y.shape) < missing] = np.nan
    return y


def worst(records, y, horizon=H):
    """Largest gap of every output over all ticks, and the device after the last."""
    x = regressors(records, int(records.nobs.max()) + len(y) + horizon + 2, 1)
    records = with_tail(records, x)
    device, library = Device(records, horizon), Library(records, horizon)
    found: dict[str, float] = {}
    for row in y:
        for name, off in errors(device.tick(row, x), library.tick(row, x)).items():
            found[name] = max(found.get(name, 0.0), off)
    return found, device, library


def assert_states_agree(device, library, tolerance=TOLERANCE):
    now = library.now()
    L, q = now.levels.shape[1], now.innovations.shape[1]
    fleet = device.fleet
    for i in range(now.n_series):
        li, qi = max(1, int(fleet.width[i])), int(fleet.ma_width[i])
        own = np.r_[np.arange(li), fleet.levels.shape[1] + np.arange(qi)]
        want = np.r_[now.levels[i, :li], now.innovations[i, :qi]]
        scale = max(np.abs(want).max(), np.sqrt(np.nan_to_num(now.sigma2[i])))
        np.testing.assert_allclose(device.state[i, own], want, rtol=0, atol=tolerance * scale)
        beyond = np.setdiff1d(np.arange(device.state.shape[1]), own)
        assert not device.state[i, beyond].any()
        cov = now.state_cov.get(i, np.zeros((len(own), len(own))))
        size = max(np.abs(cov).max(), np.nan_to_num(now.sigma2[i]))
        np.testing.assert_allclose(device.cov[i][np.ix_(own, own)], cov, rtol=0, atol=tolerance * size)
        assert not device.cov[i][beyond].any()
        assert not device.cov[i][:, beyond].any()
    assert (L, q) == (now.levels.shape[1], now.innovations.shape[1])


def mixed(seed, n=7, exog=(), **fields):
    """Records of every kind in one fleet."""
    records = record_strategies.random_records(seed, list(range(n)), exog=exog, **fields)
    return sound(records)


def sound(records: Records) -> Records:
    """Give series without a level one, and keep slopes from the ends of float64."""
    levels = np.where(np.isnan(records.levels), 1.5, records.levels)
    sigma2 = np.where(np.isnan(records.sigma2), 0.7, records.sigma2)
    status = np.where(records.status >= 16, 0, records.status).astype(np.uint8)
    start = np.zeros(records.n_series, dtype=np.int64)
    return replace(
        records, levels=levels, sigma2=sigma2, status=status, start=start, freq=Freq("1"),
        slope=records.slope / 1000.0, nobs=(records.nobs + 5).astype(np.int32),
    )  # fmt: skip
