"""Vectors of lanes: every form does the same arithmetic as NumPy on rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forecast.kernels import simd
from forecast.kernels._jit import large_kernel
from forecast.kernels.transpose import transpose

ROOT = Path(__file__).parents[3]


@large_kernel
def operations(x, y, z, out):
    a, b, c = simd.load(x, 0), simd.load(y, 0), simd.load(z, 0)
    simd.store(out, 0, a + b)
    simd.store(out, 1, a - b)
    simd.store(out, 2, a * b)
    simd.store(out, 3, a / b)
    simd.store(out, 4, simd.fma(a, b, c))
    simd.store(out, 5, simd.fnma(a, b, c))
    simd.store(out, 6, simd.sqrt(simd.select_greater(a, b, a, b)))
    simd.store(out, 7, simd.select_greater(a, simd.broadcast(1.5), a, c))
    return simd.total(a), simd.largest(b), simd.lane(c, simd.WIDTH - 1)


def test_every_operation_by_hand():
    rng = np.random.default_rng(0)
    x, y, z = rng.uniform(1.0, 2.0, size=(3, 1, simd.WIDTH))
    out = simd.buffer(8)
    total, largest, last = operations(x, y, z, out)
    a, b, c = x[0], y[0], z[0]
    want = [
        a + b,
        a - b,
        a * b,
        a / b,
        a * b + c,
        c - a * b,
        np.sqrt(np.maximum(a, b)),
        np.where(a > 1.5, a, c),
    ]
    # Each is one or two roundings; all but the multiply-adds are the same to the last bit.
    np.testing.assert_allclose(out, want, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(out[:4], want[:4])
    assert total == pytest.approx(a.sum(), rel=1e-15)
    assert (largest, last) == (b.max(), c[-1])


def test_a_comparison_with_nan_is_false():
    nan = np.full((1, simd.WIDTH), np.nan)
    out = simd.buffer(8)
    operations(nan, np.ones((1, simd.WIDTH)), np.full((1, simd.WIDTH), 7.0), out)
    np.testing.assert_array_equal(out[7], 7.0)


@large_kernel
def flat(x, y, out):
    a, b = simd.load_at(x, 3), simd.load_at(y, 1)
    simd.prefetch(x, len(x))
    simd.store_at(out, 2, simd.sqrt(simd.fma(a, b, simd.fnma(a, b, a * a))) / b)
    return simd.lane(b, 0)


@pytest.mark.parametrize(("dtype", "width"), [(np.float64, simd.WIDTH), (np.float32, simd.WIDTH32)])
def test_flat_positions_in_both_precisions(dtype, width):
    x, y = np.random.default_rng(1).uniform(1.0, 2.0, size=(2, width + 5)).astype(dtype)
    out = np.zeros(width + 5, dtype)
    first = flat(x, y, out)
    a, b = x[3 : 3 + width], y[1 : 1 + width]
    # The products cancel, up to roundings of numbers below 8; the root of a square is below 2.
    np.testing.assert_allclose(out[2 : 2 + width], a / b, rtol=8 * np.finfo(dtype).eps)
    assert not out[:2].any()
    assert not out[2 + width :].any()
    assert first == b[0]


def test_a_square_is_turned():
    n = simd.WIDTH
    starts, out = 50 * np.arange(n), simd.buffer(n + 2)
    values = np.arange(50.0 * n)
    level = np.arange(1.0, n + 1)[None]
    turn(values, starts, level, out)
    want = values.reshape(n, 50)[:, 7 : 7 + n].T - level
    np.testing.assert_array_equal(out[1 : n + 1], want)
    assert not out[[0, -1]].any()


@large_kernel
def turn(values, starts, level, out):
    transpose(values, starts, 7, simd.load(level, 0), out, 1)


def test_a_buffer_is_zero_and_begins_on_a_cache_line():
    rows = simd.buffer(5)
    assert rows.shape == (5, simd.WIDTH)
    assert not rows.any()
    assert rows.ctypes.data % 64 == 0


LIKELIHOOD = """
import numpy as np
from tests.arma_points import loglik_at
rng = np.random.default_rng(0)
y = rng.normal(size=60).cumsum()
y[[5, 20, 21]] = np.nan
parcor = np.array([[0.5, -0.3, 0.4, 0.2], [0.9, 0.1, -0.6, 0.7]])
points = loglik_at((1, 1, 2, 0, 0, 1, 4), y, parcor, rng.normal(size=(60, 1)))
print(*(repr(p.loglik) for p in points))
"""


def likelihoods(**env):
    done = subprocess.run(
        [sys.executable, "-c", LIKELIHOOD], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return np.array(done.stdout.split(), dtype=float)


def test_plain_python_agrees():
    np.testing.assert_allclose(likelihoods(NUMBA_DISABLE_JIT="1"), likelihoods(), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_every_width_agrees(width):
    np.testing.assert_allclose(likelihoods(FORECAST_SIMD_WIDTH=str(width)), likelihoods(), rtol=1e-12)


def test_a_width_that_no_vector_has_is_refused():
    done = subprocess.run(
        [sys.executable, "-c", "import forecast.kernels._jit"], cwd=ROOT,
        env=os.environ | {"FORECAST_SIMD_WIDTH": "3"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "must be 1, 2, 4 or 8" in done.stderr
