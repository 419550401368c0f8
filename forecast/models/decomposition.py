"""Seasonal-trend decomposition of every series of a ragged block, and how strong the season is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError
from forecast.kernels.stl import stl, strength
from forecast.models.panel import frozen
from forecast.models.threads import over_rows
from forecast.models.unit_roots import block, cut, observed
from forecast.types import F64, I64, Bool

# Seasonal span of the decomposition behind the strength: what R's forecast::mstl takes for one season.
SEASONAL_WINDOW = 11
PERIODIC = 10**9 + 1
"""A seasonal window that spans any series: the season is the same in every cycle."""
# A loess curve is fitted at every (window / JUMP_SHARE)-th point, with straight lines between.
JUMP_SHARE = 10
_PASSES = 2
# Passes of the inner loop inside each of the robustness passes, and how many of those (Cleveland et al. 3.2).
_ROBUST_PASSES = (1, 15)


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """values = trend + seasonal + remainder; NaN throughout a series that is not `ok`."""

    trend: F64
    """(N,) units of the series, also where it is missing."""
    seasonal: F64
    remainder: F64
    """(N,) NaN where missing."""
    weight: F64
    """(N,) robustness weight in [0, 1]; 0 where missing."""
    ok: Bool
    """(n,) False unless the series spans more than two seasons."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            frozen(getattr(self, name))


def decompose(
    values: F64,
    indptr: I64,
    season_length: int,
    seasonal_window: int = SEASONAL_WINDOW,
    robust: bool = False,
    jobs: int = 1,
) -> Decomposition:
    """Decompose by STL with the default windows and jumps of its authors; see `forecast.kernels.stl.stl`.

    Parameters
    ----------
    values, indptr
        Ragged block, NaN where missing: a missing point has no weight, and nothing is made up for it.
    season_length
        >= 2.
    seasonal_window
        Odd, >= 3: cycles over which the season may drift; `PERIODIC` for one that does not.
    robust
        Let outliers lose their weight.
    """
    if season_length < 2:
        raise InputError(f"season_length must be >= 2, got {season_length}")
    if seasonal_window < 3 or seasonal_window % 2 == 0:
        raise InputError(f"seasonal_window must be odd and >= 3, got {seasonal_window}")
    values, indptr = block(values, indptr)
    n = len(indptr) - 1
    trend, seasonal, weight = (np.empty(len(values)) for _ in range(3))
    ok = np.empty(n, dtype=np.bool_)
    window, jump, degree = stl_setting(season_length, seasonal_window)
    inner, outer = _ROBUST_PASSES if robust else (_PASSES, 0)

    def rows(a: int, b: int) -> None:
        stl(
            values,
            indptr,
            a,
            b,
            season_length,
            window,
            jump,
            degree,
            inner,
            outer,
            trend,
            seasonal,
            weight,
            ok,
        )

    over_rows(rows, n, jobs)
    return Decomposition(trend, seasonal, values - trend - seasonal, weight, ok)


def seasonal_strength(values: F64, indptr: I64, season_length: int, jobs: int = 1) -> F64:
    """Return max(0, min(1, 1 - Var(R) / Var(R + S))) of every series, (n,).

    R and S are remainder and seasonal part of an STL decomposition with seasonal window 11, local means for
    the season, local lines for trend and low-pass, two passes: R's ``forecast::mstl`` for one season.
    NaN where the series spans no more than two seasons, is constant, or `season_length` is 1.
    A missing point has no weight in the decomposition.
    Source: Wang, Smith and Hyndman (2006), *Data Mining and Knowledge Discovery* 13, 335-364.
    """
    if season_length < 1:
        raise InputError(f"season_length must be >= 1, got {season_length}")
    n = len(indptr) - 1
    out = np.full(n, np.nan)
    if season_length == 1 or n == 0:
        return out
    seen = observed(values, indptr)
    # What is missing at either end is no part of the series.
    values, indptr = cut(values, indptr[:-1] + seen.begin, seen.end - seen.begin)
    window, jump, degree = stl_setting(season_length)

    def rows(a: int, b: int) -> None:
        strength(values, indptr, a, b, season_length, window, jump, degree, _PASSES, out)

    over_rows(rows, n, jobs)
    out[seen.constant] = np.nan
    return out


def stl_setting(period: int, seasonal_window: int = SEASONAL_WINDOW) -> tuple[I64, I64, I64]:
    """Return the default windows, jumps and degrees, (3,) each: seasonal, trend, low-pass.

    The trend window is the smallest odd number of at least 1.5 period / (1 - 1.5 / seasonal window), the
    low-pass window that of at least the period (Cleveland et al. 1990, sec. 3.3-3.5).
    """
    trend = math.ceil(1.5 * period / (1.0 - 1.5 / seasonal_window))
    window = np.array([seasonal_window, trend + (trend + 1) % 2, period + (period + 1) % 2], dtype=np.int64)
    return window, -(-window // JUMP_SHARE), np.array([0, 1, 1], dtype=np.int64)
