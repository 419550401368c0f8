from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.tsa.adfvalues import mackinnonp
from statsmodels.tsa.stattools import adfuller

from forecast.errors import InputError
from forecast.models import unit_root_tables as tables
from forecast.models.unit_roots import adf_test, kpss_test, lag_rule, phillips_perron_test


def ragged(*series):
    return np.concatenate([np.asarray(y, float) for y in series]), np.cumsum([0, *map(len, series)])


@pytest.fixture(scope="module")
def classic(fixtures):
    series = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"]
    tests = json.loads((fixtures / "r" / "unit_roots.json").read_text())["tests"]
    names = list(tests)
    return ragged(*[series[name]["y"] for name in names]), [tests[name] for name in names]


@pytest.mark.parametrize("trend", [0, 1, 2])
def test_tau_p_is_the_surface_of_mackinnon(trend):
    stat = np.r_[np.linspace(-30, 6, 2001), tables.TAU_SPLIT[trend], tables.TAU_LOWEST[trend]]
    want = [mackinnonp(s, regression=tables.TRENDS[trend], N=1) for s in stat]
    np.testing.assert_allclose(tables.tau_p(stat, trend), want, atol=1e-12)
    assert np.isnan(tables.tau_p(np.array([np.nan]), trend))


def test_rho_p_meets_the_published_critical_values():
    # Asymptotic 1, 5, 10 % points of n (rho - 1), Fuller (1976), table 8.5.1; good to some 0.002.
    published = {0: (-13.8, -8.1, -5.7), 1: (-20.7, -14.1, -11.3), 2: (-29.5, -21.8, -18.3)}
    for trend, points in published.items():
        p = tables.rho_p(np.array(points), trend)
        np.testing.assert_allclose(p, (0.01, 0.05, 0.1), atol=0.004)
        whole = tables.rho_p(np.linspace(-60, 1, 500), trend)
        assert (np.diff(whole) > -2e-3).all()  # the two surfaces meet, but not exactly
    assert np.isnan(tables.rho_p(np.array([np.nan]), 1))


def test_rho_p_by_hand():
    # log 20 = 2.995732: 2.2142 - 5.351297 + 2.946067 - 2.077379 = -2.268367
    assert tables.rho_p(np.array([-20.0]), 1)[0] == pytest.approx(norm.cdf(-2.268367), abs=1e-6)


def test_tables_are_those_of_r(classic):
    _, goldens = classic
    for golden in goldens:
        nobs = np.array([golden["n"] - 1] * 3)
        for r in golden["ur_df"]:
            trend = {"none": 0, "drift": 1, "trend": 2}[r["type"]]
            critical = next(v for k, v in r["critical_1_5_10"].items() if k.startswith("tau"))
            p = tables.fuller_p(np.array(critical), nobs, trend)
            np.testing.assert_allclose(p, (0.01, 0.05, 0.1), atol=1e-12)
        for r in golden["ur_pp"]:
            if r["type"] == "Z-tau":
                trend = {"constant": 1, "trend": 2}[r["model"]]
                p = tables.phillips_perron_p(np.array(r["critical_1_5_10"]), nobs, trend)
                np.testing.assert_allclose(p, (0.01, 0.05, 0.1), atol=1e-9)  # 15 digits, steep between
        for r in golden["ur_kpss"]:
            critical = np.array(r["critical_10_5_2.5_1"])
            p = tables.kpss_p(critical, {"mu": 1, "tau": 2}[r["type"]])
            np.testing.assert_allclose(p, (0.1, 0.05, 0.025, 0.01), atol=1e-12)


