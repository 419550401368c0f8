"""The filter against dense matrices: likelihood, end state and smoothing, gaps anywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.kernels.companion_filter import advance_row, advance_rows, residual_rows
from forecast.models.filtering import run
from forecast.models.initial_state import Equation, stationary_cov
from forecast.models.smoothing import smooth_path
from tests.oracles import filtering as oracle
from tests.strategies import stationary_phi

MODELS = {
    "ar2": ([1, -0.5, 0.2], [1.0], [1.0]),
    "arma": ([1.0, -0.5], [1.0, 0.4, 0.2], [1.0]),
    "arima": ([1.0, -0.5], [1.0, 0.4], [1.0, -1.0]),
    "airline": ([1.0], oracle.polynomial([-0.4], [-0.5], 4, 1), oracle.differencing(1, 1, 4)),
    "d2": ([1.0], [1.0, -0.6], oracle.differencing(2, 0, 1)),
    "sarima": (oracle.polynomial([0.5], [0.3], 4, -1), [1.0, 0.4], oracle.differencing(1, 1, 4)),
}
GAPS = {
    "none": [],
    "middle": [20, 21, 22],
    "head": [0, 3, 4, 20],
    "end": [5, 37, 38, 39],
    "many": [0, 1, 2, 3, 4, 5, 9, 10, 11, 25, 33, 39],
}


def _equation(ar, ma, delta, sigma2=1.0):
    ar, ma, delta = (np.array(x, float) for x in (ar, ma, delta))
    full = -np.convolve(ar, delta)[1:]
    return Equation(-ar[1:], -delta[1:], ma[1:].copy(), sigma2, full if full.size else np.zeros(1), False)


def _series(seed, gaps=(), n=40):
    y = np.random.default_rng(seed).normal(size=n).cumsum()
    y[list(gaps)] = np.nan
    return y


def _filtered(eq, y):
    return run(eq, y, np.zeros(len(y)), np.empty(len(y)), np.empty(len(y)))


@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize("model", MODELS)
def test_likelihood_state_and_smoothing_are_those_of_the_joint_normal(model, gaps):
    y = _series(1, GAPS[gaps])
    eq = _equation(*MODELS[model], sigma2=1.7)
    ar, ma, delta = (np.array(x, float) for x in MODELS[model])
    state = _filtered(eq, y)
    loglik, n = oracle.dense_loglik(ar, ma, delta, y, 1.7)
    # Twice differenced levels grow like t^2, so the dense solve itself keeps 9 digits of about 40.
    assert state.loglik == pytest.approx(loglik, abs=1e-8)
    assert state.n == n
    mean, cov = oracle.condition(ar, ma, delta, y, 1.7)
    at = [39 - j for j in range(eq.n_levels)] + [79 - j for j in range(len(eq.ma))]
    np.testing.assert_allclose(np.concatenate([state.levels, state.innov]), mean[at], atol=1e-8)
    np.testing.assert_allclose(state.P, cov[np.ix_(at, at)], atol=1e-9)
    smoothed, variance = smooth_path(eq, y, np.zeros(40))
    np.testing.assert_allclose(smoothed, mean[:40], atol=1e-8)
    np.testing.assert_allclose(variance, np.diag(cov)[:40], atol=1e-9)


@settings(max_examples=40)
@given(
    phi=stationary_phi(max_p=4, limit=0.5),
    seed=st.integers(0, 10**6),
    holes=st.sets(st.integers(0, 29), max_size=20),
)
def test_any_autoregression_with_any_gaps_has_the_dense_likelihood(phi, seed, holes):
    y = _series(seed, holes, 30)
    eq = _equation(np.concatenate([[1.0], -phi]), [1.0], [1.0])
    want, n = oracle.dense_loglik(np.concatenate([[1.0], -phi]), np.ones(1), np.ones(1), y, 1.0)
    state = _filtered(eq, y)
    assert state.n == n
    assert state.loglik == pytest.approx(want, rel=1e-9, abs=1e-8)  # truncated psi weights


def test_a_gap_in_an_ar1_by_hand():
    # phi = 0.5, sigma2 = 1, y = 2, missing, 1: forecasts 1 (variance 1), 0.5 (1.25), error 0.5.
    levels, innov, P = np.array([2.0]), np.zeros(0), np.zeros((1, 1))
    z, f = np.empty(2), np.empty(2)
    known, n, log_f, squares = advance_row(
        np.array([0.5]), np.zeros(0), 1.0, levels, innov, P, True,
        np.array([np.nan, 1.0]), np.zeros(2), z, f, np.zeros((0, 0)),
    )  # fmt: skip
    assert known
    assert n == 1
    assert np.isnan(z[0])
    assert (z[1], f[0], f[1], levels[0]) == (0.5, 1.0, 1.25, 1.0)
    assert (log_f, squares) == (pytest.approx(np.log(1.25)), pytest.approx(0.2))


def test_a_random_walk_keeps_its_level_through_a_gap_and_its_variance_grows():
    levels, P = np.array([7.0]), np.zeros((1, 1))
    z, f = np.empty(3), np.empty(3)
    known, *_ = advance_row(
        np.ones(1), np.zeros(0), 2.0, levels, np.zeros(0), P, True,
        np.full(3, np.nan), np.zeros(3), z, f, np.zeros((0, 0)),
    )  # fmt: skip
    assert not known
    assert levels[0] == 7.0
    np.testing.assert_array_equal(f, [2.0, 4.0, 6.0])
    assert P[0, 0] == 6.0


def test_every_element_of_the_covariance_is_tested_before_it_is_dropped():
    """The innovation 12 steps back of a seasonal model is unknown long after the newest one is known."""
    eq = _equation([1.0], oracle.polynomial([], [-0.8], 12, 1), [1.0])
    y = _series(3, [30], 60)
    state = _filtered(eq, y)
    ar, ma = np.ones(1), oracle.polynomial([], [-0.8], 12, 1)
    assert state.loglik == pytest.approx(oracle.dense_loglik(ar, ma, np.ones(1), y, 1.0)[0], abs=1e-9)
    assert not state.known


def test_the_state_is_known_again_once_the_last_p_points_are_observed():
    eq = _equation([1.0, -0.5, 0.2], [1.0], [1.0])
    assert not _filtered(eq, _series(2, [38])).known
    assert _filtered(eq, _series(2, [37])).known
    assert not _filtered(eq, _series(2, [37])).P.any()


def test_stationary_covariance_of_an_arma11_by_hand():
    # Var y = (1 + 2 phi theta + theta^2) / (1 - phi^2) with phi = 0.5, theta = 0.4; Cov(y, e) = 1.
    got = stationary_cov(np.array([0.5]), np.array([0.4]), 1)
    np.testing.assert_allclose(got, [[1.56 / 0.75, 1.0], [1.0, 1.0]], rtol=1e-14)


def test_rows_without_gaps_are_moved_together_and_the_others_left_alone():
    a, b = np.array([[0.5, 0.2], [0.9, 0.0]]), np.array([[0.3], [0.0]])
    sizes = np.array([[2, 1], [1, 0]])
    levels, innov = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[0.5], [0.0]])
    y, indptr, skip = np.array([1.0, 2.0, 5.0, np.nan]), np.array([0, 2, 4]), np.zeros(2, dtype=np.bool_)
    z, f, sigma2 = np.empty(4), np.empty(4), np.ones(2)
    advance_rows(0, 2, a, b, sizes, sigma2, levels, innov, skip, y, np.zeros(4), indptr, z, f)
    assert skip.tolist() == [False, True]
    # First forecast 0.5 * 1 + 0.2 * 2 + 0.3 * 0.5 = 1.05, then 0.5 * 1 + 0.2 * 1 + 0.3 * (-0.05) = 0.685.
    np.testing.assert_allclose(z[:2], [-0.05, 1.315])
    np.testing.assert_allclose(levels, [[2.0, 1.0], [3.0, 0.0]])
    np.testing.assert_allclose(innov[0], 1.315)


@given(phi=stationary_phi(max_p=5, limit=0.9), seed=st.integers(0, 10**6))
def test_residuals_from_the_first_point_on_are_those_of_the_filter(phi, seed):
    y = _series(seed, (), 12)
    e, f, skip = np.empty(12), np.empty(12), np.zeros(1, dtype=np.bool_)
    residual_rows(
        0, 1, phi[None].copy(), np.array([len(phi)]), np.array([1.3]), np.ones(1, dtype=np.bool_),
        y, np.zeros(12), np.array([0, 12]), skip, e, f,
    )  # fmt: skip
    z, g = np.empty(12), np.empty(12)
    run(_equation(np.concatenate([[1.0], -phi]), [1.0], [1.0], 1.3), y, np.zeros(12), z, g)
    assert not skip[0]
    np.testing.assert_allclose(e, z, atol=1e-8)  # stepping down multiplies rounding by 1 / (1 - 0.81) a lag
    np.testing.assert_allclose(f, g, rtol=1e-8)


def test_a_nonstationary_row_is_handed_back():
    skip = np.zeros(1, dtype=np.bool_)
    residual_rows(
        0, 1, np.array([[1.2]]), np.ones(1, dtype=np.int64), np.ones(1), np.ones(1, dtype=np.bool_),
        np.arange(5.0), np.zeros(5), np.array([0, 5]), skip, np.empty(5), np.empty(5),
    )  # fmt: skip
    assert skip[0]


def _points(fixtures):
    return json.loads((fixtures / "r" / "kalman.json").read_text())["runs"]


@pytest.mark.parametrize("k", range(8))
def test_smoothing_agrees_with_r(fixtures, k):
    r = _points(fixtures)[k]
    data = json.loads((fixtures / "r" / "classic_data.json").read_text())["series"][r["series"]]["y"]
    y = np.array([np.nan if v in (None, "NA") else v for v in data], float) - r["mean"]
    p, d, q = r["order"]
    P, D, Q, s = r["seasonal"]
    v = iter(r["params"])
    phi, theta, sphi, stheta = ([next(v) for _ in range(c)] for c in (p, q, P, Q))
    eq = _equation(
        oracle.polynomial(phi, sphi, s, -1),
        oracle.polynomial(theta, stheta, s, 1),
        oracle.differencing(d, D, s),
    )
    mean, variance = smooth_path(eq, y, np.zeros(len(y)))
    # Exact in R without differencing; with it R starts from a finite variance: 8e-5 (README of the goldens).
    tol = 1e-10 if d + D == 0 else 1e-4
    np.testing.assert_allclose(mean + r["mean"], r["smoothed_signal"], atol=tol * max(1.0, np.nanstd(y)))
    np.testing.assert_allclose(variance, r["smoothed_variance_per_sigma2"], atol=tol)
