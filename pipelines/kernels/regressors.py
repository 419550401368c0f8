"""Regressors of series by position: those of the past, and those known ahead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, Bool


class Kept(NamedTuple):
    """What is kept of each series; rows as in `admission.Series`, X regressors."""

    values: F64
    """(rows, W + A, X) those at position k in column k mod (W + A), NaN: not known; A points after `at`."""
    at: I64
    """Position that has them all, those that are needed."""
    needed: Bool
    """(rows, X)"""


@exact_kernel
def _clear(kept: Kept, s: int, at: int) -> None:
    kept.values[s, at % kept.values.shape[1], :] = np.nan


@exact_kernel
def can_move(kept: Kept, ahead: int, require: bool, s: int, at: int, given: F64) -> bool:
    """Tell whether all that is needed for a move to `at` is known.

    Parameters
    ----------
    require
        Only what was given for `at` itself counts.
    given
        (X,) with the tick.
    """
    columns, here = kept.values.shape[1], kept.at[s]
    for j in range(len(given)):
        if not kept.needed[s, j] or not np.isnan(given[j]):
            continue
        known = at <= here + ahead and not np.isnan(kept.values[s, at % columns, j])
        if not known and not require:
            for k in range(here, min(at, here + ahead + 1)):
                known = known or not np.isnan(kept.values[s, k % columns, j])
        if not known:
            return False
    return True


@exact_kernel
def keep(kept: Kept, s: int, at: int, given: F64) -> None:
    """Note regressors (X,) known ahead; `at` is at most A points ahead of the series."""
    for j in range(len(given)):
        if not np.isnan(given[j]):
            kept.values[s, at % kept.values.shape[1], j] = given[j]


@exact_kernel
def _value(kept: Kept, ahead: int, s: int, q: int, at: int, given: F64, j: int) -> float:
    """Regressor j at q on the way to `at`: its own, the last before it, or the first after it; 0 if none."""
    columns = kept.values.shape[1]
    if q == at and not np.isnan(given[j]):
        return float(given[j])
    for k in (q, q - 1):
        if not np.isnan(kept.values[s, k % columns, j]):
            return float(kept.values[s, k % columns, j])
    for k in range(q + 1, min(at, q + ahead) + 1):
        if k != at and not np.isnan(kept.values[s, k % columns, j]):
            return float(kept.values[s, k % columns, j])
    if not np.isnan(given[j]):
        return float(given[j])
    known = at <= q + ahead and not np.isnan(kept.values[s, at % columns, j])
    return float(kept.values[s, at % columns, j]) if known else 0.0


@exact_kernel
def _jump(kept: Kept, s: int, at: int) -> None:
    """Forget all but the last values, so that they are those of the point before `at`."""
    columns = kept.values.shape[1]
    last = kept.values[s, kept.at[s] % columns].copy()
    kept.values[s, :, :] = np.nan
    kept.values[s, (at - 1) % columns] = last
    kept.at[s] = at - 1


@exact_kernel
def _look_ahead(kept: Kept, ahead: int, require: bool, s: int, out: F64) -> bool:
    """Write regressors of the next points (h, X), the last known if one is not; False if that may not be."""
    at, columns, good = kept.at[s], kept.values.shape[1], True
    for j in range(out.shape[1]):
        last = kept.values[s, at % columns, j]
        for k in range(out.shape[0]):
            found = kept.values[s, (at + k + 1) % columns, j] if k < ahead else np.nan
            if not np.isnan(found):
                last = found
            elif require and kept.needed[s, j]:
                good = False
            out[k, j] = last
    return good


class Drives(NamedTuple):
    """Regressors of m ticks."""

    now: F64
    """(m, X)"""
    future: F64
    """(m, h, X)"""
    known: Bool
    """(m,) False where one of the future is required and not known."""
    gaps: F64
    """(sum of missing, X) of the imputed points before the ticks, one tick after the other."""


@exact_kernel
def drive(
    kept: Kept, ahead: int, require: bool, series: I64, positions: I64, missing: I64, given: F64, out: Drives
) -> None:
    """Move what is kept to the positions of ticks (m,), in order, and write the regressors on the way.

    Parameters
    ----------
    given
        (m, X) with the ticks, NaN where not.
    """
    columns, gap = kept.values.shape[1], 0
    for i in range(len(series)):
        s, at = series[i], positions[i]
        if at - kept.at[s] > columns and missing[i] == 0:
            _jump(kept, s, at)
        for q in range(kept.at[s] + 1, at + 1):
            _clear(kept, s, q + ahead)
            for j in range(given.shape[1]):
                kept.values[s, q % columns, j] = _value(kept, ahead, s, q, at, given[i], j)
            if at - missing[i] <= q < at:
                out.gaps[gap] = kept.values[s, q % columns]
                gap += 1
        kept.at[s] = at
        out.now[i] = kept.values[s, at % columns]
        out.known[i] = _look_ahead(kept, ahead, require, s, out.future[i])
