"""Poles and margins of lag polynomials, twice: by eigenvalues and by the step-down.

Written apart from the exporter's own gate, so that an error there is not repeated here.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

F64: TypeAlias = NDArray[np.float64]

# Companion matrices in memory at once, elements.
_BLOCK: Final = 4_000_000


def largest_pole(phi: F64) -> F64:
    """Return (n,) the largest modulus of the roots of z^p - phi_1 z^(p-1) - ..., NaN where not finite."""
    n, p = phi.shape
    out = np.zeros(n)
    if p == 0:
        return out
    rows = max(1, _BLOCK // (p * p))
    for first in range(0, n, rows):
        some = phi[first : first + rows]
        companion = np.zeros((len(some), p, p))
        companion[:, 0] = np.nan_to_num(some, nan=0.0, posinf=0.0, neginf=0.0)
        companion[:, np.arange(1, p), np.arange(p - 1)] = 1.0
        modulus = np.abs(np.linalg.eigvals(companion)).max(axis=1)
        out[first : first + rows] = np.where(np.isfinite(some).all(axis=1), modulus, np.nan)
    return out


def margin(phi: F64) -> F64:
    """Return (n,) min(1 - abs(k)): positive exactly where all poles are inside, NaN where not finite."""
    a = np.array(phi, dtype=np.float64)
    out = np.ones(len(a))
    alive = np.isfinite(a).all(axis=1)
    out[~alive], a[~alive] = np.nan, 0.0
    for m in range(a.shape[1], 0, -1):
        k = np.where(alive, a[:, m - 1], 0.0)
        out = np.where(alive, np.minimum(out, 1.0 - np.abs(k)), out)
        alive = alive & (np.abs(k) < 1.0)
        k = np.where(alive, k, 0.0)[:, None]
        head = a[:, : m - 1]
        a[:, : m - 1] = (head + k * head[:, ::-1]) / ((1.0 - k) * (1.0 + k))
    return out
