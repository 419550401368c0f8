"""Least squares in one factorisation: against numpy, statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.arx_ols import fit_arx
from forecast.kernels.qr import reflect, solve, unscaled_covariance
from tests.oracles import regression as oracle


def fit(y, exog=None, terms=(), const=True, slope=False, season=0, lags=(), criterion=0, bounds=None):
    exog = exog if exog is not None else np.zeros((0, len(y)))
    lags = np.array(lags, dtype=np.int64)
    k = const + slope + season + len(terms) + len(lags)
    indptr = np.array([0, len(y)] if bounds is None else bounds, dtype=np.int64)
    n = len(indptr) - 1
    out = dict(
        coef=np.zeros((n, k)), cov=np.zeros((n, k, k)), sigma2=np.zeros(n),
        kept=np.zeros((n, k), dtype=np.uint8), order=np.zeros(n, dtype=np.int64),
        used=np.zeros(n, dtype=np.int64),
    )  # fmt: skip
    row = np.array([r for r, _ in terms], dtype=np.int64)
    lag = np.array([back for _, back in terms], dtype=np.int64)
    fit_arx(
        np.asarray(y, dtype=float), indptr, 0, n, np.ascontiguousarray(exog, dtype=float),
        row, lag, const, slope,
        season, lags, criterion, *out.values(),
    )  # fmt: skip
    return out


def series(seed, t=120, phi=(0.5, -0.2)):
    rng = np.random.default_rng(seed)
    y, e = np.zeros(t), rng.normal(size=t)
    for i in range(len(phi), t):
        y[i] = 1.0 + sum(p * y[i - 1 - j] for j, p in enumerate(phi)) + e[i]
    return y


@given(seed=st.integers(0, 1000), n=st.integers(3, 40), k=st.integers(1, 6))
def test_every_leading_regression_comes_out_of_one_factorisation(seed, n, k):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(k, n)), rng.normal(size=n)
    r, q, kept, rss, coef = x.copy(), y.copy(), np.zeros(k, dtype=np.uint8), np.empty(k + 1), np.empty(k)
    reflect(r, q, n, kept, rss)
    for width in range(1, min(k, n - 1) + 1):
        solve(r, q, kept, width, coef)
        expected, left = oracle.least_squares(x[:width].T, y)
        np.testing.assert_allclose(coef[:width], expected, rtol=1e-7, atol=1e-9)  # condition up to 1e4 here
        assert rss[width] == pytest.approx(left, rel=1e-9, abs=1e-12)


def test_a_column_linear_in_others_is_left_out_and_changes_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 50)), rng.normal(size=50)
    both = np.stack([x[0], x[1], 2.0 * x[0] - x[1], x[2]])
    kept, rss, coef = np.zeros(4, dtype=np.uint8), np.empty(5), np.empty(4)
    r, q = both.copy(), y.copy()
    assert reflect(r, q, 50, kept, rss) == 3
    solve(r, q, kept, 4, coef)
    expected, left = oracle.least_squares(x.T, y)
    assert kept.tolist() == [1, 1, 0, 1]
    np.testing.assert_allclose(coef[[0, 1, 3]], expected, atol=1e-12)
    assert coef[2] == 0
    assert rss[4] == pytest.approx(left, rel=1e-12)


def test_covariance_is_the_inverse_of_the_normal_matrix():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 30)), rng.normal(size=30)
    kept, rss, cov = np.zeros(4, dtype=np.uint8), np.empty(5), np.empty((4, 4))
    r, q = x.copy(), y.copy()
    reflect(r, q, 30, kept, rss)
    unscaled_covariance(r, kept, 4, cov)
    np.testing.assert_allclose(cov, np.linalg.inv(x @ x.T), rtol=1e-10)


@given(
    seed=st.integers(0, 300), holes=st.integers(0, 12), slope=st.booleans(), season=st.sampled_from([0, 4]),
    lags=st.sampled_from([(), (1,), (1, 2, 7)]),
)  # fmt: skip
def test_arx_is_least_squares_on_complete_rows(seed, holes, slope, season, lags):
    rng = np.random.default_rng(seed)
    y, x = series(seed, 80), rng.normal(size=(2, 80))
    y[rng.choice(80, holes, replace=False)] = np.nan
    terms = [(0, 0), (1, 2)]
    got = fit(y, x, terms, True, slope, season, lags)
    exog = dict(enumerate(x))
    design, target = oracle.arx_design(y, exog, terms, True, slope, season, lags, max(lags, default=0))
    coef, rss = oracle.least_squares(design, target)
    assert got["used"][0] == len(target)
    assert got["sigma2"][0] == pytest.approx(rss / len(target), rel=1e-9)
    if not season:  # with dummies the constant makes one of them redundant: compare fitted values instead
        np.testing.assert_allclose(got["coef"][0], coef, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(design @ got["coef"][0], design @ coef, atol=1e-8)


@pytest.mark.parametrize(("name", "code"), [("aic", 1), ("bic", 3), ("hqic", 4)])
def test_order_and_coefficients_are_those_of_statsmodels(name, code):
    from statsmodels.tsa.ar_model import AutoReg, ar_select_order

    y, rng = series(3, 200, (0.4, 0.3, -0.2)), np.random.default_rng(3)
    x = rng.normal(size=(1, 200))
    got = fit(y, x, [(0, 0)], True, True, 0, range(1, 9), code)
    lags = ar_select_order(y, 8, ic=name, trend="ct", exog=x.T).ar_lags
    assert got["order"][0] == len(lags)
    result = AutoReg(y, lags, trend="ct", exog=x.T).fit()
    params = result.params[[0, 1, -1, *range(2, 2 + len(lags))]]
    np.testing.assert_allclose(got["coef"][0][: 3 + len(lags)], params, atol=1e-10)
    assert got["sigma2"][0] == pytest.approx(result.sigma2, rel=1e-12)
    # statsmodels divides by the rows less the coefficients for its standard errors
    k = 3 + len(lags)
    expected = np.diag(result.cov_params())[[0, 1, -1, *range(2, 2 + len(lags))]]
    ratio = expected / np.diag(got["cov"][0])[:k]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_a_regression_with_too_few_rows_says_so():
    got = fit(np.arange(5.0), lags=(1, 2, 3))
    assert got["used"][0] == 0
    assert np.isnan(got["sigma2"][0])


def test_rows_do_not_depend_on_each_other():
    a, b = series(1, 50), series(2, 70)
    both = fit(np.concatenate([a, b]), lags=(1, 2), bounds=[0, 50, 120])
    np.testing.assert_array_equal(both["coef"][0], fit(a, lags=(1, 2))["coef"][0])
    np.testing.assert_array_equal(both["coef"][1], fit(b, lags=(1, 2))["coef"][0])


def test_by_hand():
    # y = 2 + 3 t exactly at t = 1, 2, 3 with one row to spare: slope 3, constant 2, no residual
    got = fit(np.array([5.0, 8.0, 11.0, 14.0]), slope=True)
    np.testing.assert_allclose(got["coef"][0], [2.0, 3.0], atol=1e-12)
    assert got["sigma2"][0] < 1e-25
