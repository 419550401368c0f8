"""Random walks, seasonal or with drift, gaps included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.seasonal_walk import fit_walk
from tests.oracles import regression as oracle


def fit(y, season=1, drift=False):
    y = np.asarray(y, dtype=float)
    levels, age = np.empty((1, season)), np.empty((1, season))
    slope, sigma2, used = np.empty(1), np.empty(1), np.empty(1, dtype=np.int64)
    fit_walk(y, np.array([0, len(y)]), 0, 1, season, drift, levels, age, slope, sigma2, used)
    return levels[0], age[0], slope[0], sigma2[0], used[0]


@given(seed=st.integers(0, 500), t=st.integers(0, 30), season=st.integers(1, 5), holes=st.floats(0, 1))
def test_levels_and_variance_follow_the_formula(seed, t, season, holes):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=t).cumsum()
    y[rng.random(t) < holes] = np.nan
    levels, age, _, sigma2, _ = fit(y, season)
    expected, variance = oracle.seasonal_walk(y, season)
    np.testing.assert_array_equal(levels, expected)
    np.testing.assert_allclose(sigma2, variance, rtol=1e-12)
    for j in range(min(season, t)):
        behind = y[::-1][j::season]
        seen = np.flatnonzero(~np.isnan(behind))
        assert age[j] == (seen[0] if seen.size else 0)


def test_drift_by_hand():
    # 1, 3, 4: slope (4 - 1) / 2 = 1.5; steps 2 and 1 leave 0.5 and -0.5; one degree of freedom used
    levels, _, slope, sigma2, used = fit([1.0, 3.0, 4.0], drift=True)
    assert slope == 1.5
    assert sigma2 == pytest.approx(0.5)
    assert used == 2
    assert levels[0] == 4.0 - 1.5 * 3


def test_a_gap_of_k_steps_counts_with_k_times_the_variance():
    assert fit([0.0, np.nan, np.nan, 3.0])[3] == pytest.approx(9.0 / 3)


@pytest.mark.parametrize("y", [[], [np.nan, np.nan]])
def test_nothing_observed_gives_nothing(y):
    levels, _, _, sigma2, used = fit(y)
    assert np.isnan(levels[0])
    assert np.isnan(sigma2)
    assert used == 0
