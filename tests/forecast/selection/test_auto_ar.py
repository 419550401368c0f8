import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.models.records import Transform

N = 96
T = np.arange(N)


def fit(y, freq=1, season_length=1, exog=(), **columns):
    df = pd.DataFrame({"unique_id": "a", "ds": np.arange(len(y)), "y": y, **columns})
    return fc.fit(df, fc.AutoAR(season_length=season_length), freq=freq, exog=list(exog))


def noise(seed=0, n=N):
    return np.random.default_rng(seed).normal(size=n)


def test_a_stationary_series_is_left_in_levels():
    y = np.zeros(N)
    e = noise(1)
    for t in range(1, N):
        y[t] = 0.6 * y[t - 1] + e[t]
    fitted = fit(100 + y)
    assert fitted.report()["d"][0] == 0
    far = fitted.predict(60)["AutoAR"].iloc[-1]
    assert far == pytest.approx(100 + y.mean(), abs=0.5)


def test_a_season_is_found():
    season = np.array([5.0, 1, -3, 0, 2, -1, -4, -6, 0, 3, 2, 1])
    y = 50 + season[T % 12] + 0.5 * noise(2)
    got = fit(y, season_length=12).predict(12)["AutoAR"].to_numpy()
    # Noise of 0.5 a point, and about as much in the estimates.
    np.testing.assert_allclose(got, 50 + season, atol=1.5)


def test_growth_by_factors_is_modelled_in_logarithms():
    y = np.exp(1 + 0.04 * T + np.array([0.4, 0.0, -0.4, 0.0])[T % 4] + 0.03 * noise(3))
    fitted = fit(y, season_length=4)
    assert fitted.records[0].transform[0] == Transform.LOG
    assert fitted.report()["order"][0].startswith("log ")
    want = np.exp(1 + 0.04 * (N + np.arange(4)) + np.array([0.4, 0.0, -0.4, 0.0]))
    np.testing.assert_allclose(fitted.predict(4)["AutoAR"], want, rtol=0.15)


def test_regressors_make_it_an_arx():
    x = noise(4)
    y = 10 + 3 * x + 0.2 * noise(5)
    fitted = fit(y, exog=["x"], x=x)
    assert fitted.report()["order"][0].startswith("ARX")
    future = pd.DataFrame({"unique_id": "a", "ds": [N, N + 1], "x": [1.0, -1.0]})
    np.testing.assert_allclose(fitted.predict(2, X_df=future)["AutoAR"], [13, 7], atol=0.5)


def test_a_random_walk_falls_back_or_does_no_worse():
    rng = np.random.default_rng(6)
    df = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(20), N),
            "ds": np.tile(T, 20),
            "y": rng.normal(size=(20, N)).cumsum(axis=1).ravel(),
        }
    )
    fitted = fc.fit(df, [fc.AutoAR(season_length=1), fc.Naive()], freq=1)
    table = fitted.report().query("model == 'AutoAR'")
    guarded = table["status"] == "guarded"
    assert guarded.any()
    assert table.loc[guarded, "message"].str.contains("training data").all()
    ahead = fitted.predict(1)
    # One step ahead the best forecast of a walk is its last value; innovations have variance 1.
    assert np.abs(ahead["AutoAR"] - ahead["Naive"]).mean() < 0.5


def test_intervals_cover():
    """300 AR(1) series, the last point held back: 95 % nominal."""
    rng = np.random.default_rng(7)
    y = np.zeros((300, 61))
    for t in range(1, 61):
        y[:, t] = 0.6 * y[:, t - 1] + rng.normal(size=300)
    df = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(300), 60),
            "ds": np.tile(np.arange(60), 300),
            "y": y[:, :60].ravel(),
        }
    )
    got = fc.fit(df, fc.AutoAR(season_length=1), freq=1).predict(1, level=95)
    inside = (y[:, 60] >= got["AutoAR-lo-95"]) & (y[:, 60] <= got["AutoAR-hi-95"])
    # 0.95 with a standard error of 0.013; a little optimism of the choice is allowed.
    assert 0.90 <= inside.mean() <= 0.99
