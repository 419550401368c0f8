"""Rounding by the curvature of the loss: the nearest-plane method, and moves of pairs after it.

Codes c are wanted with a small (S c - theta)' G (S c - theta), S the diagonal of the steps: a closest lattice
point. With G = R'R the last angle is rounded first and its error is handed to those not yet rounded,
which take up what they can. Source: Babai (1986), *Combinatorica* 6. Each scale is another lattice, so that
trying many of them is a search as well. Oracle: all codes of a box, ``tests/oracles/edge_quantize.py``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from forecast.types import F64

# Part of the mean curvature that is added to all: without it the factorisation of a curvature that float64
# cannot tell from a singular one fails. It weighs nothing against a rise that could be measured.
RIDGE: Final = 1e-12

# Moves of one or two codes at a time, up to this far each.
REACH: Final = 2

# Rounds of moves; two or three are made, the rest is for models of many lags.
ROUNDS: Final = 20


def upper(curvature: F64) -> F64:
    """Return (n, m, m) upper triangular R with R'R = `curvature`, which may be singular."""
    m = curvature.shape[1]
    ridge = RIDGE * np.trace(curvature, axis1=1, axis2=2) + np.finfo(np.float64).tiny
    return np.linalg.cholesky(curvature + ridge[:, None, None] * np.eye(m)).transpose(0, 2, 1)


def nearest_plane(root: F64, theta: F64, steps: F64, most: F64) -> tuple[F64, F64]:
    """Round to codes, the last angle first.

    Parameters
    ----------
    root
        (n, m, m) from `upper`.
    theta
        (n, m) angles.
    steps, most
        (n, T, m) scale, and largest abs(code), of each angle in each of T trials.

    Returns
    -------
    codes, loss
        (n, T, m) whole numbers, (n, T) what the curvature says of them.
    """
    n, trials, m = steps.shape
    left = np.repeat((root @ theta[:, :, None])[:, None, :, 0], trials, axis=1)
    codes, loss = np.empty((n, trials, m)), np.zeros((n, trials))
    for j in range(m - 1, -1, -1):
        pivot = root[:, j, j, None]
        step = steps[:, :, j]
        code = np.clip(np.rint(left[:, :, j] / (pivot * step)), -most[:, :, j], most[:, :, j])
        codes[:, :, j] = code
        moved = code * step
        loss += (left[:, :, j] - pivot * moved) ** 2
        left[:, :, :j] -= moved[:, :, None] * root[:, None, :j, j]
    return codes, loss


def both_ends(curvature: F64, theta: F64, steps: F64, most: F64) -> tuple[F64, F64]:
    """Return `nearest_plane` from the last angle, then from the first one: (n, 2 T, m), (n, 2 T)."""
    there = nearest_plane(upper(curvature), theta, steps, most)
    back = nearest_plane(upper(curvature[:, ::-1, ::-1]), theta[:, ::-1], steps[:, :, ::-1], most[:, :, ::-1])
    codes = np.concatenate([there[0], back[0][:, :, ::-1]], axis=1)
    return codes, np.concatenate([there[1], back[1]], axis=1)


def move_pairs(curvature: F64, theta: F64, codes: F64, steps: F64, most: F64) -> F64:
    """Improve codes (n, m) by moves of one or two of them at once, until none helps.

    `steps` and `most` are (n, m). O(n m^2) a round.
    """
    codes = codes.copy()
    scaled = curvature * steps[:, :, None] * steps[:, None, :]
    busy = np.arange(len(codes))
    for _ in range(ROUNDS):
        error = codes[busy] - theta[busy] / steps[busy]
        change = _best_move(scaled[busy], error, codes[busy], most[busy])
        moving = change.any(axis=1)
        codes[busy] += change
        busy = busy[moving]
        if not len(busy):
            break
    return codes


def _best_move(scaled: F64, error: F64, codes: F64, most: F64) -> F64:
    """Return (n, m) the move of one or two codes that lowers the loss most; zeros where none does."""
    n, m = error.shape
    rows, same = np.arange(n), np.arange(m)
    slope, bend = 2.0 * (scaled @ error[:, :, None])[:, :, 0], np.einsum("nii->ni", scaled)
    best = -1e-9 * np.einsum("ni,nij,nj->n", error, scaled, error)
    change = np.zeros((n, m))
    far = [k for k in range(-REACH, REACH + 1) if k]
    alone = {k: np.where(np.abs(codes + k) <= most, k * slope + k * k * bend, np.inf) for k in far}
    for first, one in alone.items():
        at = one.argmin(axis=1)
        better = one[rows, at] < best
        best = np.where(better, one[rows, at], best)
        change[better] = 0.0
        change[rows[better], at[better]] = first
        for second, other in alone.items():
            if abs(first) < abs(second):
                continue  # met with the two exchanged
            pair = one[:, :, None] + other[:, None, :] + 2 * first * second * scaled
            pair[:, same, same] = np.inf
            flat = pair.reshape(n, m * m)
            at = flat.argmin(axis=1)
            better = flat[rows, at] < best
            best = np.where(better, flat[rows, at], best)
            change[better] = 0.0
            change[rows[better], at[better] // m] = first
            change[rows[better], at[better] % m] = second
    return change
