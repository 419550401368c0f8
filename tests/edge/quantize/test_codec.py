import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.quantize import decode, parcor, split
from edge.quantize.codec import LIMIT, MOST, THETA_LIMIT, bound
from tests.oracles import edge_quantize as oracle


@settings(deadline=None)
@given(st.lists(st.integers(-127, 127), min_size=1, max_size=24), st.floats(1e-6, THETA_LIMIT / 127))
def test_decoding_is_that_of_plain_python(codes, scale):
    scale = np.nextafter(np.float32(scale), np.float32(0))
    got = decode(np.array([codes], np.int16), np.array([scale]))
    want = oracle.decode(codes, scale)
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-13 * np.abs(want).max())


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_no_code_within_bounds_is_a_unit_root(bits):
    scales = np.array([1e-4, THETA_LIMIT / MOST[bits], 0.02, 0.3, 1.5])
    most = bound(scales, bits)
    assert (most <= MOST[bits]).all()
    k = np.sin(most * scales)
    assert (k <= LIMIT + 1e-15).all()
    assert (np.float32(k) < 1.0).all()


def test_every_code_of_16_bits_splits_into_two_bytes():
    codes = np.arange(-MOST[16], MOST[16] + 1).astype(np.int16)
    high, low = split(codes)
    assert high.dtype == low.dtype == np.int8
    np.testing.assert_array_equal(256 * high.astype(int) + low, codes)


def test_brackets_do_not_matter_to_16_bits():
    rng = np.random.default_rng(1)
    codes = rng.integers(-MOST[16], MOST[16], (20, 9)).astype(np.int16)
    scale = rng.uniform(1e-5, THETA_LIMIT / MOST[16], 20).astype(np.float32)
    high, low = split(codes)
    other = (high + low / 256.0) * (256.0 * scale.astype(np.float64))[:, None]
    np.testing.assert_array_equal(np.sin(other), parcor(codes, scale))


def test_a_series_without_coefficients_decodes_to_zeros():
    assert not decode(np.zeros((2, 3), np.int16), np.zeros(2, np.float32)).any()
