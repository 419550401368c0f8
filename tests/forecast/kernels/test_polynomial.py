import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels.polynomial import difference, expand_ar_rows, expand_ma_rows, multiply
from tests.oracles import recursion as oracle

coefficients = st.lists(st.floats(-2, 2), max_size=4)


def expand(phi, seasonal_phi, d, seasonal_d, s, spare=3):
    one = [np.array([x]) for x in (len(phi), len(seasonal_phi), d, seasonal_d, s)]
    p, sp, dd, sd, season = one
    a = np.full((1, p[0] + d + s * (sp[0] + seasonal_d) + spare), np.nan)
    width = np.zeros(1, dtype=np.int64)
    rows = (np.array([phi], dtype=float), p, np.array([seasonal_phi], dtype=float), sp, dd, sd, season)
    expand_ar_rows(*rows, a, width, 0, 1)
    assert (a[0, width[0] :] == 0).all()
    return a[0, : width[0]]


@given(coefficients, coefficients, st.integers(0, 2), st.integers(0, 2), st.integers(1, 7))
def test_ar_side_is_the_product_of_its_factors(phi, seasonal_phi, d, seasonal_d, s):
    got = expand(phi, seasonal_phi, d, seasonal_d, s)
    want = oracle.expand_ar(phi, seasonal_phi, d, seasonal_d, s)
    np.testing.assert_allclose(got, want, atol=1e-12)  # sums of some 20 products of size 2^4


@given(coefficients, coefficients, st.integers(1, 7))
def test_ma_side_is_the_product_of_its_factors(theta, seasonal_theta, s):
    q, sq = np.array([len(theta)]), np.array([len(seasonal_theta)])
    b, width = np.full((1, q[0] + s * sq[0] + 1), np.nan), np.zeros(1, dtype=np.int64)
    rows = (np.array([theta], dtype=float), q, np.array([seasonal_theta], dtype=float), sq, np.array([s]))
    expand_ma_rows(*rows, b, width, 0, 1)
    np.testing.assert_allclose(b[0, : width[0]], oracle.expand_ma(theta, seasonal_theta, s), atol=1e-12)
    assert b[0, width[0] :].tolist() == [0.0]


def test_by_hand():
    # (1 - 0.5 L)(1 - L) = 1 - 1.5 L + 0.5 L^2
    assert expand([0.5], [], 1, 0, 1).tolist() == [1.5, -0.5]
    # (1 - L)(1 - L^4) = 1 - L - L^4 + L^5
    assert expand([], [], 1, 1, 4).tolist() == [1.0, 0.0, 0.0, 1.0, -1.0]


def test_differencing_alone_is_exact():
    assert expand([], [], 3, 0, 1).tolist() == [3.0, -3.0, 1.0]


def test_an_empty_model_has_no_lags():
    assert expand([], [], 0, 0, 0).size == 0


@pytest.mark.parametrize("stride", [1, 3])
def test_difference_is_multiplication_by_one_minus_l(stride):
    c, same = np.zeros(8), np.zeros(8)
    c[:2] = same[:2] = [0.3, -0.2]
    assert difference(c, 2, stride, 1) == multiply(same, 2, np.ones(1), 1, stride, -1.0) == 2 + stride
    np.testing.assert_array_equal(c, same)
