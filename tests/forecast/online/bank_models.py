"""Models of every kind for tests of the bank, and what the library says of a slot."""

from __future__ import annotations

from typing import Any

import numpy as np

from forecast.models.assemble import place, take
from forecast.models.computed import computed_terms
from forecast.models.filtering import advance
from forecast.models.forecasting import Forecasts, forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Form, Records, Transform
from tests.strategies import make_records

NAN = float("nan")
HOUR = 3_600_000_000_000
START = 472_222 * HOUR
A, B = ExogTerm("a"), ExogTerm("b", 2)
WAVES = computed_terms(((24, 2),), ())
HOURS = computed_terms((), ("dayofweek",))
REGRESSION = Form.REGRESSION


def cov(size: int, seed: int = 0) -> dict[int, np.ndarray]:
    """Covariance of so many estimates."""
    root = np.random.default_rng(seed).normal(size=(size, size)) / 10
    return {0: root @ root.T}


SEASONED = {"phi": [0.4], "seasonal_phi": [0.3], "D": 1, "season_length": 4,
            "levels": [1.0, 2.0, 0.5, 1.5, 1.0, 2.0, 0.5, 1.5, 1.0]}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "ar": {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0]},
    "counted": {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0], "n_used": np.array([57])},
    "no constant": {"phi": [0.5, -0.4], "levels": [1.0, 2.0]},
    "ar 8": {"phi": [0.3, 0.05, 0.1, 0.02, -0.05, 0.03, 0.1, 0.2], "const": 0.5, "levels": [1.0, 2.0] * 4},
    "lags": {"phi": [0.3, 0.0, 0.1, 0.0, 0.0, 0.1, 0.0, 0.2], "const": 0.5, "levels": [1.0] * 8},
    "trend": {"phi": [0.5, 0.2], "const": 1.0, "slope": 0.05, "levels": [1.0, 2.0]},
    "season": {"phi": [0.6], "seasonal": [0.5, 1.0, -1.0, 0.0], "season_length": 4, "levels": [1.0]},
    "arima": {"phi": [0.5], "theta": [0.4], "d": 1, "levels": [1.5, 1.0], "innovations": [0.3]},
    "integrated": {"phi": [0.5, 0.1], "d": 1, "slope": 0.1, "form": REGRESSION, "levels": [1.5, 1.0, 0.5]},
    "twice": {"phi": [0.5], "d": 2, "const": 0.1, "levels": [1.5, 1.0, 0.5]},
    "ma": {"theta": [0.4, 0.3], "const": 2.0, "innovations": [0.3, -0.1]},
    "sarima": SEASONED | {"theta": [0.2], "seasonal_theta": [-0.5],
                          "innovations": [0.1, -0.2, 0.3, 0.1, 0.2]},
    "seasonal ar": SEASONED,
    "seasonal, no difference": {"phi": [0.4], "seasonal_phi": [0.3], "season_length": 3, "const": 0.5,
                                "slope": 0.01, "levels": [1.0, 2.0, 0.5, 1.5]},
    "arma": {"phi": [0.5], "theta": [0.4], "const": 2.0, "slope": 0.1, "levels": [0.5], "innovations": [0.3],
             "form": REGRESSION},
    "mean": {"phi": [0.5, 0.1], "const": 2.0, "slope": 0.1, "levels": [0.5, 0.2], "form": REGRESSION},
    "log": {"phi": [0.6], "const": 0.1, "transform": Transform.LOG, "scale": 2.0, "levels": [0.2]},
    "scaled": {"phi": [0.6], "const": 0.1, "scale": 1024.0, "levels": [0.2]},
    "calibrated": {"phi": [0.6], "const": 0.1, "oos_scale": np.array([1.7]), "levels": [0.2]},
    "quiet": {"phi": [0.6], "const": 0.1, "oos_scale": np.array([0.7]), "levels": [0.2]},
    "noise": {"const": 3.0},
    "exact": {"phi": [0.5], "const": 1.0, "levels": [1.0], "sigma2": 0.0},
    "naive": {"d": 1, "form": REGRESSION, "levels": [2.0]},
    "drift": {"d": 1, "form": REGRESSION, "slope": 0.2, "levels": [2.0]},
    "seasonal naive": {"D": 1, "season_length": 3, "form": REGRESSION, "levels": [2.0, 1.0, 3.0],
                       "state_cov": {0: np.diag([0.0, 2.0, 0.0])}},
    "one value": {"d": 1, "form": REGRESSION, "levels": [2.0], "sigma2": NAN},
    "no value": {"d": 1, "form": REGRESSION, "levels": [NAN], "sigma2": NAN},
    "in a gap": {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0],
                 "state_cov": {0: np.array([[2.0, 0.5], [0.5, 1.0]])}},
    "arma in a gap": {"phi": [0.5], "theta": [0.4, 0.1], "levels": [1.0], "innovations": [0.1, 0.2],
                      "state_cov": {0: np.diag([2.0, 0.5, 0.3])}},
    "estimated": {"phi": [0.5, 0.0, 0.2], "const": 1.0, "slope": 0.01, "levels": [1.0, 2.0, 1.0],
                  "param_cov": cov(4)},
    "estimated season": {"phi": [0.5], "seasonal": [0.5, 1.0, -1.0, 0.0], "season_length": 4,
                         "levels": [1.0], "param_cov": cov(4)},
    "estimated trend": {"phi": [0.5, 0.2], "const": 1.0, "slope": 0.01, "seasonal": [0.5, 1.0],
                        "season_length": 2, "levels": [1.0, 2.0], "form": REGRESSION, "param_cov": cov(6)},
    "estimated differences": SEASONED | {"slope": 0.1, "form": REGRESSION, "param_cov": cov(2)},
    "estimated otherwise": {"phi": [0.5], "const": 1.0, "levels": [1.0], "param_cov": cov(5)},
    "estimated arma": {"phi": [0.5], "theta": [0.3], "levels": [1.0], "param_cov": cov(1)},
    "waves": {"phi": [0.5], "const": 1.0, "exog": WAVES, "beta": [1.0, 0.5, 0.0, 0.2], "levels": [1.0]},
    "estimated waves": {"phi": [0.5], "const": 1.0, "exog": WAVES, "beta": [1.0, 0.5, 0.0, 0.2],
                        "levels": [1.0], "param_cov": cov(5)},
    "wave errors": {"phi": [0.5, 0.1], "const": 1.0, "exog": WAVES, "beta": [1.0, 0.5, 0.1, 0.2],
                    "levels": [1.0, 0.5], "form": REGRESSION, "param_cov": cov(7)},
    "calendar": {"phi": [0.5], "const": 1.0, "exog": HOURS, "beta": [1.0, 0.5, 0.1, 0.2, 0.1, 0.3],
                 "levels": [1.0], "theta": [0.2], "innovations": [0.1], "form": REGRESSION},
    "arx": {"phi": [0.6], "beta": [2.0, -1.0], "exog": (A, B), "levels": [1.0],
            "exog_tail": np.array([[[0.5, -0.5]]])},
    "estimated arx": {"phi": [0.6], "beta": [2.0, -1.0], "exog": (A, B), "levels": [1.0],
                      "exog_tail": np.array([[[0.5, -0.5]]]), "param_cov": cov(3)},
    "arimax": {"phi": [0.6], "beta": [2.0], "exog": (A,), "levels": [1.0, 2.0], "form": REGRESSION, "d": 1,
               "theta": [0.3], "innovations": [0.1]},
    "estimated arimax": {"phi": [0.6], "beta": [2.0], "exog": (A,), "levels": [1.0], "form": REGRESSION,
                         "param_cov": cov(2)},
}  # fmt: skip
GIVEN = ("a", "b")
"""Regressors that the models want to be given."""


