"""Regressors of series as strips: (k, W + A, X), of the last W points and the A after them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.types import F64, I64
from pipelines.kernels.regressors import Kept


def strips_of(kept: Kept, numbers: I64, ahead: int) -> F64:
    """Return the strips of series; `ahead` is A."""
    points = kept.values.shape[1]
    first = kept.at[numbers] - (points - ahead) + 1
    return np.asarray(kept.values[numbers[:, None], (first[:, None] + np.arange(points)) % points])


def put_strips(kept: Kept, numbers: I64, ahead: int, at: I64, strips: F64) -> None:
    """Put strips that end at positions `at` into what is kept of series."""
    points = kept.values.shape[1]
    first = at - (points - ahead) + 1
    kept.values[numbers[:, None], (first[:, None] + np.arange(points)) % points] = strips
    kept.at[numbers] = at


def fit_strips(strips: F64, ahead: int, to_past: int, to_ahead: int) -> F64:
    """Return strips with another number of points, NaN where they had none."""
    past = strips.shape[1] - ahead
    out = np.full((len(strips), to_past + to_ahead, strips.shape[2]), np.nan)
    back, on = min(past, to_past), min(ahead, to_ahead)
    out[:, to_past - back : to_past + on] = strips[:, past - back : past + on]
    return out


def rename_strips(strips: F64, names: Sequence[str], to: Sequence[str]) -> F64:
    """Return strips with other regressors, NaN where there were none of that name."""
    out = np.full((*strips.shape[:2], len(to)), np.nan)
    for j, name in enumerate(to):
        if name in names:
            out[:, :, j] = strips[:, :, names.index(name)]
    return out


def filled(strips: F64, past: int, last: F64) -> F64:
    """Return (k, past, X): where not known the last before, from `last` (k, X) on; else the first, or 0."""
    known = np.concatenate([last[:, None], strips[:, :past]], axis=1)
    points = np.arange(known.shape[1])[None, :, None]
    here = ~np.isnan(known)
    before = np.maximum.accumulate(np.where(here, points, -1), axis=1)
    whole = np.concatenate([known, strips[:, past:]], axis=1)
    first = np.argmax(~np.isnan(whole), axis=1)[:, None]
    at = np.where(before >= 0, before, first)
    out = np.take_along_axis(whole, np.broadcast_to(at, known.shape), axis=1)[:, 1:]
    return np.where(np.isnan(out), 0.0, out)
