import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.prune.elimination import bic_drops, eliminate
from edge.prune.moments import solve
from tests.oracles import edge_prune as oracle


def products(x, y):
    both = np.column_stack([x, y])
    return both.T @ both


def draw(seed, n, k):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k)) @ (np.eye(k) + 0.4 * rng.normal(size=(k, k))) * 10.0 ** rng.uniform(-6, 6, k)
    weight = np.where(rng.random(k) < 0.5, 0.0, rng.normal(size=k)) / np.sqrt((x**2).mean(axis=0))
    return x, x @ weight + rng.normal(size=n)


@given(seed=st.integers(0, 10_000), f=st.integers(0, 2), m=st.integers(1, 6))
def test_path_is_one_regression_after_the_other(seed, f, m):
    data = [draw(seed + i, 60, f + m) for i in range(3)]
    path = eliminate(np.stack([products(x, y) for x, y in data]), f)
    assert path.sound.all()
    for i, (x, y) in enumerate(data):
        sets, sums = oracle.path(x, y, f)
        np.testing.assert_allclose(path.rss[i], sums, rtol=1e-8)
        for drops, kept in enumerate(sets):
            at = path.keep(np.array([drops] * 3))[i]
            assert np.flatnonzero(at).tolist() == kept


@given(seed=st.integers(0, 10_000), m=st.integers(1, 6))
def test_bic_chooses_the_set_of_the_oracle(seed, m):
    x, y = draw(seed, 40, 1 + m)
    path = eliminate(products(x, y)[None], 1)
    drops = bic_drops(path, np.array([40]))
    assert np.flatnonzero(path.keep(drops)[0]).tolist() == oracle.bic_choice(x, y, 1)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
def test_masked_fit_is_the_regression_on_what_is_left(seed, k):
    x, y = draw(seed, 50, k)
    keep = np.random.default_rng(seed).random((1, k)) < 0.5
    fit = solve(products(x, y)[None], keep)
    coef, rss = oracle.least_squares(x[:, keep[0]], y)
    assert fit.sound.all()
    np.testing.assert_allclose(fit.coef[0, keep[0]] * np.abs(x[:, keep[0]]).max(axis=0), coef * np.abs(
        x[:, keep[0]]).max(axis=0), atol=1e-8)  # fmt: skip
    assert not fit.coef[0, ~keep[0]].any()
    assert fit.rss[0] == pytest.approx(rss, rel=1e-8)


def test_one_regressor_by_hand():
    # y = 2 x exactly but for one unit: b = 2 + 1/14, rss = 1 - 1/14 (x'x = 14, x_1 = 1)
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([3.0, 4.0, 6.0])
    fit = solve(products(x, y)[None], np.ones((1, 1), dtype=bool))
    assert fit.coef[0, 0] == pytest.approx(29 / 14)
    assert fit.rss[0] == pytest.approx(1 - 1 / 14)


def test_collinear_regressors_are_refused_and_the_others_are_not():
    x, y = draw(1, 50, 3)
    twice = x.copy()
    twice[:, 2] = 2.0 * twice[:, 1]
    both = np.stack([products(x, y), products(twice, y)])
    assert eliminate(both, 0).sound.tolist() == [True, False]
    assert solve(both, np.ones((2, 3), dtype=bool)).sound.tolist() == [True, False]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_products_that_are_no_numbers_are_refused(bad):
    x, y = draw(2, 50, 3)
    made = products(x, y)
    made[1, :] = made[:, 1] = bad
    assert not eliminate(made[None], 1).sound[0]
    assert not solve(made[None], np.ones((1, 3), dtype=bool)).sound[0]


def test_an_exact_past_leaves_no_residual():
    x, _ = draw(3, 50, 2)
    assert not eliminate(products(x, x @ [1.0, 2.0])[None], 0).sound[0]