def test_a_block_is_tested_as_statsmodels_and_r_test_its_series(classic):
    (values, indptr), goldens = classic
    adf = adf_test(values, indptr)
    level, line = kpss_test(values, indptr, lags="short"), kpss_test(values, indptr, "ct", lags="long")
    tau = phillips_perron_test(values, indptr, "ct")
    current = phillips_perron_test(values, indptr, lags="long", moment="current", statistic="rho")
    for i, golden in enumerate(goldens):
        want = adfuller(values[indptr[i] : indptr[i + 1]], result_object=True)
        assert adf.stat[i] == pytest.approx(want.statistic, rel=1e-8)
        assert adf.p[i] == pytest.approx(want.pvalue, rel=1e-7, abs=1e-12)
        for got, key in ((level, "level_short"), (line, "trend_long")):
            r = golden["tseries_kpss"][key]
            assert got.stat[i] == pytest.approx(r["statistic"], rel=1e-10)
            assert got.p[i] == pytest.approx(r["p_value"], abs=1e-10)
            assert got.lag[i] == r["lag"]
        r = golden["tseries_pp"]["zt_short"]
        assert (tau.lag[i], tau.stat[i]) == (r["lag"], pytest.approx(r["statistic"], rel=1e-10))
        r = next(
            r
            for r in golden["ur_pp"]
            if (r["type"], r["model"], r["lags"]) == ("Z-alpha", "constant", "long")
        )
        assert (current.lag[i], current.stat[i]) == (r["lag_used"], pytest.approx(r["statistic"], rel=1e-10))


@pytest.mark.parametrize("test", [adf_test, kpss_test, phillips_perron_test])
def test_a_bad_series_is_nan_and_leaves_its_neighbours_alone(test):
    rng = np.random.default_rng(0)
    fine = rng.normal(size=50)
    values, indptr = ragged(fine, [], [np.nan] * 20, [1.0] * 20, [1.0], np.full(20, np.inf), fine)
    got = test(values, indptr)
    assert np.isnan(got.stat[1:-1]).all()
    assert np.isnan(got.p[1:-1]).all()
    assert got.stat[0] == got.stat[-1] == test(*ragged(fine)).stat[0]
    assert 0 <= got.p[0] <= 1


def test_threads_do_not_change_the_answer():
    rng = np.random.default_rng(0)
    values, indptr = rng.normal(size=400 * 40), np.arange(0, 400 * 40 + 1, 40)
    for test in (adf_test, kpss_test, phillips_perron_test):
        np.testing.assert_array_equal(test(values, indptr).stat, test(values, indptr, jobs=3).stat)


def test_rejection_rates_are_the_nominal_ones():
    # 2,000 random walks and 2,000 white series of 150: three standard errors of 5 % are 1.5 %,
    # and the asymptotic tables are off by about 1 % at this length.
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2000, 150))
    indptr = np.arange(0, 2000 * 150 + 1, 150)
    walk, white = noise.cumsum(axis=1).ravel(), noise.ravel()
    for trend in ("c", "ct"):
        assert abs((adf_test(walk, indptr, trend, "fixed", 1).p < 0.05).mean() - 0.05) < 0.025
        for statistic in ("tau", "rho"):
            p = phillips_perron_test(walk, indptr, trend, statistic=statistic).p
            assert abs((p < 0.05).mean() - 0.05) < 0.025
        assert abs((kpss_test(white, indptr, trend).p < 0.05).mean() - 0.05) < 0.025


def test_kpss_keeps_its_size_when_a_fifth_is_missing():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(2000, 150))
    y[rng.random(y.shape) < 0.2] = np.nan
    indptr = np.arange(0, y.size + 1, 150)
    assert abs((kpss_test(y.ravel(), indptr).p < 0.05).mean() - 0.05) < 0.02


def test_lag_rules_by_hand():
    count = np.array([0, 99, 100, 1600, 169])
    assert lag_rule("short", count).tolist() == [0, 3, 4, 8, 4]
    assert lag_rule("long", count).tolist() == [0, 11, 12, 24, 13]
    assert lag_rule("root", count).tolist() == [0, 2, 2, 9, 3]
    assert lag_rule(2, count).tolist() == [2] * 5


def test_wrong_arguments_are_named():
    y, p = ragged(np.arange(9.0))
    with pytest.raises(InputError, match="did you mean 'aic'"):
        adf_test(y, p, criterion="aicc")
    with pytest.raises(InputError, match="trend must be one of c, ct, got 'n'"):
        kpss_test(y, p, trend="n")
    with pytest.raises(InputError, match="lag rule"):
        kpss_test(y, p, lags="shrt")
    with pytest.raises(InputError, match=">= 0, got -1"):
        adf_test(y, p, max_lag=-1)
    with pytest.raises(InputError, match="statistic"):
        phillips_perron_test(y, p, statistic="t")
    with pytest.raises(InputError, match="moment"):
        phillips_perron_test(y, p, moment="first")
