"""How reflection coefficients are stored: k = sin(code * scale), one scale a series.

The arcsine spends the codes where they matter, close to 1, where a small change of k moves a pole onto the
circle. As abs(code * scale) < pi / 2, abs(k) < 1 whatever the codes: a stored model cannot be unstable.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.quantize.polynomial import step_up
from forecast.types import F64

F32: TypeAlias = NDArray[np.float32]
I8: TypeAlias = NDArray[np.int8]
I16: TypeAlias = NDArray[np.int16]

LIMIT: Final = 1.0 - 1e-7
"""Largest abs(k) that is stored. Closer to 1, sin() in float32 on a device gives exactly 1."""

THETA_LIMIT: Final = float(np.arcsin(LIMIT))
"""Largest abs(code * scale), radians."""

MOST: Final = {4: 7, 8: 127, 16: 256 * 127 + 127}
"""Largest abs(code) by bits. A code of 16 bits is 256 * high + low with both in int8."""


def parcor(codes: NDArray[np.integer], scale: F32) -> F64:
    """Return the (n, p) reflection coefficients of (n, p) codes and (n,) scales.

    Codes of 16 bits times a float32 are exact in float64, however a graph brackets them.
    """
    return np.sin(codes.astype(np.float64) * scale.astype(np.float64)[:, None])


def decode(codes: NDArray[np.integer], scale: F32) -> F64:
    """Return the (n, p) lag coefficients of (n, p) codes and (n,) scales, as the graph computes them."""
    return step_up(parcor(codes, scale))


def split(codes: I16) -> tuple[I8, I8]:
    """Return high and low bytes of codes of 16 bits: code = 256 * high + low, low in -128..127."""
    high = (codes.astype(np.int32) + 128) >> 8
    low = codes.astype(np.int32) - 256 * high
    return high.astype(np.int8), low.astype(np.int8)


def bound(scale: F64, bits: int) -> F64:
    """Return the largest code that keeps abs(code * scale) within `THETA_LIMIT`, for each scale."""
    return np.minimum(MOST[bits], np.floor(THETA_LIMIT / scale))
