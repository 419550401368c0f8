"""The likelihood in lanes against dense matrices, by hand, and against R."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.kernels.arima_data import difference_polynomial
from tests.arma_points import loglik_at
from tests.bench.bench_core_arima import polynomials
from tests.oracles import arma as oracle
from tests.oracles import filtering


def parcors(order, limit=0.95):
    k = order[0] + order[2] + order[3] + order[5]
    return st.lists(st.floats(-limit, limit), min_size=k, max_size=k).map(np.array)


@st.composite
def models(draw):
    s = draw(st.sampled_from([1, 1, 2, 4, 7]))
    p, d, q = draw(st.integers(0, 4)), draw(st.integers(0, 2)), draw(st.integers(0, 4))
    P, D, Q = (draw(st.integers(0, top)) for top in (2, 1, 2)) if s > 1 else (0, 0, 0)
    order = (p, d, q, P, D, Q, s)
    return order, draw(parcors(order))


def series(order, seed, n, share):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n).cumsum() + 100.0
    hole = rng.random(n) < share
    hole[[0, -1]] = False
    return np.where(hole, np.nan, y), rng.normal(size=(n, seed % 3)).cumsum(axis=0)


@settings(max_examples=60)
@given(model=models(), seed=st.integers(0, 1000), share=st.sampled_from([0.0, 0.05, 0.3]))
def test_it_is_that_of_dense_matrices(model, seed, share):
    order, parcor = model
    y, X = series(order, seed, 60, share)
    ar, ma, delta = polynomials(order, parcor)
    want, beta, sigma2, _ = oracle.loglik(ar, ma, delta, y, X)
    got = loglik_at(order, y, parcor, X)[0]
    # 1e-8 of a log-likelihood of some hundreds: four factors near the circle lose six digits of sixteen.
    assert got.loglik == pytest.approx(want, abs=1e-7)
    assert got.sigma2 == pytest.approx(sigma2, rel=1e-6)
    np.testing.assert_allclose(got.beta, beta, rtol=1e-5, atol=1e-6 * np.sqrt(sigma2))


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize(
    "order", [(0, 0, 0, 0, 1, 0, 12), (0, 0, 1, 0, 1, 0, 12), (3, 1, 1, 0, 1, 0, 12), (1, 0, 1, 0, 2, 0, 4)]
)
def test_gaps_that_differences_reach_across(order, share):
    """Differences look further ahead than the factors do; points come one after the other in one buffer."""
    parcor = np.array([[0.5, -0.3, 0.2, 0.4], [-0.6, 0.1, 0.7, -0.2]])[:, : order[0] + order[2]]
    y, _ = series(order, 3, 125, share)
    got = loglik_at(order, y, parcor)
    for point, row in zip(got, parcor, strict=True):
        ar, ma, delta = polynomials(order, row)
        assert point.loglik == pytest.approx(oracle.loglik(ar, ma, delta, y)[0], abs=1e-7)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), theta=st.floats(-0.6, 0.6), phi=st.floats(-0.9, 0.9))
def test_long_series_with_gaps_share_one_response(seed, theta, phi):
    """Far from the ends, and from one another, missing points take the short way."""
    order = (1, 0, 1, 0, 0, 0, 1)
    y, _ = series(order, seed, 400, 0.1)
    ar, ma, delta = polynomials(order, [phi, theta])
    want = oracle.loglik(ar, ma, delta, y)[0]
    assert loglik_at(order, y, [phi, theta])[0].loglik == pytest.approx(want, abs=1e-8)


@pytest.mark.parametrize("order", [(1, 1, 1, 1, 1, 1, 4), (2, 2, 0, 0, 0, 0, 1), (0, 0, 2, 0, 1, 0, 3)])
def test_constants_with_gaps_are_those_of_the_levels(order):
    """Another oracle: levels given the first ones, no contrasts; gaps also among the first points."""
    k = order[0] + order[2] + order[3] + order[5]
    parcor = np.full(k, 0.4)
    y = np.random.default_rng(1).normal(size=30)
    y[[1, 4, 5, 17]] = np.nan
    ar, ma, delta = polynomials(order, parcor)
    want, n = filtering.dense_loglik(ar, ma, delta, y)
    assert loglik_at(order, y, parcor)[0].loglik == pytest.approx(want, abs=1e-8)
    assert n == 26 - len(delta) + 1


def test_white_noise_by_hand():
    y = np.array([1.0, -2.0, 2.0])
    want = -1.5 * (np.log(2 * np.pi * 3.0) + 1.0)  # sigma2 = (1 + 4 + 4) / 3
    assert loglik_at((0, 0, 0, 0, 0, 0, 1), y, np.zeros((1, 0)))[0].loglik == pytest.approx(want, rel=1e-14)


def test_two_points_of_an_autoregression_by_hand():
    """S = y1^2 (1 - phi^2) + (y2 - phi y1)^2, |Omega| = 1 / (1 - phi^2)."""
    y, phi = np.array([2.0, 1.0]), 0.6
    S = 4.0 * 0.64 + 0.2**2
    want = -(np.log(2 * np.pi * S / 2) + 1.0) + 0.5 * np.log(0.64)
    assert loglik_at((1, 0, 0, 0, 0, 0, 1), y, [phi])[0].loglik == pytest.approx(want, rel=1e-13)


def test_a_series_shorter_than_its_longest_lag():
    order, parcor, y = (0, 0, 1, 1, 0, 1, 12), [0.5, 0.6, -0.4], np.random.default_rng(2).normal(size=9)
    ar, ma, delta = polynomials(order, parcor)
    assert loglik_at(order, y, parcor)[0].loglik == pytest.approx(
        oracle.loglik(ar, ma, delta, y)[0], abs=1e-10
    )


def test_a_level_far_from_zero_costs_no_digits():
    y = np.random.default_rng(3).normal(size=100)
    order, parcor = (2, 0, 1, 0, 0, 0, 1), [0.99, -0.3, 0.5]
    low = loglik_at(order, y, parcor, np.ones((100, 1)))[0]
    high = loglik_at(order, y + 1e6, parcor, np.ones((100, 1)))[0]
    assert high.loglik == pytest.approx(low.loglik, abs=1e-7)  # y + 1e6 itself is rounded to 1e-10


@pytest.mark.parametrize(("distance", "tolerance"), [(1e-2, 1e-9), (1e-4, 1e-8), (1e-6, 1e-7)])
@pytest.mark.parametrize("order", [(1, 0, 1, 0, 0, 0, 1), (0, 1, 1, 0, 1, 1, 12), (2, 0, 0, 1, 0, 0, 4)])
def test_next_to_the_unit_circle(order, distance, tolerance):
    y, _ = series(order, 7, 150, 0.05)
    k = order[0] + order[2] + order[3] + order[5]
    for sign in (1.0, -1.0):
        parcor = np.full(k, 0.3)
        parcor[0] = sign * (1.0 - distance)
        ar, ma, delta = polynomials(order, parcor)
        want = oracle.loglik(ar, ma, delta, y)[0]
        assert loglik_at(order, y, parcor)[0].loglik == pytest.approx(want, abs=tolerance)


@pytest.mark.parametrize(
    ("order", "parcor"),
    [
        ((2, 0, 1, 0, 0, 0, 1), [0.7, 1 - 2.4e-6, 0.26]),
        ((3, 0, 0, 0, 0, 0, 1), [1 - 1.8e-6, 0.12, 0.63]),
        ((1, 0, 2, 0, 0, 0, 1), [-(1 - 1e-6), 0.3, 1 - 1e-6]),
    ],
)
def test_next_to_the_unit_circle_it_is_that_of_rational_arithmetic(order, parcor):
    """Nothing is rounded in this oracle; SARIMAX, from its own start, is off by 1e-5 to 1e-3 here."""
    y = np.random.default_rng(8).normal(size=12)
    ar, ma, delta = polynomials(order, parcor)
    want = oracle.rational_loglik(ar, ma, y)
    assert oracle.loglik(ar, ma, delta, y)[0] == pytest.approx(want, abs=1e-8)
    # Coefficients are rounded to 1e-16, which moves a root that is 1e-6 from the circle by 1e-10 of that.
    assert loglik_at(order, y, parcor)[0].loglik == pytest.approx(want, abs=1e-8)


def test_the_difference_polynomial():
    np.testing.assert_array_equal(difference_polynomial(1, 1, 3), [1, -1, 0, -1, 1])
    np.testing.assert_array_equal(difference_polynomial(2, 0, 5), [1, -2, 1])


def step_down(c):
    c = list(c)
    out = []
    while c:
        k = c[-1]
        out.insert(0, k)
        c = [(c[j] + k * c[-2 - j]) / (1 - k * k) for j in range(len(c) - 1)]
    return out


def test_the_exact_likelihoods_of_r(fixtures):
    data = json.loads((fixtures / "r" / "classic_data.json").read_text())
    points = json.loads((fixtures / "r" / "loglik_fixed_params.json").read_text())["points"]
    checked = 0
    with (fixtures / "r" / "loglik_exact.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        point = points[int(row["point"])]
        (p, d, q), (P, D, Q, s) = point["order"], point["seasonal"]
        y = np.array(
            [np.nan if v in (None, "NA") else v for v in data["series"][point["series"]]["y"]], float
        )
        arma, rest = point["params"][: p + q + P + Q], point["params"][p + q + P + Q :]
        columns = [np.ones(len(y))] if "intercept" in point["param_names"] else []
        columns += [np.array(x, float) for x in data["xreg"][point["xreg"]].values()] if point["xreg"] else []
        phi, theta, Phi, Theta = np.split(np.array(arma, float), np.cumsum([p, q, P]))
        parcor = np.concatenate([step_down(phi), step_down(-theta), step_down(Phi), step_down(-Theta)])
        if np.abs(parcor).max(initial=0.0) >= 1.0 or len(columns) != len(rest):
            continue
        if columns:
            y = y - np.column_stack(columns) @ rest
        seen = np.flatnonzero(~np.isnan(y))
        got = loglik_at((p, d, q, P, D, Q, max(s, 1)), y[seen[0] : seen[-1] + 1], parcor)[0]
        # README of the goldens: 1e-8 relative.
        assert got.loglik == pytest.approx(float(row["loglik_exact"]), rel=1e-8), row
        assert got.sigma2 == pytest.approx(float(row["sigma2_exact"]), rel=1e-8), row
        checked += 1
    assert checked >= 20
