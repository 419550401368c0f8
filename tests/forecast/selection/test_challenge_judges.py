from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from forecast.selection.challenge_judges import BOOTSTRAP, DM, NONE, judge_band, judge_gain
from tests.oracles import challenge as oracle


@pytest.mark.parametrize("seed", range(5))
def test_gain_is_students_t_of_the_means_of_the_origins(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((8, 4)), rng.random((8, 4))
    b[0, :] = np.nan
    a[3, 1] = np.nan
    found = judge_gain(a, b)
    gain, t = oracle.t_of_means(a - b)
    assert (found.method, found.n) == (DM, 7)
    assert found.gain == pytest.approx(gain)
    assert found.statistic == pytest.approx(t)
    assert found.p_value == pytest.approx(stats.t.sf(t, 6))


def test_the_direction_counts():
    better = np.arange(8.0)[:, None] + 5.0
    worse = better + 1.0 + 0.01 * np.arange(8.0)[::-1, None]
    assert judge_gain(worse, better).p_value < 1e-6
    assert judge_gain(better, worse).p_value > 1 - 1e-6
    same = judge_gain(better, better)
    assert (same.gain, same.p_value) == (0.0, 0.5)


def test_few_origins_of_many_series_are_resampled():
    rng = np.random.default_rng(0)
    a = rng.random((4, 10)) + 0.5
    b = rng.random((4, 10))
    found = judge_gain(a, b)
    assert (found.method, found.n) == (BOOTSTRAP, 4)
    assert found.p_value < 0.01
    assert judge_gain(a, b) == found  # seeded
    assert judge_gain(b, a).p_value > 0.9


@pytest.mark.parametrize("shape", [(0, 3), (1, 50), (2, 50), (4, 2)])
def test_too_few_pairs_say_nothing(shape):
    found = judge_gain(np.ones(shape) * 2, np.ones(shape))
    assert found.method == NONE
    assert np.isnan(found.p_value)


def test_three_origins_that_agree_by_luck_are_no_gain():
    """All series moved together: three numbers above zero, whatever the number of series."""
    d = np.array([[0.5], [1.5], [3.0]]) + 0.01 * np.arange(12.0)
    found = judge_gain(d, np.zeros_like(d))
    assert found.method == BOOTSTRAP
    assert found.p_value == pytest.approx(stats.t.sf(found.statistic, 2))
    assert found.p_value > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 1), (8, 5), (4, 5), (4, 12), (3, 20)])
def test_a_gain_that_is_luck_is_seldom_significant(shape):
    """Series at one origin share half of their variance."""
    rng = np.random.default_rng(1)
    share = rng.normal(size=(2000, shape[0], 1))
    d = (rng.normal(size=(2000, *shape)) + share) / np.sqrt(2)
    p = np.array([judge_gain(each, np.zeros(shape), seed=i).p_value for i, each in enumerate(d[:500])])
    rate = np.mean(p < 0.05)
    assert rate < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


def test_coverage_is_the_binomial_tail():
    inside = np.full((10, 1), 8.0)
    inside[::2] = 9.0
    count = np.full((10, 1), 10.0)
    found = judge_band(inside, count, (0.9, 0.99))
    assert (found.coverage, found.n, found.n_effective) == (0.85, 100, 100.0)
    assert found.p_below == pytest.approx(oracle.binomial_below(85, 100, 0.9))
    assert found.p_above == pytest.approx(1 - oracle.binomial_below(84, 100, 0.99))


def test_misses_in_a_run_count_less():
    count = np.full((10, 1), 10.0)
    alike, run = np.full((10, 1), 8.0), np.full((10, 1), 10.0)
    run[:2] = 0.0
    spread, clustered = judge_band(alike, count, (0.9, 0.99)), judge_band(run, count, (0.9, 0.99))
    assert spread.coverage == clustered.coverage == 0.8
    assert spread.left(0.05)
    assert not clustered.left(0.05)
    assert clustered.n_effective < 20


def test_too_wide_leaves_the_band_too():
    count = np.full((20, 1), 50.0)
    wide = judge_band(count, count, (0.5, 0.8))
    assert wide.p_above == pytest.approx(0.8**20)
    assert wide.left(0.05)
    assert wide.n_effective == 20.0  # all agree: origins are counted


def test_no_point_says_nothing():
    found = judge_band(np.zeros((3, 2)), np.zeros((3, 2)), (0.9, 0.99))
    assert not found.left(0.5)
    assert found.n == 0
