"""Forecasts with the series in lanes: the recursion, whatever the tile, the batch and the width."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.kernels.forecast_lanes import SHORTEST, forecast_lanes, forecast_rows
from forecast.kernels.simd import WIDTH, WIDTH32
from tests.oracles import recursion as oracle


def rows(seed, n, p, q, h):
    """n series with up to p lags and q innovations."""
    rng = np.random.default_rng(seed)
    width, ma_width = rng.integers(0, p + 1, n), rng.integers(0, q + 1, n)
    a, b = rng.uniform(-1, 1, (n, max(p, 1))) / max(p, 1), rng.normal(size=(n, max(q, 1)))
    levels, innovations = rng.normal(size=(n, max(p, 1))), rng.normal(size=(n, max(q, 1)))
    return a, width, b, ma_width, levels, innovations, rng.normal(size=(n, h))


def run(series, cuts=()):
    n, h = series[-1].shape
    path, psi = np.full((n, h), np.nan), np.full((n, h), np.nan)
    bounds = [0, *cuts, n]
    for first, last in itertools.pairwise(bounds):
        forecast_rows(*series, path, psi, first, last)
    return path, psi


@settings(max_examples=60)
@given(seed=st.integers(0, 999), n=st.integers(1, 19), p=st.integers(0, 30), q=st.integers(0, 12),
       h=st.integers(1, 27))  # fmt: skip
def test_paths_and_weights_are_the_recursion(seed, n, p, q, h):
    series = rows(seed, n, p, q, h)
    a, width, b, ma_width, levels, innovations, drive = series
    path, psi = run(series)
    for i in range(n):
        lags, theta = a[i, : width[i]], b[i, : ma_width[i]]
        want = oracle.forecast_path(lags, theta, levels[i], innovations[i], drive[i])
        # At most 30 terms of size 10 a step, with weights that sum to less than 1.
        np.testing.assert_allclose(path[i], want, atol=1e-12)
        np.testing.assert_allclose(psi[i], oracle.psi(lags, theta, h), atol=1e-12)


@given(cuts=st.lists(st.integers(0, 21), max_size=3).map(sorted), h=st.integers(1, 9))
def test_the_split_and_the_neighbours_change_no_bit(cuts, h):
    series = rows(3, 21, 26, 4, h)
    whole, parts = run(series), run(series, cuts)
    for got, want in zip(parts, whole, strict=True):
        assert got.tobytes() == want.tobytes()
    alone = run([x[5:6] for x in series])
    assert alone[0].tobytes() == whole[0][5:6].tobytes()


def test_a_longer_horizon_changes_no_bit_of_the_first_steps():
    series = rows(4, 9, 10, 2, 20)
    short = (*series[:-1], series[-1][:, :7].copy())
    np.testing.assert_array_equal(run(series)[0][:, :7], run(short)[0])


def test_by_hand():
    """w = 1 + w/2 from 4: 3, 2.5, 2.25; psi 1, 1/2, 1/4. A random walk with drift 2: 6, 8, 10."""
    a, width, levels = np.array([[0.5], [1.0]]), np.array([1, 1]), np.array([[4.0], [4.0]])
    none, zero = np.zeros((2, 1)), np.zeros(2, dtype=np.int64)
    path, psi = run((a, width, none, zero, levels, none, np.array([[1.0] * 3, [2.0] * 3])))
    assert path.tolist() == [[3.0, 2.5, 2.25], [6.0, 8.0, 10.0]]
    assert psi.tolist() == [[1.0, 0.5, 0.25], [1.0, 1.0, 1.0]]


def test_a_series_without_a_state_keeps_its_nan_to_itself():
    series = rows(5, 11, 6, 0, 5)
    series[1][:] = 6
    clean = run(series)[0]
    series[4][3, 2] = np.nan
    path = run(series)[0]
    assert np.isnan(path[3]).all()
    others = np.arange(11) != 3
    np.testing.assert_array_equal(path[others], clean[others])


@pytest.mark.parametrize(
    ("dtype", "lanes", "tolerance"), [(np.float64, WIDTH, 1e-13), (np.float32, WIDTH32, 1e-5)]
)
@pytest.mark.parametrize("p", [SHORTEST, 8, 11, 24])
def test_blocks_in_both_precisions(dtype, lanes, tolerance, p):
    """Numbers of size 1 to 3; p terms of rounding 1e-16 or 6e-8."""
    rng, h, blocks = np.random.default_rng(p), 16, 3
    a = (rng.uniform(-1, 1, (blocks, p, lanes)) / p).astype(dtype)
    w = rng.normal(size=(blocks, p + h, lanes)).astype(dtype)
    want = w.astype(np.float64)
    for k in range(h):
        for j in range(p):
            want[:, p + k] += a[:, j].astype(np.float64) * want[:, p + k - 1 - j]
    parts = w.copy()
    forecast_lanes(a, w, 0, blocks)
    np.testing.assert_allclose(w, want, atol=tolerance)
    forecast_lanes(a, parts, 2, 3)
    forecast_lanes(a, parts, 0, 2)
    np.testing.assert_array_equal(parts, w)
