"""Scores of one run against another: rank test, interval, correction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.selection.paired import holm, paired
from tests.oracles import signed_rank


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.booleans())
def test_few_series_have_the_exact_p(seed, n, tied):
    rng = np.random.default_rng(seed)
    d = rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], n) if tied else rng.normal(size=n)
    got = paired(d, np.zeros(n))
    assert got.p_value == pytest.approx(signed_rank.exact_p(list(d)), abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(60, 150), st.booleans())
def test_many_series_have_the_normal_p(seed, n, tied):
    rng = np.random.default_rng(seed)
    d = rng.integers(1, 9, n) * rng.choice([-1.0, 1.0], n) if tied else rng.normal(0.2, 1.0, n)
    got = paired(d, np.zeros(n))
    assert got.p_value == pytest.approx(signed_rank.normal_p(list(d)), rel=1e-9)


def test_the_sign_says_who_is_better():
    rng = np.random.default_rng(0)
    b = rng.gamma(2.0, size=200)
    a = b - 0.1 + rng.normal(0, 0.1, 200)
    got = paired(a, b)
    assert got.rank_sign == -1
    assert got.better + got.worse == got.n == 200
    assert got.better > 150
    assert got.lo < got.difference < got.hi < 0
    back = paired(b, a)
    assert (back.rank_sign, back.better, back.worse) == (1, got.worse, got.better)
    assert back.p_value == got.p_value


def test_one_far_series_moves_the_mean_and_not_the_ranks():
    d = np.full(60, -0.1) * np.linspace(1, 2, 60)
    d[0] = 1e6
    got = paired(d, np.zeros(60))
    assert got.difference > 0
    assert got.rank_sign == -1
    assert got.p_value < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 20, 200])
def test_the_interval_holds_the_mean_as_often_as_it_says(n):
    rng = np.random.default_rng(3)
    held = 0
    for k in range(400):
        d = rng.normal(0.5, 1.0, n)
        got = paired(d, np.zeros(n), seed=k)
        held += got.lo <= 0.5 <= got.hi
    # 400 tries of 95%: one standard error is 1.1%; plain percentiles hold it 87% of the time at n = 6.
    assert held / 400 == pytest.approx(0.95, abs=0.035)


@pytest.mark.slow
def test_equal_runs_are_told_apart_as_often_as_p_says():
    rng = np.random.default_rng(4)
    p = [paired(*rng.gamma(2.0, size=(2, 80))).p_value for _ in range(500)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_equal_scores_are_no_finding():
    got = paired([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (got.p_value, got.difference, got.lo, got.hi) == (1.0, 0.0, 0.0, 0.0)
    assert (got.better, got.worse, got.rank_sign) == (0, 0, 0)


def test_rounding_is_no_finding():
    b = np.random.default_rng(0).gamma(2.0, size=100)
    assert paired(b * (1 + 1e-13), b) == paired(b, b)
    assert paired(b * (1 + 1e-6), b).p_value < 1e-6


def test_what_is_not_finite_in_either_is_left_out():
    a = np.array([1.0, np.nan, 3.0, np.inf, 5.0])
    b = np.array([2.0, 1.0, np.nan, 1.0, 7.0])
    assert paired(a, b) == paired([1.0, 5.0], [2.0, 7.0])
    nothing = paired([np.nan], [1.0])
    assert nothing.n == 0
    assert math.isnan(nothing.p_value)
    assert math.isnan(nothing.difference)


def test_one_series_has_no_interval():
    got = paired([1.0], [2.0])
    assert (got.n, got.difference, got.p_value) == (1, -1.0, 1.0)
    assert math.isnan(got.lo)
    assert math.isnan(got.hi)


def test_huge_scores_do_not_overflow():
    got = paired([1e308, 1.5e308, 1.7e308], [1.0, 2.0, 3.0])
    assert got.difference == pytest.approx(1.4e308)
    assert np.isfinite([got.lo, got.hi]).all()
    assert paired([1e308], [-1e308]).n == 0


def test_the_same_scores_give_the_same_interval():
    a, b = np.random.default_rng(5).normal(size=(2, 40))
    assert paired(a, b) == paired(a, b)
    assert paired(a, b, seed=1).lo != paired(a, b).lo


def test_a_wider_level_is_a_wider_interval():
    a, b = np.random.default_rng(5).normal(size=(2, 40))
    narrow, wide = paired(a, b, level=50), paired(a, b, level=99)
    assert wide.lo < narrow.lo < narrow.hi < wide.hi


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_the_step_down_rule(p):
    np.testing.assert_allclose(holm(p), signed_rank.holm(p), rtol=1e-15)


def test_unknown_p_values_count_for_nothing():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])


@pytest.mark.parametrize(
    ("a", "b", "level"), [([1.0], [1.0, 2.0], 95), ([[1.0]], [[1.0]], 95), ([1.0], [2.0], 100)]
)
def test_what_cannot_be_compared_is_refused(a, b, level):
    with pytest.raises(InputError):
        paired(a, b, level)
