"""What a careless or hostile caller can do: an error with the value and the fix, or the right answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import InputError

N = 60
DS = pd.date_range("2000-01-01", periods=N, freq="MS")


def frame(y=None, **columns):
    y = 10 + np.random.default_rng(0).normal(size=N).cumsum() if y is None else y
    return pd.DataFrame({"unique_id": "a", "ds": DS, "y": y, **columns})


@pytest.fixture(scope="module")
def fitted():
    return fc.fit(frame(), fc.AR(lags=2), "MS")


@pytest.mark.parametrize("h", [3_200, 10**12])
def test_a_horizon_beyond_the_calendar_or_the_memory_is_refused(fitted, h):
    with pytest.raises(InputError, match="h"):
        fitted.predict(h)


@pytest.mark.parametrize("level", [[95, 95.0000001], 99.9999999])
def test_levels_whose_columns_would_be_called_alike_are_refused(fitted, level):
    with pytest.raises(InputError, match="too close"):
        fitted.predict(1, level)


@pytest.mark.parametrize("alias", ["unique_id", "ds", "y", "", "A-lo-95"])
def test_an_alias_never_overwrites_a_column(alias):
    with pytest.raises(InputError, match="alias"):
        fc.fit(frame(), fc.AR(lags=1, alias=alias), "MS")


def test_a_column_named_like_a_result_is_refused():
    with pytest.raises(InputError, match="rename it"):
        fc.fit(frame().rename(columns={"unique_id": "path"}), fc.Naive(), "MS", id_col="path")


def test_an_update_in_another_time_zone_is_refused(fitted):
    new = pd.DataFrame({"unique_id": "a", "ds": pd.to_datetime(["2005-01-01"]).tz_localize("UTC"), "y": 1.0})
    with pytest.raises(InputError, match="make them equal"):
        fitted.update(new)


def test_a_parabola_is_not_forecast_flat():
    y = np.arange(N, dtype=float) ** 2
    got = fc.fit(frame(y), freq="MS").predict(12)["AutoAR"].to_numpy()
    drift = fc.fit(frame(y), fc.Drift(), "MS").predict(12)["Drift"].to_numpy()
    truth = np.arange(N, N + 12.0) ** 2
    assert np.abs(got - truth).mean() <= np.abs(drift - truth).mean()


@pytest.mark.parametrize(("shift", "scale"), [(1e8, 1.0), (0.0, 1e160), (0.0, 1e-160)])
def test_stationarity_depends_neither_on_level_nor_on_unit(shift, scale):
    plain = fc.stationarity(frame(), "MS")
    moved = fc.stationarity(frame((frame()["y"] + shift) * scale), "MS")
    assert moved["verdict"].tolist() == plain["verdict"].tolist()
    # with 1e8 added a value keeps eight digits
    np.testing.assert_allclose(moved["adf"], plain["adf"], rtol=1e-5)


WRONG = {
    "season is text": lambda: fc.SeasonalNaive("x"),
    "season is broken": lambda: fc.AutoAR(season_length=12.5),
    "windows are broken": lambda: fc.AutoAR(n_windows=1.5),
    "lags are text": lambda: fc.AutoAR(max_lags="x"),
    "no lags to choose from": lambda: fc.AR(lags="aic", max_lags=0),
    "exog lags are a number": lambda: fc.ARX(exog_lags=5),
    "exog lag is no list": lambda: fc.ARX(exog_lags={"x": 1}),
    "exog lag is ahead": lambda: fc.ARX(exog_lags={"x": [-1]}),
    "seasonal is text": lambda: fc.AR(seasonal="False"),
    "dummies are broken": lambda: fc.AR(seasonal=True, season_length=2.5),
    "a series, no frame": lambda: fc.fit(frame()["y"], fc.Naive(), "MS"),
    "a name, no model": lambda: fc.fit(frame(), "AR", "MS"),
}


@pytest.mark.parametrize("wrong", list(WRONG.values()), ids=list(WRONG))
def test_a_wrong_kind_of_argument_is_an_error_of_ours(wrong):
    with pytest.raises(InputError):
        wrong()


@pytest.mark.parametrize("options", [{"n_paths": 1.5}, {"n_paths": 0}, {"seed": "x"}, {"seed": 1.5}])
def test_paths_and_seeds_are_whole_numbers(fitted, options):
    with pytest.raises(InputError, match="whole number"):
        fitted.simulate(2, **options)
