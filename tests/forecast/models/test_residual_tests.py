from __future__ import annotations

import numpy as np
import pytest
from scipy.special import chdtrc
from statsmodels.stats.diagnostic import acorr_ljungbox, het_arch
from statsmodels.stats.stattools import jarque_bera

from forecast.errors import InputError
from forecast.models.residual_tests import chi2_p, default_lags, residual_tests


def ragged(*series):
    return np.concatenate([np.asarray(y, float) for y in series]), np.cumsum([0, *map(len, series)])


def test_the_numbers_are_those_of_statsmodels():
    rng = np.random.default_rng(0)
    series = [rng.standard_t(4, size=n) for n in (40, 75, 300)]
    df = np.array([0, 2, 3])
    got = residual_tests(*ragged(*series), df=df)
    assert got["lags"].tolist() == [8, 10, 10]
    assert got["n"].tolist() == [40, 75, 300]
    for i, y in enumerate(series):
        m = int(got["lags"][i])
        want = acorr_ljungbox(y, lags=[m], boxpierce=True, model_df=int(df[i])).iloc[0]
        lm, lm_p = het_arch(y, nlags=m, result_object=True)[:2]
        jb, jb_p, skewness, kurtosis = jarque_bera(y)
        mine = ("ljung_box", "ljung_box_p", "box_pierce", "box_pierce_p", "arch_lm", "arch_lm_p")
        theirs = [want["lb_stat"], want["lb_pvalue"], want["bp_stat"], want["bp_pvalue"], lm, lm_p]
        np.testing.assert_allclose([got[k][i] for k in mine], theirs, rtol=1e-8, atol=1e-12)
        mine = ("jarque_bera", "jarque_bera_p", "skewness", "kurtosis")
        np.testing.assert_allclose([got[k][i] for k in mine], [jb, jb_p, skewness, kurtosis], rtol=1e-8)


def test_default_lags_are_hyndmans():
    count = np.array([3, 20, 49, 50, 500])
    assert default_lags(count).tolist() == [0, 4, 9, 10, 10]
    assert default_lags(count, 12).tolist() == [0, 4, 9, 10, 24]


def test_each_test_finds_what_it_looks_for():
    rng = np.random.default_rng(0)
    white = rng.normal(size=400)
    correlated = white + 0.7 * np.r_[0.0, white[:-1]]
    skewed = rng.exponential(size=400)
    volatile = white * np.where(np.arange(400) // 50 % 2, 4.0, 1.0)
    got = residual_tests(*ragged(white, correlated, skewed, volatile))
    assert (got["ljung_box_p"] < 1e-4).tolist() == [False, True, False, False]
    assert (got["jarque_bera_p"] < 1e-4).tolist() == [False, False, True, True]
    assert got["arch_lm_p"][3] < 1e-4 < got["arch_lm_p"][0]


def test_no_degrees_of_freedom_no_p_value():
    y = np.random.default_rng(0).normal(size=50)
    got = residual_tests(*ragged(y, y), df=np.array([2, 3]), lags=3)
    assert got["ljung_box"][0] == got["ljung_box"][1]
    assert np.isfinite(got["ljung_box_p"][0])
    assert np.isnan(got["ljung_box_p"][1])
    assert np.isfinite(got["arch_lm_p"]).all()


def test_a_bad_series_is_nan_and_a_gap_is_not():
    y = np.random.default_rng(0).normal(size=60)
    gap = y.copy()
    gap[[0, 20, 21]] = np.nan
    got = residual_tests(*ragged(y, gap, [], [np.nan] * 9, np.zeros(20), [1.0], [np.inf] * 30))
    for name, column in got.items():
        if name not in ("n", "lags"):
            assert np.isfinite(column[:2]).all(), name
            assert np.isnan(column[2:]).all(), name
    assert got["n"].tolist() == [60, 57, 0, 0, 20, 1, 30]


def test_threads_do_not_change_the_answer():
    values, indptr = np.random.default_rng(0).normal(size=300 * 30), np.arange(0, 300 * 30 + 1, 30)
    one, many = residual_tests(values, indptr), residual_tests(values, indptr, jobs=3)
    for name, column in one.items():
        np.testing.assert_array_equal(column, many[name])


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="lags must be >= 1"):
        residual_tests(*ragged(np.arange(9.0)), lags=0)
    with pytest.raises(InputError, match="df must be >= 0"):
        residual_tests(*ragged(np.arange(9.0)), df=-1)


@pytest.mark.parametrize("most", [1, 2, 24, 100, 101])
def test_the_tail_of_chi_squared_is_scipys(most):
    """A sum of at most 50 positive terms: 1e-14 of it. Beyond 100 degrees of freedom it is SciPy's own."""
    rng = np.random.default_rng(0)
    df = rng.integers(-2, most + 1, 5000)
    df[:6] = most
    stat = rng.exponential(size=5000) * np.maximum(df, 1) * rng.choice([0.01, 0.5, 1.0, 5.0], 5000)
    stat[:6] = [0.0, np.nan, np.inf, 1e-300, 1e4, 1399.0]
    want = np.where(df > 0, chdtrc(np.maximum(df, 1), stat), np.nan)
    np.testing.assert_allclose(chi2_p(stat, df), want, rtol=1e-12, atol=1e-200)
