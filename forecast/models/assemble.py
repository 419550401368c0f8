"""Putting records together: rows of several fits into one struct of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.models.records import ExogTerm, Records
from forecast.types import F64, I64

# Fields that hold one value for all series; everything else has a row a series.
_SHARED = ("freq", "exog")
_BY_POSITION = ("state_cov", "param_cov", "messages")
_NAMES = tuple(f.name for f in fields(Records) if f.name not in _SHARED)


def place(parts: Sequence[Records], rows: Sequence[I64], n: int) -> Records:
    """Merge records fitted on parts of a panel.

    Parameters
    ----------
    parts
        Records of disjoint groups of series; matrices may differ in width.
    rows
        For each part the positions of its series, together a permutation of ``range(n)``.
    n
        Number of series in all.
    """
    if sum(len(r) for r in rows) != n:
        raise InputError(f"the parts hold {sum(len(r) for r in rows)} series, needs {n}")
    if len(parts) == 1 and np.array_equal(rows[0], np.arange(n)):
        return parts[0]
    exog = _exog_union(parts)
    parts = [_with_exog(part, exog) for part in parts]
    columns: dict[str, Any] = {"freq": parts[0].freq, "exog": exog}
    for name in _NAMES:
        values = [getattr(part, name) for part in parts]
        columns[name] = _merge_maps(values, rows) if name in _BY_POSITION else _merge(values, rows, n)
    return Records(**columns)


def take(records: Records, rows: I64) -> Records:
    """Return the records of some series, in the given order."""
    columns: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(records, name)
        if name not in _BY_POSITION:
            columns[name] = value[rows]
        elif value:
            columns[name] = {i: value[int(row)] for i, row in enumerate(rows) if int(row) in value}
    return replace(records, **columns)


def part(records: Records, first: int, last: int) -> Records:
    """Return records `first` to `last`; their arrays are views."""
    columns: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(records, name)
        if name not in _BY_POSITION:
            columns[name] = value[first:last]
        elif value:
            columns[name] = {i - first: value[i] for i in range(first, last) if i in value}
    return replace(records, **columns)


def widen(matrix: F64, width: int) -> F64:
    """Return `matrix` (n, k) padded with zero columns to (n, width)."""
    out = np.zeros((matrix.shape[0], width))
    out[:, : matrix.shape[1]] = matrix
    return out


def _merge(values: Sequence[NDArray[Any]], rows: Sequence[I64], n: int) -> NDArray[Any]:
    widths = [max(sizes) for sizes in zip(*(v.shape[1:] for v in values), strict=True)]
    out = np.zeros((n, *widths), dtype=values[0].dtype)
    for value, where in zip(values, rows, strict=True):
        at: tuple[Any, ...] = (where, *(slice(k) for k in value.shape[1:]))
        out[at] = value
    return out


def _merge_maps(maps: Sequence[Mapping[int, Any]], rows: Sequence[I64]) -> dict[int, Any]:
    return {int(where[i]): v for m, where in zip(maps, rows, strict=True) for i, v in m.items()}


def _exog_union(parts: Sequence[Records]) -> tuple[ExogTerm, ...]:
    return tuple(dict.fromkeys(term for part in parts for term in part.exog))


def _with_exog(part: Records, exog: tuple[ExogTerm, ...]) -> Records:
    """Give `part` a column of `beta` for every term, and a slab of `exog_tail` for every name."""
    if part.exog == exog:
        return part
    n = part.n_series
    beta = np.zeros((n, len(exog)))
    for j, term in enumerate(part.exog):
        beta[:, exog.index(term)] = part.beta[:, j]
    names, old = lagged_names(exog), lagged_names(part.exog)
    tail = np.zeros((n, len(names), part.exog_tail.shape[2]))
    for j, name in enumerate(old):
        tail[:, names.index(name)] = part.exog_tail[:, j]
    return replace(part, exog=exog, beta=beta, exog_tail=tail)


def lagged_names(exog: Sequence[ExogTerm]) -> list[str]:
    """Names of the regressors that enter with a lag: the rows of `exog_tail`."""
    return list(dict.fromkeys(term.name for term in exog if term.lag > 0))
