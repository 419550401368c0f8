import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels import lag_products as lags

EPS = np.finfo(float).eps


def padded(x, m):
    pad = lags.padding(m)
    return np.concatenate([np.zeros(pad), x, np.zeros(pad)]), pad


def brute(x, begin, end, m):
    return np.array([sum(x[u] * x[u - d] for u in range(begin, end) if u >= d) for d in range(m + 1)])


@given(t=st.integers(1, 90), m=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_products_over_the_whole_series_are_the_sums(t, m, seed):
    x = np.random.default_rng(seed).normal(size=t)
    buffer, pad = padded(x, m)
    out = np.full(lags.padding(m), np.nan)
    lags.lag_products(buffer, pad, t, m, out)
    # Any order of summation: n eps times the sum of squares bounds the difference.
    np.testing.assert_allclose(out[: m + 1], brute(x, 0, t, m), atol=t * EPS * (x @ x), rtol=0)


@given(m=st.integers(1, 30), extra=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_core_and_edges_make_every_window(m, extra, seed):
    t = 2 * m + extra
    x = np.random.default_rng(seed).normal(size=t)
    buffer, pad = padded(x, m)
    core = np.empty(lags.padding(m))
    head, tail = np.empty((m + 1, m + 1)), np.empty((m + 1, m + 1))
    lags.lag_products(buffer, pad + m, t - 2 * m, m, core)
    lags.edge_products(buffer, pad + m - 1, -1, m, head)
    lags.edge_products(buffer, pad + t - m, 1, m, tail)
    for i in (0, 1, m // 2, m):
        want = brute(x, m - i, t - i, m)
        got = core[: m + 1] + head[i] + tail[m - i]
        np.testing.assert_allclose(got, want, atol=t * EPS * (x @ x), rtol=0)


def test_an_outlier_at_the_end_costs_no_digits_of_windows_without_it():
    t, m = 50, 4
    x = np.random.default_rng(0).normal(size=t)
    x[-1] = 1e12
    buffer, pad = padded(x, m)
    core, tail = np.empty(lags.padding(m)), np.empty((m + 1, m + 1))
    lags.lag_products(buffer, pad + m, t - 2 * m, m, core)
    lags.edge_products(buffer, pad + t - m, 1, m, tail)
    got = core[: m + 1] + tail[m - 1]
    np.testing.assert_allclose(got, brute(x, m, t - 1, m), rtol=1e-13)


def test_products_of_a_short_series_by_hand():
    buffer, pad = padded(np.array([1.0, 2.0, 4.0]), 3)
    out = np.empty(lags.padding(3))
    lags.lag_products(buffer, pad, 3, 3, out)
    assert out[:4].tolist() == [21.0, 10.0, 4.0, 0.0]


def test_running_sums_of_the_ends_by_hand():
    buffer, pad = padded(np.array([1.0, 2.0, 4.0]), 2)
    out = np.empty(3)
    lags.edge_sums(buffer, pad + 2, -1, 2, out)
    assert out.tolist() == [0.0, 4.0, 6.0]


@pytest.mark.parametrize("level", [0.0, 0.1, 1e12, -1e-9])
def test_a_constant_series_centres_to_nothing(level):
    y, x = np.full(97, level), np.empty(97)
    mean = lags.centre(y, 1, x)
    assert mean == pytest.approx(level, rel=1e-14)
    assert lags.is_constant(x @ x, mean, 97)


def test_a_large_level_leaves_no_mean_behind():
    y = 1e9 + np.random.default_rng(1).normal(size=1000)
    x = np.empty(1000)
    lags.centre(y, 1, x)
    assert abs(x.mean()) < 1e-15
    assert not lags.is_constant(x @ x, 1e9, 1000)


def test_without_constant_nothing_is_taken_off():
    y, x = np.arange(5.0), np.empty(5)
    assert lags.centre(y, 0, x) == 0.0
    assert x.tolist() == y.tolist()
