"""Innovations by the Chandrasekhar recursions against those of the dense covariance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.kernels.innovation_filter import innovation_rows
from tests.bench.bench_core_arima import polynomials
from tests.oracles import arma as oracle


def run(order, parcor, y, sigma2=1.0, bounds=None):
    p, _, q, P = order[:4]
    phi, theta, Phi, Theta = (
        oracle.coefficients(k) for k in np.split(np.array(parcor), np.cumsum([p, q, P]))
    )
    bounds = np.array([0, len(y)]) if bounds is None else bounds
    n = len(bounds) - 1
    z, f, skip = np.full(len(y), -1.0), np.full(len(y), -1.0), np.zeros(n, dtype=np.bool_)
    rows = [np.tile(x, (n, 1)) for x in (phi, -theta, Phi, -Theta)]
    innovation_rows(0, n, y, bounds, np.tile(np.array(order), (n, 1)), *rows, np.full(n, sigma2), skip, z, f)
    return z, f, skip


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), s=st.sampled_from([1, 3, 5]), d=st.integers(0, 1), D=st.integers(0, 1))
def test_they_whiten_the_series(seed, s, d, D):
    rng = np.random.default_rng(seed)
    p, q, P, Q = rng.integers(0, 3, 4) if s > 1 else (*rng.integers(0, 4, 2), 0, 0)
    order = (int(p), d, int(q), int(P), D if s > 1 else 0, int(Q), s)
    parcor = rng.uniform(-0.95, 0.95, p + q + P + Q)
    y = rng.normal(size=50)
    ar, ma, delta = polynomials(order, parcor)
    k = len(delta) - 1
    i = np.arange(50 - k)
    omega = oracle.autocovariances(ar, ma, 50 - k)[np.abs(i[:, None] - i[None, :])]
    white, logdet = oracle.whiten(omega, np.convolve(y, delta)[k:50][:, None])
    z, f, skip = run(order, parcor, y, sigma2=4.0)
    assert not skip[0]
    assert np.isnan(z[:k]).all()
    np.testing.assert_allclose(z[k:] / np.sqrt(f[k:] / 4.0), white[:, 0].astype(float), atol=1e-8)
    assert np.log(f[k:] / 4.0).sum() == pytest.approx(float(logdet), abs=1e-8)


def test_a_first_order_moving_average_by_hand():
    """f_1 = 1 + theta^2, then f_{t+1} = 1 + theta^2 - theta^2 / f_t."""
    z, f, _ = run((0, 0, 1, 0, 0, 0, 1), [-0.5], np.array([1.0, 2.0, 0.0]))
    np.testing.assert_allclose(f[:2], [1.25, 1.25 - 0.25 / 1.25], rtol=1e-14)
    np.testing.assert_allclose(z[:2], [1.0, 2.0 - 0.5 / 1.25], rtol=1e-14)


def test_rows_with_a_gap_and_without_a_stationary_start_are_left_alone():
    y = np.array([1.0, np.nan, 2.0, 1.0, 3.0, 2.0])
    _, _, skip = run((1, 0, 1, 0, 0, 0, 1), [0.5, 0.2], y, bounds=np.array([0, 3, 6]))
    assert skip.tolist() == [True, False]
    z, f = np.zeros(3), np.zeros(3)
    skip = np.zeros(1, dtype=np.bool_)
    one, none = np.array([[1.2]]), np.zeros((1, 0))
    orders = np.array([[1, 0, 0, 0, 0, 0, 1]])
    innovation_rows(
        0, 1, y[3:].copy(), np.array([0, 3]), orders, one, none, none, none, np.ones(1), skip, z, f
    )
    assert skip[0]
