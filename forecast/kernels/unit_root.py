"""What every unit-root kernel asks of a series first: where it is observed, and whether it moves at all."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64, Bool

# Mean distance from the first value, relative to the mean size, up to which a series is constant:
# the square root of the double-precision epsilon. Smaller, and the rounding of a differenced trend is
# taken for data.
CONSTANT_TOLERANCE = 1.5e-8

# Residuals of this many roundings of the level are no noise to divide by: the regression fits exactly.
EXACT_FIT = 8.0 * 2.220446049250313e-16


@kernel
def longest(indptr: I64, first: int, last: int) -> int:
    """Return the length of the longest of the series `first` to `last`."""
    width = 0
    for i in range(first, last):
        width = max(width, indptr[i + 1] - indptr[i])
    return width


@kernel
def scan(y: F64, n: int, run: I64) -> tuple[int, float, float]:
    """Write how many observed points in a row end at each time; return their count, sum and largest size."""
    count = 0
    total = 0.0
    size = 0.0
    for t in range(n):
        run[t] = 0
        if not np.isnan(y[t]):
            run[t] = (run[t - 1] if t > 0 else 0) + 1
            count += 1
            total += y[t]
            size = max(size, abs(y[t]))
    return count, total, size


@kernel
def complete_rows(run: I64, n: int, span: int, rows: I64) -> int:
    """List the times that end `span` observed points in a row (see `scan`); return how many there are."""
    found = 0
    for t in range(n):
        if run[t] >= span:
            rows[found] = t
            found += 1
    return found


@kernel
def observe(
    values: F64, indptr: I64, first: int, last: int, count: I64, begin: I64, end: I64, constant: Bool
) -> None:
    """Describe rows `first` to `last` of a ragged block.

    Parameters
    ----------
    values, indptr
        (N,) and (n + 1,): series `i` is ``values[indptr[i]:indptr[i + 1]]``, NaN where missing.
    count
        (n,) written: observed points.
    begin, end
        (n,) written: offsets in the series of the first observed point and of one past the last;
        0, 0 when nothing is observed.
    constant
        (n,) written: every observed point equals the first, to `CONSTANT_TOLERANCE`.
    """
    for i in range(first, last):
        y = values[indptr[i] : indptr[i + 1]]
        count[i] = 0
        begin[i] = 0
        end[i] = 0
        distance = 0.0
        size = 0.0
        for t in range(len(y)):
            if np.isnan(y[t]):
                continue
            if count[i] == 0:
                begin[i] = t
            count[i] += 1
            end[i] = t + 1
            if y[t] != y[begin[i]]:
                distance += abs(y[t] - y[begin[i]])
                size += abs(y[t])
        constant[i] = count[i] > 0 and np.isfinite(size) and distance <= CONSTANT_TOLERANCE * size


@kernel
def longest_run(values: F64, indptr: I64, first: int, last: int, begin: I64, end: I64) -> None:
    """Write where (n,) the first of the longest stretches without a gap begins, and one past its end."""
    for i in range(first, last):
        y = values[indptr[i] : indptr[i + 1]]
        begin[i] = 0
        end[i] = 0
        run = 0
        for t in range(len(y)):
            run = 0 if np.isnan(y[t]) else run + 1
            if run > end[i] - begin[i]:
                begin[i] = t + 1 - run
                end[i] = t + 1


@kernel
def difference(values: F64, indptr: I64, first: int, last: int, lag: int, out: F64) -> None:
    """Write y_t - y_{t-lag} where both are observed, NaN elsewhere; the first `lag` points become NaN.

    The shape stays that of `values`: kernels that take NaN for missing need no new `indptr`.
    """
    for i in range(first, last):
        start, stop = indptr[i], indptr[i + 1]
        for t in range(start, stop):
            out[t] = values[t] - values[t - lag] if t - start >= lag else np.nan


@kernel
def bartlett(e: F64, n: int, lag: int) -> float:
    r"""Return :math:`\sum_{j=1}^{l} (1 - j/(l+1)) \sum_t e_t e_{t-j}` (Newey and West 1987)."""
    acc = 0.0
    for j in range(1, min(lag, n - 1) + 1):
        product = 0.0
        for t in range(j, n):
            product += e[t] * e[t - j]
        acc += (1.0 - j / (lag + 1.0)) * product
    return acc


@kernel
def detrend(y: F64, observed: Bool, n: int, trend: int) -> float:
    """Take the mean (`trend` 1) or a line (2) out of the observed points in place; return the sum of squares.

    Missing points become 0: the series times the indicator of being observed (Parzen 1963).
    """
    seen = 0
    middle = 0.0
    for t in range(n):
        if observed[t]:
            seen += 1
            middle += t
    middle /= seen
    # Twice, so that the second pass works on small numbers: a mean of 1e9 costs no digits of the rest.
    for _ in range(2):
        mean = 0.0
        for t in range(n):
            if observed[t]:
                mean += y[t]
        mean /= seen
        slope = 0.0
        if trend == 2:
            moment = 0.0
            spread = 0.0
            for t in range(n):
                if observed[t]:
                    moment += (t - middle) * (y[t] - mean)
                    spread += (t - middle) ** 2
            slope = moment / spread if spread > 0.0 else 0.0
        for t in range(n):
            y[t] = y[t] - mean - slope * (t - middle) if observed[t] else 0.0
    square = 0.0
    for t in range(n):
        square += y[t] * y[t]
    return square
