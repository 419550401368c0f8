"""Rows of a long frame into series: runs of equal ids, order, and the grid."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, U8, Bool

INCREASING = 0
REPEATS = 1
UNORDERED = 2

# Rows whose ids are compared in one go: long enough to vectorise; where one id ends, its whole block is
# looked at row by row. Other sizes were not measured.
SAME_ROWS = 16


@exact_kernel
def string_changes(offsets: I64, data: U8, changed: Bool) -> None:
    """Mark the rows whose string differs from the one before.

    Parameters
    ----------
    offsets
        (N + 1,) string `i` is ``data[offsets[i]:offsets[i + 1]]``.
    data
        Bytes.
    changed
        (N,) written; the first is True.

    Notes
    -----
    O(bytes), no allocation. Neighbours of one length lie `size` bytes apart; a loop without exit vectorises,
    and over `SAME_ROWS` rows at once it is long enough to be worth it.
    """
    n = changed.shape[0]
    i = 0
    while i < n:
        if i > 0 and i + SAME_ROWS <= n and _repeats(offsets, data, i, i + SAME_ROWS):
            changed[i : i + SAME_ROWS] = False
            i += SAME_ROWS
            continue
        for row in range(i, min(i + SAME_ROWS, n)):
            changed[row] = row == 0 or not _repeats(offsets, data, row, row + 1)
        i += SAME_ROWS


@exact_kernel
def _repeats(offsets: I64, data: U8, first: int, last: int) -> bool:
    """Say whether the strings `first` to `last` all equal the one before."""
    begin, end = offsets[first], offsets[last]
    size = begin - offsets[first - 1]
    heads, tails = offsets[first:last], offsets[first + 1 : last + 1]
    for i in range(len(heads)):
        if tails[i] - heads[i] != size:
            return False
    # Slices, because an index k - size would be checked for a sign at every byte.
    here, before = data[begin:end], data[begin - size : end - size]
    differ = np.uint8(0)
    for k in range(len(here)):
        differ |= here[k] ^ before[k]
    return bool(differ == 0)


@exact_kernel
def clock_order(times: I64, indptr: I64, state: U8) -> None:
    """Say of each series whether its times increase, repeat in order, or are out of order.

    Parameters
    ----------
    times
        (N,) ragged.
    indptr
        (n + 1,) bounds of the series.
    state
        (n,) written: INCREASING, REPEATS or UNORDERED.
    """
    for s in range(indptr.shape[0] - 1):
        state[s] = INCREASING
        for i in range(indptr[s] + 1, indptr[s + 1]):
            if times[i] < times[i - 1]:
                state[s] = UNORDERED
                break
            if times[i] == times[i - 1]:
                state[s] = REPEATS


@exact_kernel
def group_rows(run_starts: I64, run_codes: I64, free: I64, order: I64) -> None:
    """Write the row numbers that bring every series together, keeping the order of the input within it.

    Parameters
    ----------
    run_starts
        (r + 1,) run `k` is the rows ``run_starts[k]:run_starts[k + 1]``.
    run_codes
        (r,) series of each run, 0 .. n - 1.
    free
        (n,) first place of each series in `order`; used up.
    order
        (N,) written. A stable counting sort, O(N).
    """
    for k in range(run_codes.shape[0]):
        code = run_codes[k]
        for row in range(run_starts[k], run_starts[k + 1]):
            order[free[code]] = row
            free[code] += 1


@exact_kernel
def sort_series(times: I64, indptr: I64, state: U8, order: I64) -> None:
    """Sort `order` by time within the series that are UNORDERED, equal times in the order they had.

    Parameters
    ----------
    times
        (N,) in the order of `order`: ``times[i]`` belongs to row ``order[i]``.
    indptr
        (n + 1,) bounds of the series.
    state
        (n,) from `clock_order`.
    order
        (N,) row numbers, changed in place. The caller gathers the times anew.
    """
    for s in range(indptr.shape[0] - 1):
        if state[s] == UNORDERED:
            first, last = indptr[s], indptr[s + 1]
            ranks = np.argsort(times[first:last], kind="mergesort")
            order[first:last] = order[first:last][ranks]


@exact_kernel
def mean_of_repeats(values: F64, first: I64, out: F64) -> None:
    """Write the mean of the observed values of each block of rows, NaN where none is.

    Parameters
    ----------
    values
        (N,) rows; blocks are rows of one series at one time.
    first
        (m + 1,) bounds of the blocks.
    out
        (m,) written.
    """
    for k in range(out.shape[0]):
        total, seen = 0.0, 0
        for i in range(first[k], first[k + 1]):
            if not np.isnan(values[i]):
                total += values[i]
                seen += 1
        out[k] = total / seen if seen else np.nan


@exact_kernel
def place(values: F64, rows: I64, slots: I64, slot_at: I64, points: I64, out: F64) -> None:
    """Write ragged rows onto ragged grids; points without a row keep what `out` held.

    Parameters
    ----------
    values
        (N,) in order.
    rows
        (n + 1,) bounds of the series in `values`.
    slots
        Grid positions of the rows of the series with gaps, one such series after another.
    slot_at
        (n,) where the series begins in `slots`, or -1: its rows are its grid.
    points
        (n + 1,) bounds of the series in `out`.
    out
        (M,) written.
    """
    for s in range(slot_at.shape[0]):
        for i in range(rows[s + 1] - rows[s]):
            slot = i if slot_at[s] < 0 else slots[slot_at[s] + i]
            out[points[s] + slot] = values[rows[s] + i]


@exact_kernel
def census(values: F64, indptr: I64, missing: I64, infinite: I64) -> None:
    """Count NaN and infinite values by series, and turn the infinite ones into NaN.

    Parameters
    ----------
    values
        (N,) ragged, changed in place.
    indptr
        (n + 1,) bounds of the series.
    missing, infinite
        (n,) written.
    """
    for s in range(missing.shape[0]):
        gaps, wild = 0, 0
        for i in range(indptr[s], indptr[s + 1]):
            if np.isnan(values[i]):
                gaps += 1
            elif np.isinf(values[i]):
                wild += 1
                values[i] = np.nan
        missing[s] = gaps
        infinite[s] = wild
