"""Rows of a frame, sorted by series and time, each (id, time) once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DuplicateError
from forecast.kernels import runs
from forecast.models.clock import Clock, show
from forecast.models.columns import Runs
from forecast.models.freq import Freq
from forecast.types import F64, I64

Duplicates: TypeAlias = Literal["raise", "last", "mean"]
DUPLICATES = ("raise", "last", "mean")

# Keys that a message lists.
SHOWN_KEYS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Sorted rows on their way to a panel.

    Parameters
    ----------
    ids
        (n,) in order of first appearance.
    indptr
        (n + 1,) bounds of the series.
    times
        (N,) integer counts, increasing within a series.
    columns
        Target and regressors by name, (N,) each.
    unique
        True where no time is known to stand twice in a series; False: not looked at, or some do.
    """

    ids: NDArray[np.object_]
    indptr: I64
    times: I64
    columns: Mapping[str, F64]
    unique: bool = False


def sorted_rows(found: Runs, times: I64, columns: Mapping[str, F64]) -> Rows:
    """Bring rows into the order of series and time; rows that are so already are not copied. O(N)."""
    n = len(found.ids)
    counts = np.bincount(found.codes, weights=np.diff(found.starts), minlength=n)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    order, ordered = None, times
    if len(found.codes) > n:
        order = np.empty(len(times), np.int64)
        runs.group_rows(found.starts, found.codes, indptr[:-1].copy(), order)
        ordered = times[order]
    state = np.empty(n, np.uint8)
    runs.clock_order(ordered, indptr, state)
    if (state == runs.UNORDERED).any():
        order = np.arange(len(times), dtype=np.int64) if order is None else order
        runs.sort_series(ordered, indptr, state, order)
        ordered = times[order]
    if order is None:
        return Rows(found.ids, indptr, times, columns, bool((state == runs.INCREASING).all()))
    return Rows(found.ids, indptr, ordered, {name: values[order] for name, values in columns.items()})


def unique_rows(rows: Rows, policy: Duplicates, names: tuple[str, str], clock: Clock) -> Rows:
    """Apply the policy for rows with the same id and time.

    Raises
    ------
    DuplicateError
        There are such rows and the policy is "raise"; lists the first keys, their number and the policies.
    """
    if rows.unique:
        return rows
    state = np.empty(len(rows.ids), np.uint8)
    runs.clock_order(rows.times, rows.indptr, state)
    if not state.any():
        return rows
    again = np.zeros(len(rows.times), np.bool_)
    again[1:] = rows.times[1:] == rows.times[:-1]
    again[rows.indptr[:-1]] = False
    if policy == "raise":
        raise DuplicateError(_tell_duplicates(rows, np.flatnonzero(again), names, clock))
    first = np.append(np.flatnonzero(~again), len(again))
    before = np.concatenate([[0], np.cumsum(~again)]).astype(np.int64)
    columns = {}
    for name, values in rows.columns.items():
        columns[name] = values[first[1:] - 1]
        if policy == "mean":
            runs.mean_of_repeats(values, first, columns[name])
    return Rows(rows.ids, before[rows.indptr], rows.times[first[:-1]], columns)


def _tell_duplicates(rows: Rows, again: I64, names: tuple[str, str], clock: Clock) -> str:
    series = np.searchsorted(rows.indptr, again, side="right") - 1
    keys: dict[str, None] = {}
    plain = Freq("1") if clock.is_int else Freq("h")
    for row, s in zip(again[: 10 * SHOWN_KEYS], series, strict=False):
        time = show(int(clock.local(rows.times[row : row + 1])[0]) * clock.scale, plain)
        keys[f"({rows.ids[s]!r}, {time})"] = None
    return (
        f"{len(again)} rows repeat a ({names[0]}, {names[1]}) that is there already: "
        f"{', '.join(list(keys)[:SHOWN_KEYS])}; drop them, or pass duplicates='last' or 'mean'"
    )
