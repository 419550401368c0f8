import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.linear_model import burg as statsmodels_burg

from forecast.kernels.burg import MAX_LOSS, fast_burg, fit_burg, lattice_burg
from tests.oracles import ar_fit as oracle
from tests.oracles.ar_panel import fit, ragged


@given(
    parcor=st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=4),
    t=st.integers(8, 300),
    m=st.integers(0, 24),
    const=st.integers(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_order_is_that_of_the_lattice(parcor, t, m, const, seed):
    y = oracle.simulate(oracle.from_parcor(parcor), t, np.random.default_rng(seed)) + 5.0 * const
    got = fit(fit_burg, [y], m, const=const)
    order = min(m, (t - 3 - const) // 2)
    phi, sigma2 = oracle.burg(y, order, const)
    assert got.ok[0] == 1
    assert got.order[0] == order
    # The fast recursion may magnify rounding a thousandfold, beyond that the lattice itself is used.
    np.testing.assert_allclose(got.phi[0, :order], phi, atol=1e-12)
    assert got.sigma2[0] == pytest.approx(sigma2, rel=1e-11)
    assert got.level[0] == pytest.approx(y.mean() * const, abs=1e-13)


@pytest.mark.parametrize("const", [0, 1])
@pytest.mark.parametrize("phi", [[0.6], [1.2, -0.5], [0.1] * 6, [0.95]])
def test_agrees_with_statsmodels(phi, const):
    y = oracle.simulate(phi, 400, np.random.default_rng(1)) + const
    for order in (1, 5, 24):
        want, _ = statsmodels_burg(y, order, demean=bool(const))
        np.testing.assert_allclose(fit(fit_burg, [y], order, const=const).phi[0], want, atol=1e-12)


def test_agrees_with_r(fixtures):
    data = json.loads((fixtures / "r/classic_data.json").read_text())["series"]
    golden = json.loads((fixtures / "r/ar_methods.json").read_text())
    for case in golden["selected"] + golden["fixed_order"]:
        if case["method"] != "burg" or case.get("burg_var_method") == 2:
            continue
        y = np.array(data[case["series"]]["y"], dtype=float)
        name, most = ("aic", case["order_max"]) if "order_max" in case else ("fixed", case["order"])
        got = fit(fit_burg, [y], most, name)
        assert got.order[0] == case["order"]
        # 15 digits in the file, of coefficients below 2.
        np.testing.assert_allclose(got.phi[0, : case["order"]], case["ar"], atol=1e-13)
        assert got.sigma2[0] == pytest.approx(case["var_pred"], rel=1e-12)
        if name == "aic":
            # Differences of numbers of about 3000, in 15 digits.
            np.testing.assert_allclose(got.ic[0] - got.ic[0].min(), case["aic_minus_min"], atol=1e-9)


@pytest.mark.parametrize("name", ["aic", "aicc", "bic", "hqic"])
def test_criteria_of_all_orders(name):
    y = oracle.simulate([0.5, -0.3], 120, np.random.default_rng(5))
    got = fit(fit_burg, [y], 10, name)
    for k in range(11):
        loglik = oracle.conditional_loglik(120 * oracle.burg(y, k, 1)[1], 120)
        assert got.ic[0, k] == pytest.approx(oracle.criterion(name, loglik, 120, k + 2), rel=1e-12)
    assert got.order[0] == got.ic[0].argmin()
    assert got.loglik[0] == pytest.approx(oracle.conditional_loglik(120 * got.sigma2[0], 120))


def test_one_lag_by_hand():
    # 2 (1 2 + 2 1 + 1 0 + 0 -1 + -1 -2) / (1 + 2 4 + 2 1 + 2 0 + 2 1 + 4) = 12 / 17.
    got = fit(fit_burg, [np.array([1.0, 2, 1, 0, -1, -2])], 1, const=0)
    assert got.phi[0, 0] == pytest.approx(12 / 17)
    assert got.sigma2[0] == pytest.approx(11 / 6 * (1 - (12 / 17) ** 2))


def awkward(kind, rng):
    t = 500
    noise = rng.normal(size=t)
    if kind == "random walk":
        return np.cumsum(noise)
    if kind == "tiny innovations":
        return np.sin(0.4 * np.arange(t)) + 1e-6 * noise
    if kind == "sinusoid":
        return np.sin(0.4 * np.arange(t) + 1.0)
    if kind == "huge mean":
        return 1e9 + noise
    if kind == "outlier at the end":
        noise[-1] = 1e8
    elif kind == "outlier at the start":
        noise[0] = 1e8
    return noise


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        # Of the order of rounding in the data over the size of the errors: 1e-16 / 1e-6 squared at worst.
        ("random walk", 1e-12),
        ("tiny innovations", 1e-6),
        ("outlier at the end", 1e-12),
        ("outlier at the start", 1e-12),
        # Two means of numbers of 1e9 differ by 1e-7; t (or a little less) of them enter the sums.
        ("huge mean", 1e-8),
    ],
)
def test_awkward_series_keep_their_digits(kind, tolerance):
    y = awkward(kind, np.random.default_rng(8))
    got = fit(fit_burg, [y], 8)
    np.testing.assert_allclose(got.phi[0], oracle.burg(y, 8, 1)[0], atol=tolerance)


def test_a_sinusoid_stays_stationary():
    y = awkward("sinusoid", np.random.default_rng(8))
    got = fit(fit_burg, [y], 6)
    assert got.ok[0] == 1
    poles = np.abs(np.roots(np.r_[1.0, -got.phi[0]]))
    assert poles.max() < 1 + 1e-9
    assert 0 < got.sigma2[0] < 1e-3


@pytest.mark.parametrize("kind", ["tiny innovations", "sinusoid"])
def test_the_fast_recursion_gives_up_where_digits_are_lost(kind):
    y = awkward(kind, np.random.default_rng(8))
    y = y - y.mean()
    c = 500 * oracle.autocovariances(y, 8, 0)
    filters, kappa, work = np.zeros((9, 10)), np.empty(9), np.empty((4, 10))
    assert not fast_burg(y, c, 8, filters, kappa, work)
    lattice_burg(y, 8, filters, kappa)
    assert c[0] / 500 * (1 - kappa[1:] ** 2).prod() * MAX_LOSS < c[0] / 500 * np.abs(filters[8]).sum() ** 2


def test_series_that_cannot_be_fitted_are_refused():
    series = [np.ones(1), np.arange(3.0), np.full(40, 0.1), np.arange(4.0)]
    got = fit(fit_burg, series, 5)
    assert got.ok.tolist() == [0, 0, 0, 1]
    assert got.order.tolist() == [0, 0, 0, 0]
    assert np.isnan(got.sigma2[:3]).all()
    assert (got.phi == 0).all()


def test_rows_do_not_depend_on_the_split_nor_on_their_neighbours():
    series = ragged(np.random.default_rng(4))
    whole = fit(fit_burg, series, 9, "aic")
    assert 0 < whole.ok.sum() < len(series)
    assert whole.same(fit(fit_burg, series, 9, "aic", cuts=(1, 17, 18)))
    order = np.random.default_rng(5).permutation(len(series))
    assert whole.take(order).same(fit(fit_burg, [series[i] for i in order], 9, "aic"))
