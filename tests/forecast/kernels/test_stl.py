from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.seasonal import STL

from forecast.kernels.stl import stl, strength
from tests.oracles import stl as oracle


def run(y, period, window, jump=(1, 1, 1), degree=(0, 1, 1), inner=2, outer=0):
    y = np.asarray(y, float)
    trend, seasonal, weight = (np.empty(len(y)) for _ in range(3))
    ok = np.empty(1, np.bool_)
    setting = (np.array(window), np.array(jump), np.array(degree), inner, outer)
    stl(y, np.array([0, len(y)]), 0, 1, period, *setting, trend, seasonal, weight, ok)
    return trend, seasonal, weight, ok[0]


def run_strength(values, indptr, period, window=(11, 21, 13), jump=(2, 3, 2)):
    out = np.empty(len(indptr) - 1)
    setting = (np.array(window), np.array(jump), np.array([0, 1, 1]), 2)
    strength(values, indptr, 0, len(out), period, *setting, out)
    return out


@pytest.fixture(scope="module")
def classic(fixtures):
    series = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    names = ("log_AirPassengers", "nottem", "USAccDeaths", "austres")
    return [(np.array(series[name]["y"], float), series[name]["frequency"]) for name in names]


@settings(max_examples=30)  # the oracle solves a thousand small systems a time
@given(
    seed=st.integers(0, 2**32 - 1),
    period=st.integers(2, 5),
    cycles=st.integers(3, 7),
    window=st.tuples(*[st.sampled_from([3, 5, 7, 11, 21])] * 3),
    degree=st.tuples(*[st.integers(0, 1)] * 3),
    outer=st.integers(0, 1),
    gaps=st.booleans(),
)
def test_decomposition_is_local_least_squares(seed, period, cycles, window, degree, outer, gaps):
    rng = np.random.default_rng(seed)
    n = period * cycles + int(rng.integers(1, period + 1))
    y = np.arange(n) / 5 + np.tile(rng.normal(size=period), n)[:n] + rng.normal(size=n)
    if gaps or outer:  # a window of 3 sees its middle alone, and nothing when that has no weight
        window = tuple(max(w, 11) for w in window)
    if gaps:
        y[rng.choice(n, size=1)] = np.nan
    got = run(y, period, window, degree=degree, outer=outer)
    want = oracle.stl(y, period, window, degree, 2, outer)
    for mine, theirs in zip(got[:3], want, strict=True):
        # Local systems have condition below 1e3; robustness weights square the error of the residuals.
        np.testing.assert_allclose(mine, theirs, atol=1e-8)


SETTINGS = [
    # seasonal, degrees, jumps, inner, outer
    (7, (1, 1, 1), (1, 1, 1), 5, 0),
    (11, (0, 1, 1), (2, 3, 2), 2, 0),
    (35, (1, 0, 1), (1, 1, 1), 2, 0),
    (1441, (0, 1, 1), (145, 2, 2), 2, 0),  # what R calls "periodic", before it averages
    (13, (0, 1, 0), (5, 7, 3), 2, 3),
    (7, (1, 1, 1), (1, 1, 1), 2, 15),
]


@pytest.mark.parametrize(("seasonal", "degree", "jump", "inner", "outer"), SETTINGS)
def test_decomposition_agrees_with_statsmodels(classic, seasonal, degree, jump, inner, outer):
    for y, period in classic:
        model = STL(
            y,
            period=period,
            seasonal=seasonal,
            seasonal_deg=degree[0],
            trend_deg=degree[1],
            low_pass_deg=degree[2],
            seasonal_jump=jump[0],
            trend_jump=jump[1],
            low_pass_jump=jump[2],
            robust=outer > 0,
        )
        want = model.fit(inner, outer)
        window = (seasonal, model.config["trend"], model.config["low_pass"])
        trend, season, weight, ok = run(y, period, window, jump, degree, inner, outer)
        assert ok
        # The same operations in another order; 15 robustness passes amplify rounding to 1e-11 of the size.
        size = np.abs(y).max()
        np.testing.assert_allclose(trend, want.trend, atol=1e-9 * size)
        np.testing.assert_allclose(season, want.seasonal, atol=1e-9 * size)
        np.testing.assert_allclose(weight, want.weights, atol=1e-7)


def test_a_line_plus_a_fixed_season_comes_apart_exactly():
    season = np.array([1.0, -2.0, 0.5, 0.5])
    y = 3.0 + 0.25 * np.arange(32) + np.tile(season, 8)
    trend, seasonal, _, _ = run(y, 4, (7, 7, 5), degree=(1, 1, 1), inner=10)
    # The inner loop contracts the error towards the fixed point; ten passes leave it below 1e-6.
    np.testing.assert_allclose(trend, 3.0 + 0.25 * np.arange(32), atol=1e-6)
    np.testing.assert_allclose(seasonal, np.tile(season, 8), atol=1e-6)


def test_a_missing_point_is_passed_through_not_made_up():
    season = np.array([1.0, -2.0, 0.5, 0.5])
    y = 3.0 + 0.25 * np.arange(40) + np.tile(season, 10)
    full = run(y, 4, (7, 7, 5), degree=(1, 1, 1), inner=10)
    y[[0, 13, 14, 39]] = np.nan
    trend, seasonal, weight, ok = run(y, 4, (7, 7, 5), degree=(1, 1, 1), inner=10)
    assert ok
    assert weight[[0, 13, 14, 39]].tolist() == [0.0] * 4
    np.testing.assert_allclose(trend + seasonal, full[0] + full[1], atol=1e-5)


def test_what_cannot_be_decomposed_is_nan():
    for y in ([], [1.0] * 8, [np.nan] * 20):  # two periods, and nothing observed
        trend, seasonal, weight, ok = run(y, 4, (7, 7, 5))
        assert not ok
        assert np.isnan(np.r_[trend, seasonal, weight]).all()
    assert np.isnan(run_strength(np.full(30, np.nan), np.array([0, 30]), 12)[0])
    assert np.isnan(run_strength(np.arange(24.0), np.array([0, 24]), 12)[0])


def test_strength_of_pure_season_is_1_of_a_line_0():
    t = np.arange(60.0)
    wave = np.sin(2 * np.pi * t / 12)
    indptr = np.array([0, 60, 120])
    strong, weak = run_strength(np.r_[wave + 0.01 * t, 5 + t], indptr, 12)
    assert strong > 0.99
    assert weak == 0.0


def test_strength_does_not_depend_on_units_or_on_the_split():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.sin(np.arange(n) / 12 * 2 * np.pi) + rng.normal(size=n) for n in (50, 99, 144)])
    y[[7, 60, 61]] = np.nan
    indptr = np.array([0, 50, 149, 293])
    whole = run_strength(y, indptr, 12)
    assert ((whole > 0) & (whole < 1)).all()
    np.testing.assert_allclose(run_strength(1e6 * y + 1e7, indptr, 12), whole, rtol=1e-8)
    parts = [run_strength(y[a:b], np.array([0, b - a]), 12)[0] for a, b in pairwise(indptr)]
    np.testing.assert_array_equal(whole, parts)
