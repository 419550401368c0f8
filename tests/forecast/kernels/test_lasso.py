"""The lasso path: its points satisfy the optimality conditions, and BIC finds the true regressors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.lasso import fit_lasso
from tests.oracles import regression as oracle


def fit(y, x, lags=(1, 2, 3), const=True):
    lags = np.array(lags, dtype=np.int64)
    k = const + len(x) + len(lags)
    coef, sigma2 = np.zeros((1, k)), np.zeros(1)
    kept, used = np.zeros((1, k), dtype=np.uint8), np.zeros(1, dtype=np.int64)
    fit_lasso(
        y, np.array([0, len(y)]), 0, 1, np.ascontiguousarray(x), np.arange(len(x)),
        np.zeros(len(x), dtype=np.int64),
        const, False, 0, lags, coef, sigma2, kept, used,
    )  # fmt: skip
    return coef[0], sigma2[0], kept[0], used[0]


def data(seed, t=200):
    rng = np.random.default_rng(seed)
    x, e, y = rng.normal(size=(6, t)), rng.normal(size=t), np.zeros(t)
    for i in range(1, t):
        y[i] = 4.0 + 0.5 * y[i - 1] + 2.0 * x[0, i] - 1.0 * x[3, i] + e[i]
    return y, x


@given(seed=st.integers(0, 60))
def test_the_point_chosen_is_optimal_for_its_penalty(seed):
    y, x = data(seed)
    coef, sigma2, kept, used = fit(y, x)
    terms = [(j, 0) for j in range(6)]
    design, target = oracle.arx_design(y, dict(enumerate(x)), terms, True, False, 0, (1, 2, 3), 3)
    assert used == len(target)
    resid = target - design @ coef
    assert sigma2 == pytest.approx(np.square(resid).mean(), rel=1e-9)
    free = design[:, 1:] - design[:, 1:].mean(axis=0)
    size = free.std(axis=0)
    gradient = free.T @ resid / len(target) / size
    active = coef[1:] != 0
    penalty = np.abs(gradient[active]).max()
    # Karush-Kuhn-Tucker: the gradient is the penalty with the sign of an active coefficient, else below it
    np.testing.assert_allclose(gradient[active], penalty * np.sign(coef[1:][active]), atol=1e-6)
    assert (np.abs(gradient[~active]) <= penalty + 1e-6).all()
    assert kept[0] == 1


def test_true_regressors_are_found_and_most_others_are_not():
    y, x = data(7, 400)
    coef, *_ = fit(y, x)
    assert coef[1] == pytest.approx(2.0, abs=0.2)
    assert coef[4] == pytest.approx(-1.0, abs=0.2)
    assert coef[7] == pytest.approx(0.5, abs=0.1)
    assert np.count_nonzero(np.abs(coef[[2, 3, 5, 6, 8, 9]]) > 0.1) == 0


def test_a_constant_regressor_gets_nothing():
    y, x = data(1)
    x[2] = 5.0
    coef, *_ = fit(y, x)
    assert coef[3] == 0
    assert np.isfinite(coef).all()
