import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.recursion import forecast_path_rows, propagate, psi_rows
from tests.oracles import recursion as oracle
from tests.strategies import stationary_phi


def run(a, b, levels, innovations, drive):
    out = np.empty((1, len(drive)))
    a, b = np.atleast_1d(np.asarray(a, float)), np.atleast_1d(np.asarray(b, float))
    wide = [np.r_[x, 0.0][None] for x in (a, b, levels, innovations)]
    args = (
        wide[0],
        np.array([len(a)]),
        wide[1],
        np.array([len(b)]),
        wide[2],
        wide[3],
        np.array([drive], float),
    )
    forecast_path_rows(*args, out, 0, 1)
    return out[0]


def weights(a, b, h):
    out = np.empty((1, h))
    a, b = np.asarray(a, float), np.asarray(b, float)
    psi_rows(np.r_[a, 0.0][None], np.array([len(a)]), np.r_[b, 0.0][None], np.array([len(b)]), out, 0, 1)
    return out[0]


models = st.tuples(stationary_phi(max_p=5, min_p=0), st.lists(st.floats(-1, 1), max_size=4).map(np.array))


@given(models, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_path_is_the_recursion(model, h, seed):
    a, b = model
    rng = np.random.default_rng(seed)
    levels, innovations, drive = rng.normal(size=len(a)), rng.normal(size=len(b)), rng.normal(size=h)
    got = run(a, b, levels, innovations, drive)
    want = oracle.forecast_path(a, b, levels, innovations, drive)
    # |phi| up to 2^5 while paths stay bounded: rounding of products of that size, some 30 steps.
    np.testing.assert_allclose(got, want, atol=1e-9, rtol=1e-9)


@given(models, st.integers(1, 30))
def test_psi_weights_are_the_response_to_one_shock(model, h):
    a, b = model
    np.testing.assert_allclose(weights(a, b, h), oracle.psi(a, b, h), atol=1e-9, rtol=1e-9)


@given(models, st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_shocks_run_through_the_model(model, h, seed):
    a, b = model
    e = np.random.default_rng(seed).normal(size=(3, h))
    got = e.copy()
    propagate(np.r_[a, 0.0], len(a), np.r_[b, 0.0], len(b), got)
    want = [oracle.simulate(a, b, np.zeros(h), row) for row in e]
    np.testing.assert_allclose(got, want, atol=1e-9, rtol=1e-9)


def test_by_hand():
    # 1 + 0.5 * 4 = 3, then 1 + 0.5 * 3 = 2.5
    assert run([0.5], [], [4.0], [], [1.0, 1.0]).tolist() == [3.0, 2.5]
    # MA(1): only the first step sees the last innovation
    assert run([], [0.5], [], [2.0], [0.0, 0.0]).tolist() == [1.0, 0.0]
    assert weights([0.5], [0.5], 3).tolist() == [1.0, 1.0, 0.5]


def test_a_random_walk_stays_where_it_is():
    assert run([1.0], [], [7.25], [], np.zeros(50)).tolist() == [7.25] * 50
    assert weights([1.0], [], 50).tolist() == [1.0] * 50


def test_a_missing_level_is_seen_in_the_path():
    assert np.isnan(run([0.5], [], [np.nan], [], [0.0, 0.0])).all()


def test_rows_do_not_depend_on_the_split():
    rng = np.random.default_rng(0)
    n, h, width = 6, 8, 3
    a, b = rng.uniform(-0.3, 0.3, (n, width)), rng.normal(size=(n, 2))
    w, q = np.array([3, 0, 1, 2, 3, 3]), np.array([2, 1, 0, 2, 1, 0])
    levels, innovations, drive = rng.normal(size=(n, width)), rng.normal(size=(n, 2)), rng.normal(size=(n, h))
    whole, parts = np.empty((n, h)), np.empty((n, h))
    forecast_path_rows(a, w, b, q, levels, innovations, drive, whole, 0, n)
    for first in range(n):
        forecast_path_rows(a, w, b, q, levels, innovations, drive, parts, first, first + 1)
    np.testing.assert_array_equal(whole, parts)


def test_r_agrees_on_psi_weights(fixtures):
    """R's ARMAtoMA of seven processes, printed to 15 digits."""
    cases = json.loads((fixtures / "r" / "correlations.json").read_text())["theoretical"]
    assert len(cases) == 7
    for case in cases:
        want = case["psi"]
        assert weights(case["ar"], case["ma"], len(want) + 1)[1:] == pytest.approx(want, rel=1e-12, abs=1e-14)
