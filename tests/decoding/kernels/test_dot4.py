"""Sums of four byte products are the same whole numbers in every way this CPU has."""

from __future__ import annotations

import numpy as np
import pytest

from decoding.kernels.dot4 import WAYS
from forecast.kernels._jit import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="instructions of the CPU, not of Python")


def expected(acc, weights, x):
    products = weights.astype(np.int64) * x.astype(np.int64)
    return (acc + products.reshape(16, 4).sum(1)).astype(np.int32)


def run(way, acc, weights, x):
    from tests.decoding.kernels.probes import DOT4

    out = np.empty(16, np.int32)
    DOT4[way](acc.ctypes.data, weights.ctypes.data, x.ctypes.data, out.ctypes.data)
    return out


@pytest.mark.parametrize("way", WAYS)
def test_random_bytes(way):
    rng = np.random.default_rng(0)
    for _ in range(50):
        acc = rng.integers(-(2**20), 2**20, 16).astype(np.int32)
        weights = rng.integers(0, 256, 64).astype(np.uint8)
        x = rng.integers(-128, 128, 64).astype(np.int8)
        np.testing.assert_array_equal(run(way, acc, weights, x), expected(acc, weights, x))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("signed", [-128, -127, 127])
def test_the_largest_bytes_do_not_saturate(way, signed):
    acc, weights, x = np.zeros(16, np.int32), np.full(64, 255, np.uint8), np.full(64, signed, np.int8)
    np.testing.assert_array_equal(run(way, acc, weights, x), np.full(16, 4 * 255 * signed))


def test_there_is_always_a_way():
    assert WAYS[-1] == "plain"
