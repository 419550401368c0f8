"""Random walks, plain, seasonal or with drift: the baselines."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, I64


@kernel
def fit_walk(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    season: int,
    drift: bool,
    levels: F64,
    age: F64,
    slope: F64,
    sigma2: F64,
    used: I64,
) -> None:
    r"""Fit y_t = y_{t-s} + s b + e_t to rows first..last of a ragged panel, gaps included.

    A point k seasons after the last observed one of its season has variance k sigma2, so

    .. math:: \hat\sigma^2 = \frac1{n'} \sum (y_t - y_{t-ks} - k b)^2 / k

    with n' the number of such steps, less one when the drift b is estimated (from the first and the
    last observed point, as in Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.2).

    Parameters
    ----------
    season
        s; drift needs s = 1.
    levels
        (n, s) out, newest first: last observed value of each season (less b t with drift); NaN where none.
    age
        (n, s) out: how many seasons ago that was; 0 when it is the last one.
    slope, sigma2
        (n,) out: b per step and the variance; NaN when there is no step to learn from.
    used
        (n,) out: number of steps.
    """
    for i in range(first, last):
        lo, hi = indptr[i], indptr[i + 1]
        b = 0.0
        if drift:
            b = _slope(values, lo, hi)
        slope[i] = b
        total, count = 0.0, 0
        for j in range(season):  # j seasons before the end: phase hi - 1 - j
            levels[i, j] = np.nan
            age[i, j] = 0.0
            before = -1
            t = lo + (hi - 1 - j - lo) % season if hi - 1 - j >= lo else hi
            while t < hi:
                if not np.isnan(values[t]):
                    if before >= 0:
                        k = (t - before) // season
                        step = values[t] - values[before] - k * season * b
                        total += step * step / k
                        count += 1
                    before = t
                t += season
            if before >= 0:
                levels[i, j] = values[before] - b * (before - lo + 1)
                age[i, j] = (hi - 1 - j - before) // season
        free = count - 1 if drift else count
        used[i] = count
        sigma2[i] = total / free if free > 0 else np.nan


@kernel
def _slope(values: F64, lo: int, hi: int) -> float:
    a, b = lo, hi - 1
    while a < hi and np.isnan(values[a]):
        a += 1
    while b > a and np.isnan(values[b]):
        b -= 1
    return (values[b] - values[a]) / (b - a) if b > a else 0.0
