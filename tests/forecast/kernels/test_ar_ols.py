import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.ar_model import AutoReg, ar_select_order

from forecast.kernels.ar_ols import fit_ols
from tests.oracles import ar_fit as oracle
from tests.oracles.ar_panel import fit, ragged

PARCOR = st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=5)


@given(
    parcor=PARCOR,
    t=st.integers(60, 250),
    m=st.integers(0, 14),
    const=st.integers(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_fixed_order_is_least_squares(parcor, t, m, const, seed):
    y = oracle.simulate(oracle.from_parcor(parcor), t, np.random.default_rng(seed)) + 3.0 * const
    got = fit(fit_ols, [y], m, const=const)
    beta, rss = oracle.ols(y, m, const)
    assert got.ok[0] == 1
    assert got.order[0] == m
    # Pivots under 1e-6 of the diagonal go to QR, so at most ten digits are lost of sixteen, less in practice.
    np.testing.assert_allclose(got.phi[0], beta[const:], atol=1e-10)
    if const:
        assert got.level[0] == pytest.approx(beta[0], abs=1e-9)
    assert got.sigma2[0] == pytest.approx(rss / (t - m), rel=1e-10)
    assert got.loglik[0] == pytest.approx(oracle.conditional_loglik(rss, t - m), rel=1e-10)


@pytest.mark.parametrize("name", ["aic", "aicc", "bic", "hqic"])
@pytest.mark.parametrize("const", [0, 1])
def test_orders_are_compared_on_a_common_sample(name, const):
    y = oracle.simulate([0.5, -0.3, 0.2], 150, np.random.default_rng(5)) + const
    got = fit(fit_ols, [y], 10, name, const)
    for k in range(11):
        loglik = oracle.conditional_loglik(oracle.ols(y, k, const, 10)[1], 140)
        assert got.ic[0, k] == pytest.approx(oracle.criterion(name, loglik, 140, k + const + 1), rel=1e-12)
    assert got.order[0] == got.ic[0].argmin()
    beta, _ = oracle.ols(y, got.order[0], const)
    np.testing.assert_allclose(got.phi[0, : got.order[0]], beta[const:], atol=1e-12)
    assert (got.phi[0, got.order[0] :] == 0).all()


@pytest.mark.parametrize("name", ["aic", "bic", "hqic"])
@pytest.mark.parametrize("trend", ["n", "c"])
def test_agrees_with_statsmodels(name, trend):
    const = int(trend == "c")
    rng = np.random.default_rng(11)
    series = [oracle.simulate(phi, 200, rng) + 10 * const for phi in ([0.6], [1.2, -0.5], [0.1] * 6, [0.99])]
    got = fit(fit_ols, series, 12, name, const)
    for i, y in enumerate(series):
        select = ar_select_order(y, 12, name, trend=trend)
        k = len(select.ar_lags or [])
        result = select.model.fit()
        assert got.order[i] == k
        np.testing.assert_allclose(got.phi[i, :k], result.params[const:], atol=1e-10)
        assert got.loglik[i] == pytest.approx(result.llf, rel=1e-11)
        assert got.sigma2[i] == pytest.approx(result.sigma2, rel=1e-10)
        if const:
            assert got.level[i] == pytest.approx(result.params[0], abs=1e-9)
        table = getattr(select, name)
        want = [np.ravel(table[tuple(range(1, j + 1)) or 0])[0] for j in range(13)]
        # With an intercept ar_select_order counts one parameter fewer than AutoReg does, at every order.
        np.testing.assert_allclose(np.diff(got.ic[i]), np.diff(want), atol=1e-8)


def test_aicc_is_that_of_statsmodels():
    y = oracle.simulate([0.6], 80, np.random.default_rng(3))
    got = fit(fit_ols, [y], 4, "aicc")
    assert got.ic[0, 4] == pytest.approx(AutoReg(y, 4).fit().aicc, rel=1e-12)


def test_regression_on_one_lag_by_hand():
    # Rows (1, 2), (2, 4), (4, 3), (3, 5), (5, 6): Sxx = Syy = 10, Sxy = 7, means 3 and 4.
    got = fit(fit_ols, [np.array([1.0, 2, 4, 3, 5, 6])], 1)
    assert got.phi[0, 0] == pytest.approx(0.7)
    assert got.level[0] == pytest.approx(1.9)
    assert got.sigma2[0] == pytest.approx((10 - 4.9) / 5)


@pytest.mark.parametrize("scale", [1e-4, 1e-6, 1e-9])
def test_smooth_series_do_not_lose_the_digits_of_normal_equations(scale):
    rng = np.random.default_rng(0)
    y = np.sin(0.5 * np.arange(300)) + scale * rng.normal(size=300)
    got = fit(fit_ols, [y], 6)
    beta, rss = oracle.ols(y, 6, 1)
    # Condition of the lag matrix about 1 / scale; two orthogonal solvers differ by that times 1e-16.
    np.testing.assert_allclose(got.phi[0], beta[1:], atol=1e-14 / scale)
    assert got.sigma2[0] == pytest.approx(rss / 294, rel=1e-6)


def test_outliers_at_the_ends_and_a_large_level():
    rng = np.random.default_rng(2)
    y = rng.normal(size=200)
    y[0], y[-1] = 1e7, -1e7
    got = fit(fit_ols, [y, rng.normal(size=200) + 1e8], 3)
    np.testing.assert_allclose(got.phi[0], oracle.ols(y, 3, 1)[0][1:], atol=1e-9)
    assert got.ok.all()


def test_order_is_capped_by_the_length():
    series = [np.random.default_rng(t).normal(size=t) for t in range(1, 14)]
    for const in (0, 1):
        got = fit(fit_ols, series, 3, const=const)
        for t, order, ok in zip(range(1, 14), got.order, got.ok, strict=True):
            assert ok == (t >= 3 + const)
            assert order == (min(3, (t - 3 - const) // 2) if ok else 0)
        assert np.isnan(got.sigma2[got.ok == 0]).all()
        assert (got.phi[got.ok == 0] == 0).all()


@pytest.mark.parametrize(
    "y", [np.full(50, 0.1), np.full(50, 1e12), np.arange(50.0), np.tile([1.0, -1.0], 25)]
)
def test_a_series_without_noise_is_refused(y):
    assert fit(fit_ols, [y], 4).ok[0] == 0


def test_rows_do_not_depend_on_the_split_nor_on_their_neighbours():
    series = ragged(np.random.default_rng(4))
    whole = fit(fit_ols, series, 9, "aic")
    assert 0 < whole.ok.sum() < len(series)
    assert whole.same(fit(fit_ols, series, 9, "aic", cuts=(1, 17, 18)))
    order = np.random.default_rng(5).permutation(len(series))
    assert whole.take(order).same(fit(fit_ols, [series[i] for i in order], 9, "aic"))


def test_agrees_with_r(fixtures):
    data = json.loads((fixtures / "r/classic_data.json").read_text())["series"]
    golden = json.loads((fixtures / "r/ar_methods.json").read_text())
    for case in golden["selected"] + golden["fixed_order"]:
        if case["method"] != "ols":
            continue
        y = np.array(data[case["series"]]["y"], dtype=float)
        got = fit(fit_ols, [y], case["order"])
        # 15 digits in the file; R solves the normal equations, which loses a few.
        np.testing.assert_allclose(got.phi[0], case["ar"], rtol=1e-8)
        assert got.sigma2[0] == pytest.approx(case["var_pred"], rel=1e-9)
        if "aic_minus_min" not in case:
            continue
        # R compares orders on growing samples, each with its own rows.
        logs = [np.log(fit(fit_ols, [y], k).sigma2[0]) for k in range(case["order_max"] + 1)]
        aic = len(y) * np.array(logs) + 2 * np.arange(1, len(logs) + 1)
        np.testing.assert_allclose(aic - aic.min(), case["aic_minus_min"], atol=1e-6)
