import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.linear_model import yule_walker

from forecast.kernels.yule_walker import fit_yule_walker
from tests.oracles import ar_fit as oracle
from tests.oracles.ar_panel import fit, ragged


@given(
    parcor=st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=4),
    t=st.integers(8, 300),
    m=st.integers(0, 24),
    const=st.integers(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_solves_the_yule_walker_equations(parcor, t, m, const, seed):
    y = oracle.simulate(oracle.from_parcor(parcor), t, np.random.default_rng(seed)) + 5.0 * const
    got = fit(fit_yule_walker, [y], m, const=const)
    order = min(m, (t - 3 - const) // 2)
    phi, sigma2 = oracle.yule_walker(y, order, const)
    assert got.order[0] == order
    # Condition of the Toeplitz matrix here up to some 1e3.
    np.testing.assert_allclose(got.phi[0, :order], phi, atol=1e-11)
    assert got.sigma2[0] == pytest.approx(sigma2, rel=1e-11)


def test_agrees_with_statsmodels():
    y = oracle.simulate([1.2, -0.5], 300, np.random.default_rng(2)) + 4
    for order in (1, 6, 20):
        want = yule_walker(y, order, method="mle", result_object=True)
        got = fit(fit_yule_walker, [y], order)
        np.testing.assert_allclose(got.phi[0], want.rho, atol=1e-13)
        assert got.sigma2[0] == pytest.approx(want.sigma**2, rel=1e-13)


def test_agrees_with_r(fixtures):
    data = json.loads((fixtures / "r/classic_data.json").read_text())["series"]
    golden = json.loads((fixtures / "r/ar_methods.json").read_text())
    for case in golden["selected"] + golden["fixed_order"]:
        if case["method"] != "yule-walker":
            continue
        y = np.array(data[case["series"]]["y"], dtype=float)
        n, p = len(y), case["order"]
        name, most = ("aic", case["order_max"]) if "order_max" in case else ("fixed", p)
        got = fit(fit_yule_walker, [y], most, name)
        assert got.order[0] == p
        # 15 digits in the file, of coefficients below 2.
        np.testing.assert_allclose(got.phi[0, :p], case["ar"], atol=1e-13)
        assert got.sigma2[0] * n / (n - p - 1) == pytest.approx(case["var_pred"], rel=1e-12)
        if name == "aic":
            np.testing.assert_allclose(got.ic[0] - got.ic[0].min(), case["aic_minus_min"], atol=1e-9)


def test_two_lags_by_hand():
    # Sums of products 6, 4, -1 of (1, 2, 1, 0): phi = (r1 (1 - r2), r2 - r1^2) / (1 - r1^2), r = (4/6, 1/6).
    y = np.array([1.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    got = fit(fit_yule_walker, [y], 2, const=0)
    r1, r2 = 4 / 6, 1 / 6
    want = [r1 * (1 - r2) / (1 - r1**2), (r2 - r1**2) / (1 - r1**2)]
    np.testing.assert_allclose(got.phi[0], want, rtol=1e-14)


@pytest.mark.parametrize("t", [20, 500])
def test_unit_roots_and_sinusoids_come_out_stationary(t):
    rng = np.random.default_rng(3)
    for y in (np.cumsum(rng.normal(size=t)), np.sin(0.3 * np.arange(t)), np.arange(float(t))):
        got = fit(fit_yule_walker, [y], 6)
        assert got.ok[0] == 1
        assert np.abs(np.roots(np.r_[1.0, -got.phi[0]])).max() < 1


def test_series_that_cannot_be_fitted_are_refused():
    got = fit(fit_yule_walker, [np.ones(1), np.arange(3.0), np.full(40, 0.1), np.arange(4.0)], 5)
    assert got.ok.tolist() == [0, 0, 0, 1]


def test_rows_do_not_depend_on_the_split_nor_on_their_neighbours():
    series = ragged(np.random.default_rng(4))
    whole = fit(fit_yule_walker, series, 9, "aic")
    assert whole.same(fit(fit_yule_walker, series, 9, "aic", cuts=(1, 17, 18)))
    order = np.random.default_rng(5).permutation(len(series))
    assert whole.take(order).same(fit(fit_yule_walker, [series[i] for i in order], 9, "aic"))
