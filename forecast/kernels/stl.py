"""STL: seasonal, trend and remainder by loess."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.loess import local_fit, loess
from forecast.kernels.unit_root import longest
from forecast.types import F64, I64, Bool

# Share of the size of a series below which what is left around its trend is rounding, without seasonality.
ROUNDING = 1e-12
# Shares of six median absolute remainders within which a point counts fully, and beyond which not at all.
NEAR_SHARE = 0.001
FAR_SHARE = 0.999


@kernel
def _moving_average(x: F64, n: int, width: int, out: F64) -> int:
    """Write the running means of `width` points; return how many there are."""
    total = 0.0
    for j in range(width):
        total += x[j]
    out[0] = total / width
    for j in range(1, n - width + 1):
        total += x[j + width - 1] - x[j - 1]
        out[j] = total / width
    return n - width + 1


@kernel
def _smooth_subseries(
    y: F64, n: int, period: int, window: int, degree: int, jump: int, user: F64, weighted: bool, work: F64
) -> None:
    """Smooth every cycle-subseries, one cycle beyond both ends: ``work[0, :n + 2 period]``."""
    cycle, smooth, own, w = work[1], work[2], work[3], work[4]
    for j in range(period):
        k = (n - j - 1) // period + 1
        for i in range(k):
            cycle[i] = y[i * period + j]
            if weighted:
                own[i] = user[i * period + j]
        loess(cycle, k, window, degree, jump, own, weighted, w, smooth)
        near = min(window, k) - 1
        far = max(k - window, 0)
        before = local_fit(cycle, k, window, degree, -1, 0, near, own, weighted, w, smooth[0])
        after = local_fit(cycle, k, window, degree, k, far, k - 1, own, weighted, w, smooth[k - 1])
        work[0, j] = before
        for i in range(k):
            work[0, (i + 1) * period + j] = smooth[i]
        work[0, (k + 1) * period + j] = after


@kernel
def _inner_loop(
    y: F64,
    n: int,
    period: int,
    window: I64,
    jump: I64,
    degree: I64,
    inner: int,
    user: F64,
    weighted: bool,
    trend: F64,
    seasonal: F64,
    work: F64,
) -> None:
    """Update `trend` and `seasonal` in place `inner` times."""
    rest = work[5]
    for _ in range(inner):
        for t in range(n):
            rest[t] = y[t] - trend[t]
        _smooth_subseries(rest, n, period, window[0], degree[0], jump[0], user, weighted, work)
        m = _moving_average(work[0], n + 2 * period, period, work[1])
        m = _moving_average(work[1], m, period, work[2])
        _moving_average(work[2], m, 3, work[1])
        loess(work[1], n, window[2], degree[2], jump[2], user, False, work[4], work[3])
        for t in range(n):
            seasonal[t] = work[0, period + t] - work[3, t]
            rest[t] = y[t] - seasonal[t]
        loess(rest, n, window[1], degree[1], jump[1], user, weighted, work[4], trend)


@kernel
def _bisquare(y: F64, observed: F64, n: int, trend: F64, seasonal: F64, user: F64) -> None:
    """Write robustness weights from the remainder; 0 where missing."""
    size = np.empty(n)
    seen = 0
    for t in range(n):
        if observed[t] > 0.0:
            size[seen] = abs(y[t] - trend[t] - seasonal[t])
            seen += 1
    ordered = np.sort(size[:seen])
    scale = 3.0 * (ordered[seen // 2] + ordered[seen - seen // 2 - 1])
    for t in range(n):
        r = abs(y[t] - trend[t] - seasonal[t])
        if scale == 0.0 or r <= NEAR_SHARE * scale:
            user[t] = observed[t]
        elif r <= FAR_SHARE * scale:
            user[t] = observed[t] * (1.0 - (r / scale) ** 2) ** 2
        else:
            user[t] = 0.0


@kernel
def _load(y: F64, n: int, filled: F64, observed: F64) -> int:
    """Copy a series with straight lines over its gaps, and mark what is observed; return how much is."""
    seen = 0
    previous = -1
    for t in range(n):
        observed[t] = 0.0 if np.isnan(y[t]) else 1.0
        if np.isnan(y[t]):
            continue
        seen += 1
        filled[t] = y[t]
        for j in range(previous + 1, t):
            share = (j - previous) / (t - previous)
            filled[j] = y[t] if previous < 0 else y[previous] + share * (y[t] - y[previous])
        previous = t
    for j in range(previous + 1, n):
        filled[j] = filled[previous] if previous >= 0 else np.nan
    return seen


@kernel
def decompose(
    y: F64,
    period: int,
    window: I64,
    jump: I64,
    degree: I64,
    inner: int,
    outer: int,
    trend: F64,
    seasonal: F64,
    weight: F64,
    work: F64,
) -> None:
    """Decompose one series; `weight` ends as the last weights, `work` is (8, t + 2 period) scratch."""
    n = len(y)
    filled, observed = work[6], work[7]
    seen = _load(y, n, filled, observed)
    weighted = seen < n
    for t in range(n):
        trend[t] = 0.0
        seasonal[t] = 0.0
        weight[t] = observed[t]
    for k in range(outer + 1):
        _inner_loop(filled, n, period, window, jump, degree, inner, weight, weighted, trend, seasonal, work)
        if k < outer:
            _bisquare(filled, observed, n, trend, seasonal, weight)
            weighted = True


@kernel
def stl(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    period: int,
    window: I64,
    jump: I64,
    degree: I64,
    inner: int,
    outer: int,
    trend: F64,
    seasonal: F64,
    weight: F64,
    ok: Bool,
) -> None:
    r"""Write y = trend + seasonal + remainder for series `first` to `last`.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing. A missing point has weight 0 in every local fit: trend and seasonal
        pass through it, and no value is made up for it. (Only where a whole window is missing does the
        straight line between its neighbours stand in.)
    period
        Points in a cycle, >= 2.
    window, jump, degree
        (3,) each: seasonal, trend, low-pass. Odd windows, jumps >= 1, degrees 0 or 1.
    inner, outer
        Passes of the inner loop, and robustness passes (0: none).
    trend, seasonal, weight
        (N,) written, units of `values`; `weight` is the robustness weight, 0 where missing.
    ok
        (n,) written: False, with NaN, unless the series spans more than two periods and is observed at all.

    Notes
    -----
    O(t (windows / jumps)). Source: Cleveland, Cleveland, McRae and Terpenning (1990), *J. Official
    Statistics* 6, 3-73. The oracle is ``tests/oracles/stl.py::stl``.
    """
    work = np.empty((8, longest(indptr, first, last) + 2 * period))
    for i in range(first, last):
        a, b = indptr[i], indptr[i + 1]
        ok[i] = b - a > 2 * period and not np.isnan(values[a:b]).all()
        if ok[i]:
            decompose(
                values[a:b],
                period,
                window,
                jump,
                degree,
                inner,
                outer,
                trend[a:b],
                seasonal[a:b],
                weight[a:b],
                work,
            )
        else:
            trend[a:b] = np.nan
            seasonal[a:b] = np.nan
            weight[a:b] = np.nan


@kernel
def _variance(a: F64, n: int, keep: F64) -> float:
    """Return the mean square about the mean of the kept points."""
    count = 0.0
    mean = 0.0
    for t in range(n):
        count += keep[t]
        mean += keep[t] * a[t]
    mean /= count
    acc = 0.0
    for t in range(n):
        acc += keep[t] * (a[t] - mean) ** 2
    return acc / count


@kernel
def strength(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    period: int,
    window: I64,
    jump: I64,
    degree: I64,
    inner: int,
    out: F64,
) -> None:
    r"""Write the seasonal strength max(0, min(1, 1 - Var(R) / Var(R + S))) of series `first` to `last`.

    Arguments are those of `stl`; variances run over the observed points. NaN where the series spans no more
    than two periods, or has fewer observed points than two periods; 0 where nothing but
    rounding is left around the trend.
    Source: Wang, Smith and Hyndman (2006), *Data Mining and Knowledge Discovery* 13, 335-364.
    """
    work = np.empty((8, longest(indptr, first, last) + 2 * period))
    width = work.shape[1]
    trend, seasonal, weight = np.empty(width), np.empty(width), np.empty(width)
    for i in range(first, last):
        y = values[indptr[i] : indptr[i + 1]]
        n = len(y)
        out[i] = np.nan
        seen = 0
        size = 0.0
        for t in range(n):
            if not np.isnan(y[t]):
                seen += 1
                size = max(size, abs(y[t]))
        if n <= 2 * period or seen < 2 * period:
            continue
        decompose(y, period, window, jump, degree, inner, 0, trend, seasonal, weight, work)
        filled, observed = work[6], work[7]
        for t in range(n):
            weight[t] = filled[t] - trend[t]
            trend[t] = weight[t] - seasonal[t]
        around = _variance(weight, n, observed)
        remainder = _variance(trend, n, observed)
        if around <= (ROUNDING * size) ** 2:
            out[i] = 0.0
        elif not np.isnan(around):
            out[i] = max(0.0, min(1.0, 1.0 - remainder / around))
