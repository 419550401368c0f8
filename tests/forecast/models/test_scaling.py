import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.scaling import rescale, survey, units


def panel(*series):
    indptr = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    ids = np.array([str(i) for i in range(len(series))], dtype=object)
    values = np.concatenate([np.asarray(s, dtype=float) for s in series])
    return Panel(values, indptr, ids, np.zeros(len(series), dtype=np.int64), Freq("1"))


def test_ordinary_series_are_not_touched():
    p = panel([1.0, 1e9], [np.nan, 1e-9], [np.nan], [0.0, 0.0], [])
    values, scale = rescale(p)
    assert values is p.values
    assert scale.tolist() == [1.0] * 5


@pytest.mark.parametrize("size", [1e300, 1.7e308, 1e-300, 5e-324, 1e61, 1e-61])
def test_extreme_series_get_a_power_of_two(size):
    p = panel([size, -size / 2, np.nan], [1.0, 2.0])
    values, scale = rescale(p)
    assert scale[1] == 1.0
    assert np.frexp(scale[0])[0] == 0.5  # a power of two
    assert 0.25 <= np.nanmax(np.abs(values[:3])) < 2.0
    np.testing.assert_array_equal(values[3:], [1.0, 2.0])
    assert values[0] * scale[0] == size


@given(st.floats(-250, 250), st.lists(st.integers(-999, 999), min_size=1, max_size=6))
def test_scaling_back_is_exact(power, shape):
    size = 10.0**power
    p = panel([size * s for s in shape])
    values, scale = rescale(p)
    np.testing.assert_array_equal(values * scale[0], p.values)


def test_the_largest_value_counts_wherever_the_series_ends():
    assert units(*survey(panel([1.0], [], [1e280, 1.0], []))[1:]).tolist()[:2] == [1.0, 1.0]
    assert units(*survey(panel([1.0], [], [1e280, 1.0], []))[1:])[2] > 1e279
