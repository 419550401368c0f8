from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.stattools import adfuller
from statsmodels.tsa.stattools import kpss as reference_kpss

from forecast.kernels.adf import adf
from forecast.kernels.kpss import kpss
from forecast.kernels.phillips_perron import phillips_perron
from forecast.kernels.unit_root import difference, observe
from tests.oracles import unit_root as oracle

TREND = {"none": 0, "drift": 1, "trend": 2, "mu": 1, "tau": 2, "constant": 1}
NAMES = ("n", "c", "ct")
CRITERION = {None: 0, "aic": 1, "bic": 2}


def block(*series):
    return np.concatenate([np.asarray(y, float) for y in series]), np.cumsum([0, *map(len, series)])


def run_adf(y, trend, max_lag=-1, criterion=0):
    stat, lag, nobs = np.empty(1), np.empty(1, np.int64), np.empty(1, np.int64)
    adf(*block(y), 0, 1, trend, np.array([max_lag]), criterion, stat, lag, nobs)
    return stat[0], lag[0], nobs[0]


def run_kpss(y, trend, lag=-1):
    stat, used = np.empty(1), np.empty(1, np.int64)
    kpss(*block(y), 0, 1, trend, np.array([lag]), stat, used)
    return stat[0], used[0]


def run_pp(y, trend, lag, current=False):
    tau, rho, nobs = np.empty(1), np.empty(1), np.empty(1, np.int64)
    phillips_perron(*block(y), 0, 1, trend, np.array([lag]), current, tau, rho, nobs)
    return tau[0], rho[0], nobs[0]


@pytest.fixture(scope="module")
def classic(fixtures):
    series = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    tests = json.loads((fixtures / "r" / "unit_roots.json").read_text())["tests"]
    return {name: (np.array(series[name]["y"], float), golden) for name, golden in tests.items()}


