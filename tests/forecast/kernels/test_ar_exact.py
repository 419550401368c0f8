import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.arima.model import ARIMA

from forecast.kernels.ar_exact import exact_loglik, fit_exact
from forecast.kernels.burg import fit_burg
from tests.oracles import ar_fit as oracle
from tests.oracles.ar_panel import fit, ragged

PARCOR = st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=5)


@given(
    parcor=PARCOR,
    t=st.integers(12, 120),
    m=st.integers(0, 6),
    const=st.integers(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_reports_the_exact_likelihood_of_what_it_returns(parcor, t, m, const, seed):
    y = oracle.simulate(oracle.from_parcor(parcor), t, np.random.default_rng(seed)) + 5.0 * const
    got = fit(fit_exact, [y], m, const=const)
    assert got.ok[0] == 1
    k = got.order[0]
    want = oracle.exact_loglik(y, got.phi[0, :k], got.level[0], got.sigma2[0])
    # The dense covariance has a condition number of up to 1e6 here, the likelihood is about 100.
    assert got.loglik[0] == pytest.approx(want, abs=1e-7)


def sums_of(y, m):
    n = len(y)
    d = np.array(
        [[sum(y[u + i] * y[u + j] for u in range(n - i - j)) for j in range(m + 1)] for i in range(m + 1)]
    )
    head = np.array([y[:i].sum() for i in range(m + 1)])
    tail = np.array([y[n - i :].sum() for i in range(m + 1)])
    return d, head, tail, y.sum()


@given(parcor=PARCOR, const=st.integers(0, 1), seed=st.integers(0, 2**32 - 1))
def test_gradient_is_the_slope_of_the_likelihood(parcor, const, seed):
    rng = np.random.default_rng(seed)
    y, p = rng.normal(size=60).cumsum() * 0.3 + rng.normal(size=60), len(parcor)
    sums = sums_of(y, p)
    kappa = np.r_[0.0, -np.array(parcor)]
    filters, slopes = np.zeros((p + 1, p + 2)), np.empty((3, p + 2))

    def at(theta):
        return exact_loglik(np.r_[0.0, np.tanh(theta)], p, 60, const, sums, filters, slopes)[0]

    theta = np.arctanh(kappa[1:])
    at(theta)
    gradient = slopes[0, 1 : p + 1].copy()
    h = 1e-5
    for i in range(p):
        e = np.eye(p)[i] * h
        # Central differences: h^2 times the third derivative (n at most), and 1e-14 n / h of rounding.
        assert (at(theta + e) - at(theta - e)) / (2 * h) == pytest.approx(gradient[i], abs=1e-5, rel=1e-6)


@pytest.mark.parametrize("const", [0, 1])
def test_profiled_likelihood_is_the_dense_one_at_given_parameters(const):
    y = oracle.simulate([0.5, -0.3, 0.2], 80, np.random.default_rng(1)) + const
    parcor = np.array([0.4, -0.2, 0.6])
    filters, slopes = np.zeros((4, 5)), np.empty((3, 5))
    loglik, s, mean = exact_loglik(np.r_[0.0, -parcor], 3, 80, const, sums_of(y, 3), filters, slopes)
    phi = oracle.from_parcor(parcor)
    np.testing.assert_allclose(-filters[3, 1:4], phi, atol=1e-15)
    assert loglik == pytest.approx(oracle.exact_loglik(y, phi, mean, s / 80), abs=1e-9)
    for shift in (-1e-3, 1e-3) if const else ():
        assert oracle.exact_loglik(y, phi, mean + shift, s / 80) < loglik
    for factor in (0.99, 1.01):
        assert oracle.exact_loglik(y, phi, mean, factor * s / 80) < loglik


@pytest.mark.parametrize("trend", ["n", "c"])
@pytest.mark.parametrize("phi", [[0.6], [1.2, -0.5], [0.98], [0.4, 0.3, -0.6]])
def test_no_worse_than_statsmodels(phi, trend):
    const = int(trend == "c")
    y = oracle.simulate(phi, 150, np.random.default_rng(7)) + 5 * const
    p = len(phi)
    got = fit(fit_exact, [y], p, const=const)
    model = ARIMA(y, order=(p, 0, 0), trend=trend)
    assert got.loglik[0] >= model.fit().llf - 1e-6
    model.ssm.tolerance = 0  # its steady-state switch costs digits
    params = np.r_[[got.level[0]] * const, got.phi[0], got.sigma2[0]]
    assert model.loglike(params) == pytest.approx(got.loglik[0], abs=1e-8)


def test_agrees_with_r(fixtures):
    data = json.loads((fixtures / "r/classic_data.json").read_text())["series"]
    golden = json.loads((fixtures / "r/ar_methods.json").read_text())
    for case in golden["selected"] + golden["fixed_order"]:
        if case["method"] != "mle":
            continue
        y = np.array(data[case["series"]]["y"], dtype=float)
        p = case["order"]
        got = fit(fit_exact, [y], p)
        # R stops at a relative change of 1e-8 of the objective: the coefficients hold three digits, the
        # objective more. The best it can have is the likelihood at its own rounded optimum.
        theirs = oracle.exact_loglik(
            y, np.array(case["ar"]), case.get("x_mean", got.level[0]), case["var_pred"]
        )
        assert got.loglik[0] >= theirs - 1e-6
        np.testing.assert_allclose(got.phi[0], case["ar"], atol=5e-3)
        assert got.sigma2[0] == pytest.approx(case["var_pred"], rel=1e-3)
        if "order_max" in case:
            select = fit(fit_exact, [y], case["order_max"], "aic")
            assert select.order[0] == p
            gap = select.ic[0] - select.ic[0].min() - np.array(case["aic_minus_min"])
            # R's arima0 freezes its covariance recursion at a tolerance of 0.01: its likelihood is off by
            # tenths where many coefficients are weak. Ours is held to the dense one elsewhere.
            assert np.abs(gap).max() < 0.6


def test_order_zero_is_the_normal_distribution():
    y = np.array([1.0, 2.0, 4.0, 5.0])
    got = fit(fit_exact, [y], 0)
    assert got.level[0] == pytest.approx(3.0)
    assert got.sigma2[0] == pytest.approx(2.5)
    assert got.loglik[0] == pytest.approx(-2 * (np.log(2 * np.pi * 2.5) + 1))


@pytest.mark.parametrize("name", ["aic", "aicc", "bic", "hqic"])
def test_criteria_follow_from_the_exact_likelihood(name):
    y = oracle.simulate([0.5, -0.3], 90, np.random.default_rng(5))
    got = fit(fit_exact, [y], 5, name)
    for k in range(6):
        loglik = fit(fit_exact, [y], k).loglik[0]
        # Two climbs to one optimum, from different starts.
        assert got.ic[0, k] == pytest.approx(oracle.criterion(name, loglik, 90, k + 2), abs=1e-7)
    assert got.order[0] == got.ic[0].argmin()


def test_near_the_unit_circle_no_worse_than_burg_and_stationary():
    rng = np.random.default_rng(9)
    noise = rng.normal(size=100)
    for y in (np.cumsum(noise), np.sin(0.3 * np.arange(100)) + 1e-4 * noise, np.arange(100.0) + noise):
        got, start = fit(fit_exact, [y], 3), fit(fit_burg, [y], 3)
        assert got.ok[0] == 1
        assert np.abs(np.roots(np.r_[1.0, -got.phi[0]])).max() < 1
        if np.abs(np.roots(np.r_[1.0, -start.phi[0]])).max() < 0.999:
            assert got.loglik[0] >= oracle.exact_loglik(y, start.phi[0], start.level[0], start.sigma2[0])


def test_series_that_cannot_be_fitted_are_refused():
    got = fit(fit_exact, [np.ones(1), np.arange(3.0), np.full(40, 0.1), np.array([1.0, 3.0, 2.0, 5.0])], 5)
    assert got.ok.tolist() == [0, 0, 0, 1]


def test_rows_do_not_depend_on_the_split_nor_on_their_neighbours():
    series = ragged(np.random.default_rng(4), 20)
    whole = fit(fit_exact, series, 5, "aic")
    assert whole.same(fit(fit_exact, series, 5, "aic", cuts=(1, 7, 8)))
    order = np.random.default_rng(5).permutation(len(series))
    assert whole.take(order).same(fit(fit_exact, [series[i] for i in order], 5, "aic"))
