"""The equations that records stand for, with their factors multiplied out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.models.dynamics import fixed, integers, moving_average, recursion
from forecast.models.initial_state import Equation
from forecast.models.records import Form, Records
from forecast.types import F64, I64


@dataclass(frozen=True, slots=True, eq=False)
class Recursions:
    """The equations of all records, written out."""

    a: F64
    """(n, max L)"""
    b: F64
    """(n, max q)"""
    lags: I64
    """(n,) p + d + s (P + D)."""
    sizes: I64
    """(n, 2) L = max(1, lags) and q + s Q: the parts of the state."""


def recursions(records: Records) -> Recursions:
    """Multiply the factors of every record out."""
    s = integers(records.season_length)
    a, lags = recursion(
        fixed(records.phi), integers(records.p), fixed(records.seasonal_phi), integers(records.P),
        integers(records.d), integers(records.D), s,
    )  # fmt: skip
    q, Q = integers(records.q), integers(records.Q)
    b, width = moving_average(fixed(records.theta), q, fixed(records.seasonal_theta), Q, s)
    return Recursions(a, b, lags, np.column_stack([np.maximum(lags, 1), width]))


def equation(records: Records, rec: Recursions, i: int) -> Equation:
    """Return the equation of record `i`, with its stationary and its differencing factor apart."""
    s, none = int(records.season_length[i]), np.zeros(0)
    ar = _product(records.phi[i, : records.p[i]], records.seasonal_phi[i, : records.P[i]], s)
    diff = np.ones(1)
    for stride, times in ((1, records.d[i]), (s, records.D[i])):
        for _ in range(times):
            diff = np.convolve(diff, np.concatenate([[1.0], np.zeros(stride - 1), [-1.0]]))
    L, q = rec.sizes[i]
    conditional = records.form[i] == Form.CONDITIONAL
    plain = not (records.slope[i] or records.seasonal[i].any() or records.beta[i].any())
    gain = 1.0 - ar.sum()
    settled = conditional and plain and len(diff) == 1 and q == 0 and gain > 0
    mean = float(records.const[i] / gain) if settled else 0.0
    a, b = np.ascontiguousarray(rec.a[i, :L]), np.ascontiguousarray(rec.b[i, :q])
    diffuse = bool(conditional and not settled)
    return Equation(ar, -diff[1:] if len(diff) > 1 else none, b, float(records.sigma2[i]), a, diffuse, mean)


def _product(phi: F64, seasonal: F64, s: int) -> F64:
    factor = np.zeros(1 + s * len(seasonal))
    factor[0] = 1.0
    factor[s::s] = -seasonal
    return -np.convolve(np.concatenate([[1.0], -phi]), factor)[1:]
