"""Lag products with the series in lanes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.kernels.lag_lanes import CHUNK, fill_lanes, lane_padding, lane_products, take_lanes
from forecast.kernels.simd import WIDTH, buffer


def lay(series, m, const=1):
    """Series in lanes; the last one again where there are fewer."""
    values = np.concatenate(series)
    lengths = np.array([len(y) for y in series])
    starts = np.cumsum(lengths) - lengths
    pad, mean = lane_padding(m), np.zeros(WIDTH)
    x = np.zeros((pad + lengths.max() + WIDTH, WIDTH))
    fill_lanes(values, starts, lengths, const, pad, mean, x)
    return values, lengths, pad, mean, x


def products(series, m):
    values, lengths, pad, _, x = lay(series, m)
    core, part = buffer(m + 17), buffer(m + 17)
    lane_products(x, pad, lengths, m, core, part, values, len(values))
    return core


def some(seed, lengths, scale=1.0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=n) * scale + 3.0 for n in lengths]


LENGTHS = st.lists(st.integers(45, 300), min_size=WIDTH, max_size=WIDTH)


@settings(max_examples=40)
@given(seed=st.integers(0, 99), lengths=LENGTHS, m=st.integers(1, 20))
def test_sums_are_those_of_the_definition(seed, lengths, m):
    series = some(seed, lengths)
    core = products(series, m)
    for r, y in enumerate(series):
        x, t = y - y.mean(), len(y)
        want = [x[m : t - m] @ x[m - d : t - m - d] for d in range(m + 1)]
        # 300 products of size 1: 1e-16 * 300 at the most.
        np.testing.assert_allclose(core[: m + 1, r], want, atol=1e-12)
        assert core[-1, r] == pytest.approx(x[m : t - m].sum(), abs=1e-12)


@settings(max_examples=20)
@given(seed=st.integers(0, 99), lengths=LENGTHS)
def test_neighbours_change_no_bit(seed, lengths):
    series = some(seed, [CHUNK + 100, *lengths[1:]])
    together = products(series, 9)[:10, 0]
    alone = products([series[0]] * WIDTH, 9)[:10]
    np.testing.assert_array_equal(together, alone[:, 0])
    np.testing.assert_array_equal(alone, np.repeat(alone[:, :1], WIDTH, axis=1))


def test_by_hand():
    """1, 2, ..., 5 without centring, m = 1: the middle is 2, 3, 4; squares 29, products 2 + 6 + 12 = 20."""
    values, lengths, pad, _, x = lay([np.arange(1.0, 6.0)] * WIDTH, 1, const=0)
    core = buffer(18)
    lane_products(x, pad, lengths, 1, core, buffer(18), values, 0)
    assert (core[0] == 29.0).all()
    assert (core[1] == 20.0).all()
    assert (core[-1] == 9.0).all()


def test_lanes_hold_the_series_less_their_means():
    series = some(1, range(50, 50 + WIDTH))
    _, lengths, pad, mean, x = lay(series, 3)
    assert not x[:pad].any()
    for r, y in enumerate(series):
        assert mean[r] == pytest.approx(y.mean(), rel=1e-15)
        np.testing.assert_array_equal(x[pad : pad + lengths[r], r], y - mean[r])


def test_a_nan_stays_in_its_lane():
    series = some(2, [60] * WIDTH)
    clean = products(series, 4)[:5]
    series[-1][30] = np.nan
    got = products(series, 4)[:5]
    assert np.isnan(got[:, -1]).all()
    np.testing.assert_array_equal(got[:, :-1], clean[:, :-1])


@pytest.mark.parametrize("step", [0, 1])
def test_rows_are_taken_from_where_each_lane_says(step):
    x = np.arange(40.0 * WIDTH).reshape(40, WIDTH)
    begins, out = 5 + step * np.arange(WIDTH), buffer(6)
    take_lanes(x, begins, 6, out)
    for r in range(WIDTH):
        np.testing.assert_array_equal(out[:, r], x[begins[r] : begins[r] + 6, r])
