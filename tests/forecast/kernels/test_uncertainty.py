import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forecast.kernels.uncertainty import phi_variance_rows, whiten
from tests.oracles import recursion as recursion_oracle
from tests.oracles import roots as roots_oracle
from tests.oracles import uncertainty as oracle
from tests.strategies import stationary_phi


def whitener(phi):
    p = len(phi)
    w, lags = np.zeros((p, p)), np.zeros(p + 1, dtype=np.int64)
    scratch = [np.empty(p + 1) for _ in range(3)]
    count = whiten(phi, p, *scratch, lags, w)
    return np.tril(w)[:count, :count], lags[:count], count


def variance(phi, levels, h, n, mean=0.0, seasonal_phi=(), d=0, seasonal_d=0, s=1):
    f = recursion_oracle.expand_ar([], seasonal_phi, d, seasonal_d, s)
    a = recursion_oracle.expand_ar(phi, seasonal_phi, d, seasonal_d, s)
    path = recursion_oracle.forecast_path(a, [], levels, [], np.full(h, mean * (1 - phi.sum())))
    psi = recursion_oracle.psi(a, [], h)
    out = np.empty((1, h))
    phi_variance_rows(
        phi[None], np.array([len(phi)]), np.r_[f, 0.0][None], np.array([len(f)]), levels[None], path[None],
        psi[None], np.array([[mean, 0.0]]), np.array([float(n)]), out, 0, 1,
    )  # fmt: skip
    return out[0]


@given(stationary_phi(max_p=8, limit=0.9))
def test_whitening_inverts_the_autocovariance_matrix(phi):
    assume((phi != 0).all())
    w, _, _ = whitener(phi)
    # Dense inversion is the less exact side: its condition is that of Gamma, below 1e6 here.
    want = oracle.covariance(phi, 1)
    np.testing.assert_allclose(w.T @ w, want, atol=1e-6 * np.abs(want).max())


@given(stationary_phi(max_p=6, limit=0.8, min_p=3), st.data())
def test_whitening_of_some_lags(phi, data):
    phi = phi.copy()
    gap = data.draw(st.integers(0, len(phi) - 2))
    phi[gap] = 0.0
    assume(phi[-1] != 0 and roots_oracle.margin(phi) > 0.01)
    w, lags, _ = whitener(phi)
    assert lags.tolist() == np.flatnonzero(phi).tolist()
    want = oracle.covariance(phi, 1)
    np.testing.assert_allclose(w.T @ w, want, atol=1e-6 * np.abs(want).max())


def test_ar1_by_hand():
    # Var(phi) = (1 - phi^2) / n; y_{T+1} = phi y_T has derivative y_T, y_{T+2} = phi^2 y_T has 2 phi y_T.
    got = variance(np.array([0.5]), np.array([3.0]), 2, 100)
    assert got == pytest.approx([0.0075 * 9, 0.0075 * 9], rel=1e-14)


def test_at_its_mean_a_series_owes_nothing_to_phi():
    got = variance(np.array([0.5, 0.2]), np.array([4.0, 4.0]), 5, 100, mean=4.0)
    np.testing.assert_allclose(got, 0.0, atol=1e-25)


@given(stationary_phi(max_p=4, limit=0.8), st.integers(0, 1), st.integers(0, 1), st.integers(0, 2**32 - 1))
def test_variance_is_gradient_covariance_gradient(phi, d, seasonal_d, seed):
    assume((phi != 0).all())
    s, seasonal_phi = 4, np.array([0.3])
    width = len(phi) + d + s * (1 + seasonal_d)
    levels = np.random.default_rng(seed).normal(size=width) + 3.0
    mean = 0.7
    args = dict(mean=mean, seasonal_phi=seasonal_phi, d=d, seasonal_d=seasonal_d, s=s)
    # In levels u has mean `mean`: the constant of the recursion is mean * phi(1).
    got = variance(phi, levels, 9, 50, **args)
    want = oracle.phi_variance(phi, mean, seasonal_phi, d, seasonal_d, s, levels, 9, 50)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-8 * want.max())  # central differences: 1e-6


def test_beside_a_unit_root_it_stays_positive_and_finite():
    phi = roots_oracle.step_up(np.array([0.9999, -0.9999, 0.9999]))
    got = variance(phi, np.array([5.0, 1.0, 2.0]), 20, 100)
    assert np.isfinite(got).all()
    assert (got >= 0).all()


def test_without_a_stationary_ar_part_there_is_none():
    assert variance(np.array([1.2]), np.array([3.0]), 3, 10).tolist() == [0.0, 0.0, 0.0]
    assert variance(np.array([0.0]), np.array([3.0]), 3, 10).tolist() == [0.0, 0.0, 0.0]


def test_the_asymptotic_covariance_is_that_of_least_squares():
    """sigma2 (X'X)^{-1} of one long AR(3); its relative error is O(n^-1/2), 3 % is five sigma."""
    phi = np.array([0.5, -0.3, 0.2])
    e = np.random.default_rng(3).normal(size=40_000)
    y = recursion_oracle.simulate(phi, [], np.zeros(len(e)), e)
    x = np.stack([y[2:-1], y[1:-2], y[:-3]], axis=1)
    w, _, _ = whitener(phi)
    np.testing.assert_allclose(w.T @ w / len(x), np.linalg.inv(x.T @ x), atol=0.03 / len(x))
