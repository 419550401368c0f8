"""Fourier terms and calendar fields: by hand, at any time, and through a stored model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.deterministic import DeterministicProcess, Fourier
from statsmodels.tsa.statespace.sarimax import SARIMAX

import forecast as fc
from forecast import online
from forecast.errors import InputError
from forecast.models.computed import (
    computed_terms,
    computed_values,
    is_computed,
    read_calendar,
    read_fourier,
)
from forecast.models.freq import Freq


def ns(text):
    return np.array([pd.Timestamp(text).value])


def hours(n, seed=0, tz=None):
    """A day and a week in the level of an AR(1), hourly."""
    rng, t = np.random.default_rng(seed), np.arange(n)
    u = np.zeros(n)
    for k in range(1, n):
        u[k] = 0.5 * u[k - 1] + 0.1 * rng.normal()
    y = 10 + 2 * np.sin(2 * np.pi * t / 24) + np.cos(2 * np.pi * 2 * t / 168) + u
    return pd.DataFrame(
        {"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=n, freq="h", tz=tz), "y": y}
    )


def test_terms_by_hand():
    names = [term.name for term in computed_terms(read_fourier({4: 2, 10.5: 1}), ["dayofweek"])]
    assert names[:5] == [
        "fourier(4,sin,1)", "fourier(4,cos,1)", "fourier(4,cos,2)", "fourier(10.5,sin,1)",
        "fourier(10.5,cos,1)",
    ]  # fmt: skip
    assert names[5:] == [f"calendar(dayofweek,{v})" for v in range(1, 7)]
    assert all(map(is_computed, names))
    assert not is_computed("temp")
    assert not is_computed("calendar(temp)")


@pytest.mark.parametrize("period", ["abc", "0", "1", "1.5", "-24", "nan", "inf", "", "2.", "9" * 400])
def test_what_is_no_season_length_makes_an_ordinary_name(period):
    assert not is_computed(f"fourier({period},sin,1)")


@pytest.mark.parametrize("name", ["calendar(hour,1)", "fourier(24,sin,1)", "fourier(10.5,cos,2)"])
def test_a_regressor_called_like_a_computed_one_is_refused(name):
    df = pd.DataFrame({"unique_id": "a", "ds": range(40), "y": np.arange(40.0) % 7, name: 1.0})
    with pytest.raises(InputError, match="rename it"):
        fc.fit(df, fc.ARX(lags=1), freq=1, exog=[name])


def test_seasons_may_be_strings_as_in_json():
    assert fc.AR(lags=2, seasonal_lags={"24": 2}) == fc.AR(lags=2, seasonal_lags={24: 2})
    assert read_fourier({"24": 2}) == read_fourier([(24.0, 2.0)]) == ((24, 2),)


def test_no_calendar_is_none_of_its_fields():
    assert fc.AR(lags=2, calendar=None) == fc.AR(lags=2)


def test_waves_by_hand():
    start = np.zeros(1, dtype=np.int64)
    sine = computed_values("fourier(4,sin,1)", Freq("1"), start, np.arange(5))
    np.testing.assert_allclose(sine, [1, 0, -1, 0, 1], atol=1e-15)
    cosine = computed_values("fourier(4,cos,2)", Freq("1"), start, np.arange(4))
    np.testing.assert_allclose(cosine, [-1, 1, -1, 1], atol=1e-15)


@given(t=st.integers(0, 10**12), k=st.integers(1, 12))
def test_a_late_wave_is_the_early_one(t, k):
    """Rounding of the number of turns, t k / 24, is that share of a turn."""
    start = np.zeros(1, dtype=np.int64)
    late, early = (
        computed_values(f"fourier(24,cos,{k})", Freq("1"), start, np.array([at])) for at in (t, t % 24)
    )
    assert late == pytest.approx(early, abs=1e-15 * (t + 100) * k)


def test_fields_are_those_of_pandas():
    times = pd.date_range("2024-02-27 20:00", periods=200, freq="h")
    for field, attribute, value in (
        ("hour", "hour", 5),
        ("dayofweek", "day_of_week", 3),
        ("month", "month", 3),
    ):
        got = computed_values(f"calendar({field},{value})", Freq("h"), ns(times[0]), np.arange(200))
        np.testing.assert_array_equal(got, getattr(times, attribute) == value)


def test_hours_are_those_of_the_wall():
    """The night of 31 March 2024 in Berlin has no two o'clock."""
    got = computed_values(
        "calendar(hour,2)", Freq("h", "Europe/Berlin"), ns("2024-03-30 23:00"), np.arange(48)
    )
    assert got.sum() == 1.0


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"fourier": {1: 1}}, "season length"),
        ({"fourier": {24: 13}}, "half"),
        ({"fourier": {24: 0}}, "harmonics"),
        ({"fourier": 24}, "map season lengths"),
        ({"fourier": [(24, 1), (24, 2)]}, "twice"),
        ({"fourier": {24: 1.5}}, "map season lengths"),
        ({"fourier": {24: True}}, "map season lengths"),
        ({"fourier": {24: 10**400}}, "map season lengths"),
        ({"calendar": ["moth"]}, "month"),
        ({"calendar": 5}, "names of fields.* 5"),
        ({"calendar": [["hour"]]}, "unknown calendar field"),
        ({"calendar": ["hour", "hour"]}, "twice"),
        ({"fourier": {24: 1}, "method": "burg"}, "fourier"),
        ({"fourier": {24: 1}, "backend": "statsmodels"}, "neither fourier"),
        ({"seasonal_lags": {1: 1}}, "season length is at least 2"),
        ({"seasonal_lags": {24: 0}}, "at least 1"),
        ({"seasonal_lags": {5000: 3}}, "beyond 10000"),
        ({"seasonal_lags": {24: 1.5}}, "map season lengths"),
        ({"seasonal_lags": {"2.5": 1}}, "map season lengths"),
        ({"seasonal_lags": 24}, "map season lengths"),
        ({"seasonal_lags": [(24, 1), (24, 2)]}, "twice"),
        ({"seasonal_lags": {24: 1}, "method": "burg"}, "lag subset"),
    ],
)
def test_senseless_terms_are_refused(bad, match):
    with pytest.raises(InputError, match=match):
        fc.AR(lags=2, **bad)


