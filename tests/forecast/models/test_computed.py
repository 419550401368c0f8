"""Fourier terms and calendar fields: by hand, at any time, and through a stored model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ({"calendar": ["moth"]}, "month"),
        ({"calendar": ["hour", "hour"]}, "twice"),
        ({"fourier": {24: 1}, "method": "burg"}, "fourier"),
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
