"""Runs, order and counts of a long frame's rows, against plain Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels import runs


@given(words=st.lists(st.sampled_from(["", "a", "b", "ab", "ba", "é", "series_1", "series_2"]), min_size=1))
def test_string_changes_are_inequalities_of_neighbours(words):
    encoded = [word.encode() for word in words]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    data = np.frombuffer(b"".join(encoded) or b"\0", dtype=np.uint8)
    changed = np.empty(len(words), np.bool_)
    runs.string_changes(offsets, data, changed)
    assert changed.tolist() == [True, *(a != b for a, b in pairwise(words))]


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=40))
def test_grouping_and_sorting_is_a_stable_sort(rows):
    codes = {code: i for i, code in enumerate(dict.fromkeys(code for code, _ in rows))}
    series = np.array([codes[code] for code, _ in rows], dtype=np.int64)
    times = np.array([time for _, time in rows], dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(series))]).astype(np.int64)
    order = np.empty(len(rows), np.int64)
    runs.group_rows(np.arange(len(rows) + 1), series, indptr[:-1].copy(), order)
    state = np.empty(len(codes), np.uint8)
    runs.clock_order(times[order], indptr, state)
    runs.sort_series(times[order], indptr, state, order)
    assert order.tolist() == sorted(range(len(rows)), key=lambda i: (series[i], times[i]))


def test_census_counts_and_removes_infinities():
    values = np.array([1.0, np.nan, np.inf, -np.inf, 2.0])
    missing, infinite = np.empty(2, np.int64), np.empty(2, np.int64)
    runs.census(values, np.array([0, 3, 5]), missing, infinite)
    assert missing.tolist() == [1, 0]
    assert infinite.tolist() == [1, 1]
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan, np.nan, 2.0])


def test_mean_of_repeats_leaves_out_nan():
    out = np.empty(3)
    runs.mean_of_repeats(np.array([1.0, 3.0, np.nan, 5.0, np.nan]), np.array([0, 2, 4, 5]), out)
    np.testing.assert_array_equal(out, [2.0, 5.0, np.nan])


def test_place_puts_rows_at_their_slots():
    out = np.full(5, np.nan)
    runs.place(
        np.array([1.0, 2.0, 3.0, 4.0]),
        np.array([0, 2, 4]),
        np.array([0, 2]),
        np.array([-1, 0]),
        np.array([0, 2, 5]),
        out,
    )
    np.testing.assert_array_equal(out, [1.0, 2.0, 3.0, np.nan, 4.0])