def build(*names: str) -> Records:
    """Return records of one series a model, in this order."""
    parts = []
    for i, name in enumerate(names):
        fields = {"sigma2": 0.5, "freq": Freq("h"), "start": START} | MODELS[name]
        parts.append(make_records(1, ids=np.array([f"{name} {i}"], dtype=object), **fields))
    return place(parts, [np.array([i]) for i in range(len(parts))], len(parts))


def waves(first: int, count: int) -> dict[str, np.ndarray]:
    """Regressors at some points of time."""
    at = np.arange(first, first + count)
    return {"a": np.sin(at), "b": np.cos(0.7 * at)}


def moved(records: Records, row: int, values: list[float], past: dict[str, list[float]]) -> Records:
    """Return the record of one series after new values."""
    one = take(records, np.array([row]))
    start = one.freq.times(one.start, one.nobs.astype(np.int64))
    exog = {name: np.array(column, np.float64) for name, column in past.items()}
    return advance(
        one, Panel(np.array(values, np.float64), np.array([0, len(values)]), one.ids, start, one.freq, exog)
    )


def expected(
    records: Records, row: int, values: list[float], past: dict[str, list[float]], h: int, levels: Any
) -> Forecasts:
    """Forecast of the library after new values, regressors ahead those of `waves` after the last."""
    one = moved(records, row, values, past)
    ahead = {name: x[None] for name, x in waves(int(one.nobs[0]), h).items()}
    return forecast(one, h, levels, ahead)


def assert_close(got: Any, want: Any, size: Any) -> None:
    """1e-9 of the size of what is compared: mean, or mean and spread for the end of an interval."""
    got, want = np.asarray(got), np.asarray(want)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    off = np.abs(got - want)
    off = np.where(got == want, 0.0, off)  # infinite ones
    assert np.all((off <= 1e-9 * np.abs(size) + 1e-12) | np.isnan(want)), (got, want)
