"""Half of a covariance moves as the whole one does."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.kernels.companion_filter import predict_cov, update_cov
from forecast.kernels.gap_covariance import predict_triangle, update_triangle


@pytest.mark.parametrize(("L", "q"), [(1, 0), (1, 1), (3, 0), (2, 3), (8, 0), (9, 5)])
def test_half_a_covariance_moves_as_the_whole_one(L, q):
    rng = np.random.default_rng(10 * L + q)
    M = L + q
    root = rng.normal(size=(M, M))
    P, a, b = root @ root.T, rng.normal(size=L) / L, rng.normal(size=q) / M
    half, low = P[np.tril_indices(M)].copy(), np.tril_indices(M)
    g, g_half = np.zeros(M), np.zeros(M)
    for seen in (False, False, True, False, True, True):
        predict_cov(a, b, 0.7, P, g)
        predict_triangle(np.r_[a, b], q, 0.7, half, g_half)
        np.testing.assert_allclose(half, P[low], atol=1e-12)
        np.testing.assert_allclose(g_half, g, atol=1e-12)
        if seen:
            assert update_cov(0.7, P, g) == update_triangle(0.7, half, g_half)
            np.testing.assert_allclose(half, P[low], atol=1e-12)


def test_a_state_that_was_observed_throughout_is_known():
    half, g = np.array([2.0, 0.5, 1.0]), np.zeros(2)
    c = np.array([0.5, 0.2])
    predict_triangle(c, 0, 1.0, half, g)
    # 0.25 * 2 + 0.04 * 1 + 2 * 0.1 * 0.5 + 1, by hand; the older level is the newer one of before.
    assert g[0] == pytest.approx(1.64)
    assert half.tolist() == [g[0], g[1], 2.0]
    assert not update_triangle(1.0, half, g)
    predict_triangle(c, 0, 1.0, half, g)
    assert update_triangle(1.0, half, g)
    assert not half.any()