def test_calendar_needs_dates():
    df = pd.DataFrame({"unique_id": "a", "ds": range(60), "y": np.arange(60.0) % 7})
    with pytest.raises(InputError, match="plain ints"):
        fc.fit(df, fc.AR(lags=1, calendar=["month"]), freq=1)
    assert read_calendar("hour") == ("hour",)


def test_two_seasons_are_found_and_forecast_without_future_values(tmp_path):
    """Noise of sd 0.1 about an AR(1): a forecast a week on is within 5 of its standard deviations, 0.115."""
    whole = hours(168 * 9)
    train, rest = whole.iloc[: 168 * 8], whole.iloc[168 * 8 :]
    fitted = fc.fit(train, fc.AR(lags=1, fourier={24: 1, 168: 2}), freq="h")
    ahead = fitted.predict(168)
    np.testing.assert_allclose(ahead["AR"], rest["y"], atol=5 * 0.115)
    fitted.save(tmp_path / "model")
    again = fc.load(tmp_path / "model")
    assert again.models == fitted.models
    pd.testing.assert_frame_equal(again.predict(168), ahead, check_exact=True)
    moved = again.update(rest.iloc[:50]).predict(20)
    np.testing.assert_allclose(moved["AR"], rest["y"].iloc[50:70], atol=5 * 0.115)


def test_terms_agree_with_regressors_given_by_hand():
    df = hours(400)
    t = np.arange(1, 413)
    waves = {"s": np.sin(2 * np.pi * t / 24), "c": np.cos(2 * np.pi * t / 24)}
    future = pd.DataFrame(
        {"unique_id": "a", "ds": pd.date_range(df["ds"].iloc[-1], periods=13, freq="h")[1:]}
        | {name: wave[400:] for name, wave in waves.items()}
    )
    by_hand = fc.fit(
        df.assign(**{k: v[:400] for k, v in waves.items()}), fc.ARX(lags=2), freq="h", exog=["s", "c"]
    )
    own = fc.fit(df, fc.AR(lags=2, fourier={24: 1}), freq="h")
    want, got = by_hand.predict(12, level=[95], X_df=future), own.predict(12, level=[95])
    np.testing.assert_allclose(got.iloc[:, 2:], want.iloc[:, 2:], rtol=1e-10)


def test_a_week_by_the_calendar_is_forecast_stored_and_moved_on(tmp_path):
    """Days: Sundays are 5 higher, noise of sd 0.1; five of those, and a seventh for its estimate."""
    days = pd.date_range("2024-01-01", periods=240, freq="D")
    y = 5.0 * (days.day_of_week == 6) + 0.1 * np.random.default_rng(0).normal(size=240)
    df = pd.DataFrame({"unique_id": "a", "ds": days, "y": y})
    fitted = fc.fit(df.iloc[:200], fc.AR(lags=1, calendar=["dayofweek"]), freq="D")
    fitted.save(tmp_path / "model")
    again = fc.load(tmp_path / "model").update(df.iloc[200:220])
    np.testing.assert_allclose(again.predict(20)["AR"], y[220:], atol=0.6)
    slots = online.load(fitted.records[0], 20)
    for value in y[200:220]:
        online.step(slots, 0, float(value))
    np.testing.assert_allclose(online.ahead(slots, 0), again.predict(20)["AR"], rtol=1e-10, atol=1e-10)


