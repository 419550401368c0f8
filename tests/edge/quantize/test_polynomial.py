import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.quantize.polynomial import predictors, product, slopes, step_down, step_up
from forecast.kernels import roots
from tests.oracles import edge_quantize as oracle
from tests.oracles import roots as roots_oracle

PARCORS = st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=8)


@settings(deadline=None)
@given(PARCORS)
def test_step_up_is_that_of_the_definition_and_step_down_undoes_it(k):
    phi = step_up(np.array([k]))
    np.testing.assert_allclose(phi[0], roots_oracle.step_up(np.array(k)), atol=1e-12)
    np.testing.assert_allclose(step_up(step_down(phi)), phi, atol=1e-9)


def test_step_up_is_that_of_the_library_to_rounding():
    rng = np.random.default_rng(1)
    k = np.sin(rng.uniform(-1.5, 1.5, (50, 24)))
    theirs = np.empty_like(k)
    roots.step_up_rows(k, np.full(50, 24, np.int64), theirs, 0, 50)
    np.testing.assert_allclose(step_up(k), theirs, rtol=0, atol=1e-13 * np.abs(theirs).max())


def test_step_up_of_two_is_worked_out_by_hand():
    # phi_1 = k_1 (1 - k_2), phi_2 = k_2
    np.testing.assert_array_equal(step_up(np.array([[0.5, 0.25]])), [[0.375, 0.25]])


def test_step_down_has_no_answer_below_a_unit_partial_autocorrelation():
    assert np.isnan(step_down(np.array([[0.3, 0.2, 1.5]]))[0, :2]).all()
    np.testing.assert_array_equal(step_down(np.zeros((2, 0))), np.zeros((2, 0)))


@settings(deadline=None)
@given(PARCORS)
def test_predictors_are_the_polynomials_of_every_lower_order(k):
    stages = predictors(np.array([k]))[0]
    for m in range(len(k)):
        np.testing.assert_allclose(stages[m, :m], roots_oracle.step_up(np.array(k[:m])), atol=1e-12)
        assert not stages[m, m:].any()


@settings(deadline=None)
@given(PARCORS)
def test_slopes_are_the_differences_of_step_up(k):
    k = np.array([k])
    got, eps = slopes(k)[0], 1e-6
    for j in range(k.shape[1]):
        move = np.zeros_like(k)
        move[0, j] = eps
        want = (step_up(k + move) - step_up(k - move))[0] / (2 * eps)
        np.testing.assert_allclose(got[j], want, atol=1e-6)


@pytest.mark.parametrize(("p", "P", "s"), [(2, 1, 12), (0, 2, 4), (3, 0, 7), (5, 2, 3), (0, 0, 1)])
def test_product_is_that_of_the_polynomials(p, P, s):
    rng = np.random.default_rng(p + 10 * P)
    phi, seasonal = rng.normal(size=(4, p)), rng.normal(size=(4, P))
    got = product(phi, seasonal, s)
    for i in range(4):
        np.testing.assert_allclose(got[i], oracle.multiply(phi[i], seasonal[i], s), atol=1e-14)
