"""Fixed point: int32 data and coefficients, int64 sums that cannot overflow, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge.c99.bounds import limits, path_size
from edge.c99.equations import Equations, lag_weights
from edge.psi import psi_weights
from forecast.types import F64, I64

_MOST_COEFFICIENT_BITS = 30
# Fewer would round a coefficient by more than a thousandth of what quantised models are off by.
_LEAST_COEFFICIENT_BITS = 16
_MOST_DATA_BITS = 96
# A trend counts from the end of the training data, at most 2^24 steps away, with up to 24 further bits:
# products then stay below 2^62.
FAR_BITS = 24
_MOST_TREND_BITS, _LEAST_TREND_BITS = 24, 8
# Steps after the training data up to which the stated error holds.
_NEAR = 2.0**16
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class FixedPoint:
    """The tables of the fixed-point form; y is data / 2^data_bits."""

    a: I64
    """(n, L) times 2^coefficient_bits."""
    coefficient_bits: I64
    data_bits: I64
    """(n,) may be negative for large values."""
    mean: I64
    drive: I64
    slope: I64
    """(n,) a step, times 2^(data_bits + slope_bits)."""
    slope_bits: I64
    season: I64
    tolerance: float
    """Largest error of a mean, as a share of the limit."""


def fixed_point(eq: Equations) -> FixedPoint | str:
    """Quantise; a text says why a model has no fixed-point form."""
    why = _unfit(eq)
    if why:
        return why
    scale = eq.fleet.scale
    limit = limits(eq) * scale
    # Lags within the limit then saturate nothing: a hair below 31 bits hold the largest exact value.
    data_bits = np.minimum(np.floor(30.99 - np.log2(_size(eq, limit))), _MOST_DATA_BITS).astype(np.int64)
    if (data_bits < -_MOST_DATA_BITS).any():
        return "its values are too large"
    unit = np.ldexp(1.0, data_bits)
    slope = eq.fleet.slope * scale * unit
    slope_bits = np.minimum(np.floor(37.0 - np.log2(np.maximum(np.abs(slope), 1e-30))), _MOST_TREND_BITS)
    if (slope_bits < _LEAST_TREND_BITS).any():
        return "its trend is too steep"
    bits = _coefficient_bits(eq.a)
    if (bits < _LEAST_COEFFICIENT_BITS).any():
        return "its coefficients are too large"
    a = np.rint(eq.a * np.ldexp(1.0, bits)[:, None])
    out = FixedPoint(
        a.astype(np.int64), bits, data_bits,
        _whole(eq.mean * scale * unit),
        _whole((eq.drive + eq.fleet.slope * eq.fleet.nobs) * scale * unit),
        np.rint(np.ldexp(slope, slope_bits.astype(np.int64))).astype(np.int64), slope_bits.astype(np.int64),
        _whole(eq.season * (scale * unit)[:, None]), 0.0,
    )  # fmt: skip
    return replace(out, tolerance=_tolerance(eq, out, limit))


def _unfit(eq: Equations) -> str:
    if eq.fleet.log.any():
        return "logarithms need floating point"
    if eq.n_shocks:
        return "a moving average needs its state"
    if eq.n_regressors:
        return "regressors have units of their own"
    return ""


def _coefficient_bits(a: F64) -> I64:
    """(n,) bits behind the point: sum |a| < 2^31 after scaling, so that sums stay below 2^62."""
    size = np.maximum(np.abs(a).sum(axis=1), 1e-30)
    bits = np.floor(np.log2((_LARGEST - a.shape[1]) / size)).astype(np.int64)
    return np.asarray(np.minimum(bits, _MOST_COEFFICIENT_BITS), dtype=np.int64)


def _size(eq: Equations, limit: F64) -> F64:
    """(n,) what no exact value on the way exceeds, units of y."""
    weights, psi = lag_weights(eq.a, eq.horizon), psi_weights(eq.a, eq.b, eq.horizon)
    return path_size(eq, limit / eq.fleet.scale, np.abs(weights).sum(axis=2), np.abs(psi)) * eq.fleet.scale


def _whole(values: F64) -> I64:
    return np.clip(np.rint(values), -_LARGEST, _LARGEST).astype(np.int64)


def _tolerance(eq: Equations, made: FixedPoint, limit: F64) -> float:
    """Bound the error: exact lags within the limit, rounded to data, and every rounding on the way.

    With e_k = sum aq_i e_{k-i} + sum (aq_i - a_i) x_{k-i} + r_k, x exact, the lags' own rounding enters by
    the weights of the lags of aq and everything else by its psi weights.
    """
    aq = made.a / np.ldexp(1.0, made.coefficient_bits)[:, None]
    half = np.ldexp(0.5, -made.data_bits)
    weights = np.abs(lag_weights(aq, eq.horizon)).sum(axis=2).max(axis=1, initial=1.0)
    psi = np.abs(psi_weights(aq, eq.b, eq.horizon)).sum(axis=1)
    # A step rounds its sum, its constant, its season and its trend; a lag itself, its mean and its own m_t.
    trend = np.where(eq.fleet.slope != 0, _NEAR * np.ldexp(half, -made.slope_bits), 0.0)
    local = 4.0 * half + trend + np.abs(aq - eq.a).sum(axis=1) * _size(eq, limit)
    error = psi * local + (5.0 * half + trend) * (np.maximum(weights, 1.0) + 1.0)
    return float((error / limit).max())