@st.composite
def walks(draw, least=25):
    """Something between white noise and a random walk with drift, of any size, with points missing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(least, 70))
    y, phi = rng.normal(size=n), draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    for t in range(1, n):
        y[t] += phi * y[t - 1] + 0.1
    y = y * 10.0 ** draw(st.integers(-6, 6)) + draw(st.sampled_from([0.0, 3.0]))
    y[rng.random(n) < draw(st.sampled_from([0.0, 0.05, 0.1]))] = np.nan
    return y


# Two backward-stable solutions of one regression with condition below 1e4: 1e-8 leaves two digits.
CLOSE = {"rtol": 1e-8, "atol": 1e-8}


@given(y=walks(), trend=st.integers(0, 2), lag=st.integers(0, 3))
def test_adf_is_the_t_ratio_of_the_level_on_complete_rows(y, trend, lag):
    stat, used, nobs = run_adf(y, trend, lag)
    want, rows = oracle.adf(y, lag, trend)
    np.testing.assert_allclose(stat, want, **CLOSE)
    assert nobs == rows
    assert used == (lag if rows else -1)


@given(y=walks(least=40), trend=st.integers(0, 2), criterion=st.sampled_from(["aic", "bic"]))
def test_adf_chooses_the_lag_on_a_common_sample_and_estimates_again(y, trend, criterion):
    top = 3
    stat, used, _ = run_adf(y, trend, top, CRITERION[criterion])
    _, dy, _ = oracle.adf_design(y, top, trend)
    if len(dy) >= top + 2 * trend + 1:  # else the largest lag is lowered
        assert used == oracle.adf_lag(y, top, trend, criterion)
    np.testing.assert_allclose(stat, oracle.adf(y, int(used), trend)[0], **CLOSE)


@given(y=walks(), trend=st.integers(1, 2), lag=st.integers(0, 5))
def test_kpss_is_its_formula_with_zeros_for_missing_points(y, trend, lag):
    np.testing.assert_allclose(run_kpss(y, trend, lag)[0], oracle.kpss(y, lag, trend), **CLOSE)


@given(y=walks(), trend=st.integers(1, 2), lag=st.integers(0, 5), current=st.booleans())
def test_phillips_perron_is_its_formula_on_complete_rows(y, trend, lag, current):
    got = run_pp(y, trend, lag, current)[:2]
    np.testing.assert_allclose(got, oracle.phillips_perron(y, lag, trend, current), **CLOSE)


@given(y=walks(), shift=st.floats(-1e3, 1e3), scale=st.sampled_from([1e-3, 7.0, 1e5]))
def test_statistics_do_not_depend_on_units(y, shift, scale):
    z = scale * (y + shift * np.nanstd(y))
    for trend in (1, 2):
        np.testing.assert_allclose(run_adf(z, trend, 2)[0], run_adf(y, trend, 2)[0], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(run_kpss(z, trend, 2)[0], run_kpss(y, trend, 2)[0], rtol=1e-7)
        np.testing.assert_allclose(run_pp(z, trend, 2)[:2], run_pp(y, trend, 2)[:2], rtol=1e-7, atol=1e-7)


def test_dickey_fuller_by_hand():
    # No constant, no lags: dy = (1, -2, 1) on y = (1, 2, 0): g = -3/5, rss = 6 - 9/5 = 21/5, s2 = 21/10.
    stat, lag, nobs = run_adf([1.0, 2.0, 0.0, 1.0], 0, 0)
    assert stat == pytest.approx(-0.6 / np.sqrt(2.1 / 5), rel=1e-14)
    assert (lag, nobs) == (0, 3)


def test_kpss_by_hand():
    # e = (-1, 1, 1, -1), S = (-1, 0, 1, 0): eta = 2/16; lag 0: s2 = 1; lag 1: s2 = 1 + 2/4 * 1/2 * (-1).
    y = [0.0, 2.0, 2.0, 0.0]
    assert run_kpss(y, 1, 0)[0] == pytest.approx(0.125, rel=1e-14)
    assert run_kpss(y, 1, 1)[0] == pytest.approx(0.125 / 0.75, rel=1e-14)


def test_phillips_perron_without_lags_is_dickey_fuller():
    y = np.random.default_rng(3).normal(size=60).cumsum()
    tau, rho, nobs = run_pp(y, 1, 0)
    assert tau == pytest.approx(run_adf(y, 1, 0)[0], rel=1e-10)
    slope = np.polyfit(y[:-1], y[1:], 1)[0]
    assert rho == pytest.approx(59 * (slope - 1), rel=1e-9)
    assert nobs == 59


@pytest.mark.parametrize("trend", [0, 1, 2])
@pytest.mark.parametrize("criterion", [None, "aic", "bic"])
def test_adf_agrees_with_statsmodels(classic, trend, criterion):
    for y, _ in classic.values():
        want = adfuller(y, regression=NAMES[trend], autolag=criterion, result_object=True)
        stat, lag, nobs = run_adf(y, trend, -1, CRITERION[criterion])
        assert stat == pytest.approx(
            want.statistic, rel=1e-8, abs=1e-8
        )  # pinv of a raw design: its own rounding
        assert (lag, nobs) == (want.lags, want.nobs)


@pytest.mark.parametrize("trend", [1, 2])
@pytest.mark.parametrize("nlags", ["auto", "legacy", 0, 5])
def test_kpss_agrees_with_statsmodels(classic, trend, nlags):
    for y, _ in classic.values():
        with warnings.catch_warnings():  # "outside of the look-up table"
            warnings.simplefilter("ignore")
            want = reference_kpss(y, regression=NAMES[trend], nlags=nlags, result_object=True)
        stat, lag = run_kpss(y, trend, -1 if nlags == "auto" else want.lags)
        assert lag == want.lags
        assert stat == pytest.approx(want.statistic, rel=1e-8)


def test_statistics_agree_with_r(classic):
    # Same formulas, 15 printed digits; the regressions with a trend lose up to three.
    for y, golden in classic.values():
        for r in golden["ur_df"]:
            if r["selectlags"] == "Fixed":
                want = next(iter(r["statistics"].values()))
                assert run_adf(y, TREND[r["type"]], r["lags"])[0] == pytest.approx(want, rel=1e-10)
        for r in golden["ur_kpss"]:
            assert run_kpss(y, TREND[r["type"]], r["lag_used"])[0] == pytest.approx(r["statistic"], rel=1e-10)
        for r in golden["ur_pp"]:
            tau, rho, _ = run_pp(y, TREND[r["model"]], r["lag_used"], current=True)
            assert (tau if r["type"] == "Z-tau" else rho) == pytest.approx(r["statistic"], rel=1e-10)
        for key, r in golden["tseries_pp"].items():
            tau, rho, _ = run_pp(y, 2, r["lag"])
            assert (tau if key.startswith("zt") else rho) == pytest.approx(r["statistic"], rel=1e-10)
        for key, lag in (("k0", 0), ("k1", 1)):
            want = golden["tseries_adf"][key]["statistic"]
            assert run_adf(y, 2, lag)[0] == pytest.approx(want, rel=1e-10)
        for key, r in golden["tseries_kpss"].items():
            trend = 2 if key.startswith("trend") else 1
            assert run_kpss(y, trend, r["lag"])[0] == pytest.approx(r["statistic"], rel=1e-10)


@pytest.mark.parametrize(
    "y",
    [
        [],
        [1.0],
        [np.nan],
        [np.nan] * 30,
        [3.0] * 30,
        [0.1] * 10 + [np.nan] * 5 + [0.1] * 10,
        [1.0, 2.0],
        [1.0, np.nan] * 15,
        [0.0] * 30,
    ],
)
def test_what_cannot_be_tested_is_nan(y):
    for trend in (1, 2):
        for lag, criterion in ((0, 0), (1, 0), (-1, 1), (-1, 2)):
            stat, used, nobs = run_adf(y, trend, lag, criterion)
            assert np.isnan(stat)
            assert (used, nobs) == (-1, 0)
        assert np.isnan(run_pp(y, trend, 1)[:2]).all()
    if np.isnan(y).all() or np.nanmin(y) == np.nanmax(y):
        assert np.isnan(run_kpss(y, 1, 0)[0])


def test_a_line_without_noise_has_no_statistic():
    y = 5.0 + 0.1 * np.arange(40)
    assert np.isnan(run_adf(y, 1, 0)[0])
    assert np.isnan(run_adf(y, 2, 1)[0])
    assert np.isnan(run_kpss(y, 2, 2)[0])
    assert np.isnan(run_pp(y, 1, 2)[0])


def test_a_repeating_pattern_loses_its_collinear_lags_not_its_answer():
    y = np.tile([0.0, 1.0, 3.0, 1.0], 15) + 1e-3 * np.random.default_rng(0).normal(size=60)
    exact = np.tile([0.0, 1.0, 3.0, 1.0], 15)
    assert np.isfinite(run_adf(y, 1, -1, 1)[0])
    assert np.isnan(run_adf(exact, 1, 4)[0])  # the lags explain everything


def test_a_gap_is_not_glued():
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=40).cumsum(), 100 + rng.normal(size=40).cumsum()
    gap = np.r_[left, [np.nan] * 3, right]
    assert run_adf(gap, 1, 1)[2] == 2 * 38  # two rows lost at each start
    assert run_pp(gap, 1, 1)[2] == 2 * 39
    assert run_adf(np.r_[[np.nan] * 4, left, [np.nan]], 1, 1) == run_adf(left, 1, 1)
    assert run_kpss(np.r_[[np.nan] * 4, left, [np.nan]], 2, 3) == run_kpss(left, 2, 3)


def test_rows_are_independent_of_each_other_and_of_the_split():
    rng = np.random.default_rng(2)
    series = [rng.normal(size=n).cumsum() for n in (30, 5, 80, 0, 200, 41)]
    values, indptr = block(*series)
    n = len(series)

    def both(bounds):
        stat, lag, nobs = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
        k, used = np.empty(n), np.empty(n, np.int64)
        for a, b in bounds:
            adf(values, indptr, a, b, 1, np.full(n, -1), 1, stat, lag, nobs)
            kpss(values, indptr, a, b, 1, np.full(n, -1), k, used)
        return np.stack([stat, k])

    whole = both([(0, n)])
    np.testing.assert_array_equal(whole, both([(0, 2), (2, 3), (3, n)]))
    np.testing.assert_array_equal(whole, both([(i, i + 1) for i in range(n)]))
    assert whole[0, 4] == run_adf(series[4], 1, -1, 1)[0]


def test_difference_keeps_the_shape_and_never_crosses_a_series_or_a_gap():
    values, indptr = block([1.0, 4.0, np.nan, 9.0, 16.0], [100.0, 101.0])
    out = np.empty(7)
    difference(values, indptr, 0, 2, 1, out)
    np.testing.assert_array_equal(out, [np.nan, 3.0, np.nan, np.nan, 7.0, np.nan, 1.0])


def test_observe_counts_and_finds_constants():
    values, indptr = block([np.nan, 2.0, np.nan, 2.0], [], [np.nan], [1.0, 1.0 + 1e-12], [1.0, 1.001])
    count, begin, end = (np.empty(5, np.int64) for _ in range(3))
    constant = np.empty(5, np.bool_)
    observe(values, indptr, 0, 5, count, begin, end, constant)
    assert count.tolist() == [2, 0, 0, 2, 2]
    assert begin.tolist() == [1, 0, 0, 0, 0]
    assert end.tolist() == [4, 0, 0, 2, 2]
    assert constant.tolist() == [True, False, False, True, False]
