from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.diagnostic import acorr_ljungbox, het_arch
from statsmodels.stats.stattools import jarque_bera as reference_jarque_bera

from forecast.kernels.portmanteau import arch_lm, jarque_bera, ljung_box
from tests.oracles import portmanteau as oracle


def run_ljung_box(y, lags):
    q, box = np.empty(1), np.empty(1)
    ljung_box(np.asarray(y, float), np.array([0, len(y)]), 0, 1, np.array([lags]), q, box)
    return q[0], box[0]


def run_jarque_bera(y):
    out = np.empty((3, 1))
    jarque_bera(np.asarray(y, float), np.array([0, len(y)]), 0, 1, *out)
    return out[:, 0]


def run_arch(y, lags):
    stat, nobs = np.empty(1), np.empty(1, np.int64)
    arch_lm(np.asarray(y, float), np.array([0, len(y)]), 0, 1, np.array([lags]), stat, nobs)
    return stat[0], nobs[0]


@st.composite
def residuals(draw, gaps=True):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(40, 120))
    y = rng.standard_t(5, size=n) * 10.0 ** draw(st.integers(-8, 8))
    if gaps:
        y[rng.random(n) < draw(st.sampled_from([0.0, 0.05, 0.15]))] = np.nan
    return y


# Sums of a hundred products: rounding 1e-13, the ARCH regression some digits more.
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


@given(y=residuals(), lags=st.integers(1, 12))
def test_ljung_box_runs_over_the_pairs_that_exist(y, lags):
    np.testing.assert_allclose(run_ljung_box(y, lags), oracle.ljung_box(y, lags), **CLOSE)


@given(y=residuals())
def test_jarque_bera_is_its_formula(y):
    np.testing.assert_allclose(run_jarque_bera(y)[0], oracle.jarque_bera(y), **CLOSE)


@given(y=residuals(), lags=st.integers(1, 3))
def test_arch_runs_over_complete_rows(y, lags):
    np.testing.assert_allclose(run_arch(y, lags)[0], oracle.arch_lm(y, lags), **CLOSE)


@given(y=residuals(gaps=False), lags=st.integers(1, 12))
def test_complete_residuals_give_the_numbers_of_statsmodels(y, lags):
    want = acorr_ljungbox(y, lags=[lags], boxpierce=True)
    np.testing.assert_allclose(
        run_ljung_box(y, lags), [want["lb_stat"].iloc[0], want["bp_stat"].iloc[0]], rtol=1e-8
    )
    jb, _, skew, kurtosis = reference_jarque_bera(y)
    np.testing.assert_allclose(run_jarque_bera(y), [jb, skew, kurtosis], rtol=1e-8, atol=1e-12)
    scaled = y / np.abs(y).max()  # statsmodels squares raw values: 1e-16 would count as constant there
    want_lm = het_arch(scaled, nlags=lags, result_object=True).lm
    np.testing.assert_allclose(run_arch(y, lags)[0], want_lm, rtol=1e-8, atol=1e-8)


def test_autocorrelation_statistics_agree_with_r(fixtures):
    series = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    sample = json.loads((fixtures / "r" / "correlations.json").read_text())["sample"]
    checked = 0
    for name, golden in sample.items():
        got = run_ljung_box(np.array(series[name]["y"], float), 12)
        for value, key in zip(got, ("ljung_box_12", "box_pierce_12"), strict=True):
            if golden.get(key) is not None and not np.isnan(np.array(series[name]["y"], float)).any():
                assert value == pytest.approx(golden[key]["statistic"], rel=1e-10)  # 15 printed digits
                checked += 1
    assert checked >= 20


def test_by_hand():
    # e = (1, -1, 1, -1): r1 = -3/4, Ljung-Box 4 * 6 * (9/16) / 3 = 4.5, Box-Pierce 4 * 9/16 = 2.25.
    q, box = run_ljung_box([1.0, -1.0, 1.0, -1.0], 1)
    assert (q, box) == (pytest.approx(4.5, rel=1e-14), pytest.approx(2.25, rel=1e-14))
    # S = 0, K = 1: 4 / 6 * (0 + 4 / 4).
    assert run_jarque_bera([1.0, -1.0, 1.0, -1.0])[0] == pytest.approx(2 / 3, rel=1e-14)


def test_a_gap_leaves_the_size_of_the_statistic_alone():
    # Under whiteness the mean of Q is its number of lags; 400 draws know it to 2 sqrt(20 / 400) = 0.45.
    rng = np.random.default_rng(0)
    q = []
    for _ in range(400):
        y = rng.normal(size=150)
        y[rng.random(150) < 0.3] = np.nan
        q.append(run_ljung_box(y, 10)[0])
    assert abs(np.mean(q) - 10) < 0.7


@pytest.mark.parametrize("y", [[], [1.0], [np.nan] * 9, [2.0] * 20, [0.0] * 20, [0.1] * 20])
def test_what_cannot_be_tested_is_nan(y):
    assert np.isnan(run_ljung_box(y, 3)).all()
    assert np.isnan(run_jarque_bera(y)).all()
    assert np.isnan(run_arch(y, 3)[0])


def test_lags_out_of_range_are_nan():
    y = np.random.default_rng(0).normal(size=10)
    for lags in (0, -1, 10, 50):
        assert np.isnan(run_ljung_box(y, lags)).all()
        assert np.isnan(run_arch(y, lags)[0])
    assert np.isnan(run_ljung_box(np.r_[1.0, np.nan, 2.0, np.nan, 4.0], 1)).all()  # no pair at all
