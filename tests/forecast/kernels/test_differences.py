"""Differences and classical seasonal effects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.differences import difference, remove_mean_function, seasonal_effects
from tests.oracles import regression as oracle


@given(
    seed=st.integers(0, 200),
    t=st.integers(1, 40),
    d=st.integers(0, 2),
    D=st.integers(0, 1),
    s=st.integers(1, 6),
)
def test_differences_are_those_of_numpy(seed, t, d, D, s):
    y = np.random.default_rng(seed).normal(size=t)
    indptr, n = np.array([0, t]), max(t - d - s * D, 0)
    out = np.empty(n)
    difference(y, indptr, d, D, s, out, np.array([0, n]))
    expected = y
    for _ in range(D):
        expected = expected[s:] - expected[:-s]
    expected = np.diff(expected, d)
    np.testing.assert_allclose(out, expected[:n], atol=1e-12)


@given(seed=st.integers(0, 200), s=st.integers(2, 7), cycles=st.integers(2, 6))
def test_effects_are_the_classical_decomposition(seed, s, cycles):
    w = np.random.default_rng(seed).normal(size=s * cycles + 1).cumsum()
    effects = np.empty((1, s))
    seasonal_effects(w, np.array([0, len(w)]), s, effects)
    np.testing.assert_allclose(effects[0], oracle.classical_effects(w, s), atol=1e-12)


def test_a_pure_season_on_a_line_is_found_exactly():
    season = np.array([3.0, -1.0, -2.0, 0.0])
    t = np.arange(24)
    w = 10.0 + 0.5 * t + season[t % 4]
    effects = np.empty((1, 4))
    seasonal_effects(w, np.array([0, 24]), 4, effects)
    np.testing.assert_allclose(effects[0], season, atol=1e-12)
    left = np.empty(24)
    remove_mean_function(w, np.array([0, 24]), np.array([9.5]), np.array([0.5]), effects, left)
    np.testing.assert_allclose(left, 0.0, atol=1e-12)


def test_less_than_two_seasons_give_no_effects():
    effects = np.ones((1, 4))
    seasonal_effects(np.arange(7.0), np.array([0, 7]), 4, effects)
    assert effects.tolist() == [[0.0] * 4]


def test_effects_agree_with_statsmodels():
    from statsmodels.tsa.seasonal import seasonal_decompose

    w = np.random.default_rng(0).normal(size=60).cumsum()
    effects = np.empty((1, 12))
    seasonal_effects(w, np.array([0, 60]), 12, effects)
    assert effects[0] == pytest.approx(seasonal_decompose(w, period=12).seasonal[:12], abs=1e-12)
