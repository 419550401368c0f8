"""Rounding in a shorter basis of the same lattice.

The nearest plane is as good as the basis is close to orthogonal. Where all angles have one scale, sums of
whole multiples of columns span the same lattice at every scale: they are made short once, and every scale is
rounded in them. Found codes may leave the box, which the nearest plane in the angles' own basis does not.
Source: Lenstra, Lenstra and Lovasz (1982), *Mathematische Annalen* 261.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.quantize.plane import upper
from forecast.types import F64, Bool

# Part of a column's square that an exchange has to gain. 1 may not end, 0.75 gives longer columns.
DELTA: Final = 0.99

# Sweeps over all neighbours; 25 lags need 10 to 60. Ending early leaves a valid basis, only a longer one.
SWEEPS: Final = 100


def reduce_columns(root: F64, theta: F64) -> tuple[F64, F64, F64]:
    """Shorten the columns of n bases at once.

    Parameters
    ----------
    root
        (n, m, m) upper triangular.
    theta
        (n, m)

    Returns
    -------
    reduced, target, whole
        (n, m, m) upper triangular Q' root U, (n, m) Q' root theta, and (n, m, m) U: whole numbers, of
        determinant 1 or -1.
    """
    n, m, _ = root.shape
    basis = np.concatenate([root, root @ theta[:, :, None]], axis=2)
    whole = np.tile(np.eye(m), (n, 1, 1))
    for _ in range(SWEEPS):
        moved = np.zeros(n, dtype=np.bool_)
        for k in range(1, m):
            _subtract(basis, whole, k - 1, k)
            moved |= _exchange(basis, whole, k)
        for k in range(2, m):
            for j in range(k - 1, -1, -1):
                _subtract(basis, whole, j, k)
        if not moved.any():
            break
    return basis[:, :, :m], basis[:, :, m], whole


def nearest_plane_reduced(curvature: F64, theta: F64, steps: F64, most: F64) -> tuple[F64, F64]:
    """Round to codes as `plane.nearest_plane` does, in the reduced basis.

    `steps` and `most` are (n, T) here, one scale for all angles. The loss is infinite where a code leaves
    the box.
    """
    root, target, whole = reduce_columns(upper(curvature), theta)
    m = theta.shape[1]
    left = np.repeat(target[:, None], steps.shape[1], axis=1) / steps[:, :, None]
    place, loss = np.empty(left.shape), np.zeros(steps.shape)
    for j in range(m - 1, -1, -1):
        pivot = root[:, j, j, None]
        place[:, :, j] = np.rint(left[:, :, j] / pivot)
        loss += (left[:, :, j] - pivot * place[:, :, j]) ** 2
        left[:, :, :j] -= place[:, :, j, None] * root[:, None, :j, j]
    codes = place @ whole.transpose(0, 2, 1)
    outside = (np.abs(codes) - most[:, :, None]).max(axis=2) > 0.0
    return np.where(outside[:, :, None], 0.0, codes), np.where(outside, np.inf, loss * steps**2)


def _subtract(basis: F64, whole: F64, j: int, k: int) -> None:
    """Take the nearest multiple of column j from column k."""
    times = np.rint(basis[:, j, k] / basis[:, j, j])[:, None]
    basis[:, : j + 1, k] -= times * basis[:, : j + 1, j]
    whole[:, :, k] -= times * whole[:, :, j]


def _exchange(basis: F64, whole: F64, k: int) -> Bool:
    """Exchange columns k - 1 and k where that shortens the first, and make the basis triangular again."""
    before, after = basis[:, k - 1, k - 1], np.hypot(basis[:, k - 1, k], basis[:, k, k])
    gains: Bool = np.greater(DELTA * before**2, after**2)
    rows = np.flatnonzero(gains)
    if len(rows):
        pair, swapped = [k - 1, k], [k, k - 1]
        some, done = basis[rows], whole[rows]
        some[:, :, pair], done[:, :, pair] = some[:, :, swapped], done[:, :, swapped]
        size = np.hypot(some[:, k - 1, k - 1], some[:, k, k - 1])[:, None]
        cos, sin = some[:, k - 1, k - 1, None] / size, some[:, k, k - 1, None] / size
        top, low = some[:, k - 1, k - 1 :].copy(), some[:, k, k - 1 :].copy()
        some[:, k - 1, k - 1 :], some[:, k, k - 1 :] = cos * top + sin * low, cos * low - sin * top
        some[:, k, k - 1] = 0.0
        basis[rows], whole[rows] = some, done
    return gains