MODELS = {
    "AR": fc.AR(lags=1, fourier={24: 1, 168: 2}, calendar=["dayofweek"]),
    "ARIMA": fc.ARIMA((1, 0, 0), fourier={24: 1, 168: 2}),
    "ARIMA-d": fc.ARIMA((1, 1, 1), fourier={24: 1}, calendar=["dayofweek"]),
    "AutoAR": fc.AutoAR(max_lags=3, n_windows=3, fourier={24: 1, 168: 2}),
    "seasonal lags": fc.AR(lags=2, seasonal_lags={24: 1, 168: 1}),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_with_terms_goes_all_the_way(name, tmp_path):
    """Noise of sd 0.1 about an AR(1): 0.115 a step, five of those, and twice that after differences."""
    whole = hours(168 * 5)
    train, rest = whole.iloc[: 168 * 5 - 60], whole.iloc[168 * 5 - 60 :].reset_index(drop=True)
    fitted = fc.fit(train, MODELS[name], freq="h")
    alias = MODELS[name].alias
    # A season that never changes is a root on the unit circle to an AR with its lag.
    assert fitted.report()["status"].tolist() == ["repaired" if name == "seasonal lags" else "ok"]
    np.testing.assert_allclose(fitted.predict(30)[alias], rest["y"][:30], atol=10 * 0.115)
    fitted.save(tmp_path / "model")
    again = fc.load(tmp_path / "model")
    assert again.models == fitted.models
    pd.testing.assert_frame_equal(again.predict(30), fitted.predict(30), check_exact=True)
    paths = again.simulate(30, n_paths=50)
    mean = paths.groupby("ds")[alias].mean()
    np.testing.assert_allclose(mean, fitted.predict(30)[alias], atol=1.0)
    new = rest.iloc[:20].assign(y=rest["y"][:20].where(np.arange(20) % 7 != 3))
    moved = again.update(new).predict(24)[alias]
    slots = online.load(fitted.records[0], 24)
    for value in new["y"]:
        online.step(slots, 0, float(value))
    np.testing.assert_allclose(online.ahead(slots, 0), moved, rtol=1e-9, atol=1e-9)
    cv = fc.cross_validation(whole, MODELS[name], h=24, n_windows=2, freq="h")
    assert np.abs(cv[alias] - cv["y"]).mean() < 5 * 0.115


@pytest.mark.parametrize("backend", ["native", "statsmodels"])
def test_arima_with_waves_is_sarimax_with_regressors(backend):
    """At our estimates: the same likelihood (1e-6 of 400 terms) and forecasts, and no better point near."""
    df, t = hours(400), np.arange(1, 413)
    turn = 2 * np.pi * t[:, None] / np.array([24, 168])
    waves = np.stack([np.sin(turn), np.cos(turn)], axis=2).reshape(412, 4)  # sine and cosine of each
    X = np.column_stack([np.ones(412), waves])
    fitted = fc.fit(df, fc.ARIMA((1, 0, 0), fourier={24: 1, 168: 1}, backend=backend), freq="h")
    (records,) = fitted.records
    params = np.r_[records.const, records.beta[0], records.phi[0], records.sigma2]
    sm = SARIMAX(df["y"].to_numpy(), X[:400], order=(1, 0, 0))
    assert records.loglik[0] == pytest.approx(sm.loglike(params), abs=1e-6)
    want = sm.smooth(params).forecast(12, exog=X[400:])
    np.testing.assert_allclose(fitted.predict(12)["ARIMA"], want, rtol=1e-9)
    for j, step in enumerate(1e-3 * np.eye(len(params))):
        if j < len(params) - 1:
            assert max(sm.loglike(params + step), sm.loglike(params - step)) < records.loglik[0]


def test_ar_with_waves_and_seasonal_lags_is_autoreg():
    """Waves from t = 0 or 1 span the same space: lags, residuals and forecasts are the same."""
    rng, t = np.random.default_rng(0), np.arange(600)
    y = 5 + np.sin(2 * np.pi * t / 24) + rng.normal(size=600)
    y[48:] += 0.3 * y[:-48]
    df = pd.DataFrame({"unique_id": "a", "ds": t, "y": y})
    process = DeterministicProcess(
        pd.RangeIndex(600), constant=True, order=0, additional_terms=[Fourier(24, 2), Fourier(168, 1)]
    )
    want = AutoReg(y, [1, 2, 48, 168], trend="n", deterministic=process).fit()
    fitted = fc.fit(df, fc.AR(lags=2, seasonal_lags={168: 1, 48: 1}, fourier={24: 2, 168: 1}), freq=1)
    records = fitted.records[0]
    np.testing.assert_allclose(records.phi[0, [0, 1, 47, 167]], want.params[-4:], rtol=1e-8)
    assert records.sigma2[0] == pytest.approx(want.sigma2, rel=1e-8)
    ahead = want.model.predict(want.params, start=600, end=623)
    np.testing.assert_allclose(fitted.predict(24)["AR"], ahead, rtol=1e-8)


def test_seasonal_lags_are_lags_by_another_name():
    df = hours(600)
    given = fc.fit(df, fc.AR(lags=[1, 2, 24, 48, 168]), freq="h").predict(9, level=[95])
    short = fc.fit(df, fc.AR(lags=2, seasonal_lags={24: 2, 168: 1}), freq="h").predict(9, level=[95])
    pd.testing.assert_frame_equal(short, given, check_exact=True)
    frame = df.assign(x=np.arange(600.0) % 5)
    future = pd.DataFrame({"unique_id": "a", "ds": pd.date_range(df["ds"].iloc[-1], periods=4, freq="h")[1:]})
    driven = [
        fc.fit(frame, fc.ARX(**lags), freq="h", exog=["x"]).predict(3, X_df=future.assign(x=1.0))
        for lags in ({"lags": [1, 24]}, {"lags": 1, "seasonal_lags": {24: 1}})
    ]
    pd.testing.assert_frame_equal(*driven, check_exact=True)


def test_a_criterion_adds_short_lags_to_seasonal_ones():
    """y_t = 0.5 y_{t-12} + e: lag 12 alone, where lags 1..12 would have to pay for eleven of no use."""
    rng, y = np.random.default_rng(0), np.zeros(600)
    for t in range(12, 600):
        y[t] = 0.5 * y[t - 12] + rng.normal()
    df = pd.DataFrame({"unique_id": "a", "ds": range(600), "y": y})
    fitted = fc.fit(df, fc.AR(lags="bic", max_lags=6, seasonal_lags={12: 1}), freq=1)
    assert np.flatnonzero(fitted.records[0].phi[0]).tolist() == [11]
    assert fitted.records[0].phi[0, 11] == pytest.approx(0.5, abs=4 * 0.036)  # se sqrt(0.75 / 600)


def test_intervals_have_the_error_of_the_waves():
    """White noise about a wave is a regression: its prediction error is sigma2 (1 + x' (X'X)^-1 x)."""
    rng, t = np.random.default_rng(0), np.arange(1, 41)
    X = np.column_stack([np.ones(40), np.sin(np.pi * t / 3), np.cos(np.pi * t / 3)])
    y = X @ [1.0, 2.0, -1.0] + rng.normal(size=40)
    df = pd.DataFrame({"unique_id": "a", "ds": t[:36], "y": y[:36]})
    got = fc.fit(df, fc.ARIMA(fourier={6: 1}), freq=1).predict(4, level=[95])
    past, ahead = X[:36], X[36:]
    beta, *_ = np.linalg.lstsq(past, y[:36], rcond=None)
    sigma2 = np.mean((y[:36] - past @ beta) ** 2)
    sd = np.sqrt(sigma2 * (1 + np.einsum("hi,ij,hj->h", ahead, np.linalg.inv(past.T @ past), ahead)))
    np.testing.assert_allclose(got["ARIMA"], ahead @ beta, rtol=1e-6)
    width = (got["ARIMA-hi-95"] - got["ARIMA-lo-95"]) / 2 / norm.ppf(0.975)
    np.testing.assert_allclose(width, sd, rtol=1e-3)  # a Hessian by differences


def test_waves_that_a_seasonal_difference_takes_away_are_refused():
    seasonal = {"seasonal_order": (0, 1, 1), "season_length": 12}
    with pytest.raises(InputError, match=r"fourier=\{12: 2\}.*D = 1.*leave 12 out"):
        fc.ARIMA((0, 1, 1), **seasonal, fourier={12: 2})
    with pytest.raises(InputError, match="leave 24 out"):
        fc.ARIMA((0, 1, 1), **seasonal, fourier={24: 2})
    fc.ARIMA((0, 1, 1), **seasonal, fourier={24: 1, 52: 2})
    for model in (fc.ARIMA, fc.AutoAR):
        with pytest.raises(InputError, match="harmonics"):
            model(fourier={24: 13})
        with pytest.raises(InputError, match="month"):
            model(calendar=["moth"])
