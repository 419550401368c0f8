from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.selection.challenge_windows import check_sizes, choose, contenders, last_change, windows_at
from tests.oracles import challenge as oracle


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(0, 80), shift=st.sampled_from([0.0, 1.0, -2.0, 8.0]),
    spread=st.sampled_from([1.0, 2.0, 0.2]), gaps=st.booleans(),
)  # fmt: skip
def test_a_change_is_that_of_the_recursion(seed, n, shift, spread, gaps):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * spread + shift
    if gaps:
        z[rng.random(n) < 0.2] = np.nan
    assert last_change(z) == oracle.last_change(z)


def test_a_change_begins_where_it_does():
    rng = np.random.default_rng(1)
    z = rng.normal(size=300)
    assert last_change(z) == -1
    for shift, spread in ((2.0, 1.0), (-2.0, 1.0), (0.0, 3.0)):
        changed = z.copy()
        changed[270:] = changed[270:] * spread + shift
        assert abs(last_change(changed) - 270) <= 4
    # A spread that shrinks: points near 0 before it belong to it as well as not.
    assert 270 <= last_change(np.concatenate([z, 0.05 * z[:60]])) <= 304
    assert last_change(np.full(50, np.nan)) == last_change(np.zeros(50)) == last_change(np.zeros(0)) == -1


def test_a_change_that_is_over_is_none():
    rng = np.random.default_rng(2)
    z = rng.normal(size=200)
    z[50:60] += 3.0
    assert last_change(z[:60]) >= 0
    assert last_change(z) == -1


def test_one_outlier_is_no_change():
    z = np.random.default_rng(3).normal(size=100)
    z[99] = 1e300
    assert last_change(z) == -1


def test_candidates_are_those_that_differ():
    found = windows_at(np.array([100, 100, 20]), np.array([-1, 90, 15]), (16, 50, 90))
    assert found.labels == ("all", "since the change", "last 16", "last 50", "last 90")
    assert found.there.T.tolist() == [
        [True, False, True, True, False],
        [True, True, True, True, False],
        [True, False, False, False, False],  # 5 points hold no model
    ]
    assert found.first.T.tolist() == [[0, 0, 84, 50, 10], [0, 90, 84, 50, 10], [0, 15, 4, 0, 0]]


def test_window_sizes_are_checked():
    assert check_sizes((50, 10, 50)) == (10, 50)
    with pytest.raises(InputError, match="8 points or more, got 3"):
        check_sizes((10, 3))


def test_the_window_is_chosen_by_the_errors_so_far():
    here = np.ones((3, 1), dtype=bool)
    none = np.array([-1])
    assert choose(np.zeros((0, 3, 1)), here, none, np.zeros((0, 1), int)) == 0
    loss = np.array([[[2.0], [np.nan], [1.0]], [[2.0], [np.nan], [1.0]]])
    before = np.full((2, 1), -1)
    assert choose(loss, here, none, before) == 2
    assert choose(loss, np.array([[True], [True], [False]]), none, before) == 0


def test_what_a_change_makes_void_does_not_count():
    here = np.ones((3, 1), dtype=bool)
    loss = np.array([[[1.0], [np.nan], [2.0]], [[9.0], [3.0], [4.0]]])
    seen = np.array([[-1], [40]])
    assert choose(loss, here, np.array([40]), seen) == 1
    assert choose(loss[:1], here, np.array([40]), seen[:1]) == 1  # none since: the default
    over = np.array([[True], [False], [True]])
    assert choose(loss, over, np.array([-1]), seen) == 2  # the change is over: all origins count


def test_who_is_far_behind_is_fitted_no_more():
    here = np.ones((4, 1), dtype=bool)
    here[1] = False
    none = np.array([-1])
    loss = np.array([[[3.0], [np.nan], [1.0], [2.0]]] * 3)
    assert contenders(loss[:0], here, none, np.zeros((0, 1), int)).T.tolist() == [[True, False, True, True]]
    assert contenders(loss[:1], here, none, np.full((1, 1), -1)).T.tolist() == [[True, False, True, True]]
    assert contenders(loss, here, none, np.full((3, 1), -1)).T.tolist() == [[False, False, True, True]]
    here[1] = True  # a change was seen just now: all begin anew
    assert contenders(loss, here, np.array([5]), np.full((3, 1), -1)).all()
    loss[2, 1] = 9.0
    seen = np.array([[-1], [-1], [5]])
    # Since then there is one origin: by it the best two, and what came since the change in any case.
    assert contenders(loss, here, np.array([5]), seen).T.tolist() == [[False, True, True, True]]
