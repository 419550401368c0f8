import math
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.kernels.decimal import LONGEST, TOO_HARD, put_float, put_int


def written(put, value):
    out = np.full(LONGEST + 8, 120, dtype=np.uint8)
    end = put(out, 3, value)
    if end == TOO_HARD:
        return None
    assert (out[:3] == 120).all()
    assert (out[end:] == 120).all()
    assert end - 3 <= LONGEST
    return out[3:end].tobytes().decode()


def oracle(value):
    return msgspec.json.encode(float(f"{value:.7g}")).decode()


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.0)
@example(-0.0)
@example(9999999.5)
@example(1234567.5)  # a half: to the even neighbour
@example(1234568.5)
@example(0.99999995)
@example(9.9999995e15)
@example(999999.95)
@example(1e-5)
@example(9.9999999e-6)
@example(1e16)
@example(-123456.7)
@example(1e22)
@example(4.35)
def test_it_writes_what_json_writes_of_seven_digits(value):
    got = written(put_float, value)
    if got is None:
        assert not 1e-15 < abs(value) < 1e28
        assert value != 0
    else:
        assert got == oracle(value)


@given(st.integers(0, 10**8), st.integers(-14, 20), st.integers(-2, 2))
def test_it_is_right_beside_every_half(digits, exponent, off):
    """Seven digits and a half, and the doubles around it."""
    value = float(f"{digits}5e{exponent}")
    for _ in range(abs(off)):
        value = math.nextafter(value, math.inf * off)
    got = written(put_float, value)
    assert got is None or got == oracle(value)


@given(st.integers(1, 2**53), st.integers(-40, 30))
def test_it_is_right_where_halves_are_exact(mantissa, shift):
    value = math.ldexp(mantissa, shift)
    got = written(put_float, value)
    assert got is None or got == oracle(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e-300, 1e300, 5e-324])
def test_what_it_cannot_write_it_leaves(value):
    assert written(put_float, value) is None


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_integers(value):
    assert written(put_int, value) == str(value)


def test_random_doubles():
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**63, 20_000, dtype=np.uint64)
    for raw in bits.tolist():
        value = struct.unpack("<d", struct.pack("<Q", raw))[0]
        if 1e-15 < abs(value) < 1e28:
            assert written(put_float, value) == oracle(value)
