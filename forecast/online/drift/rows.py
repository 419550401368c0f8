"""Rows of a bank, and what a caller hands over for them, checked."""

from __future__ import annotations

import operator
from typing import SupportsIndex, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import InputError
from forecast.types import F64, I64

Bytes: TypeAlias = bytes | bytearray | memoryview
"""What a dump may come in."""

T = TypeVar("T", bound=np.generic)

# Share of rows that are kept ready beyond those asked for.
_GROWTH = 0.25


def count_of(n: SupportsIndex) -> int:
    """Return a number of rows, checked."""
    try:
        rows = -1 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        rows = -1
    if rows < 0:
        raise InputError(f"n must be a number of rows, 0 or more, got {n!r}")
    return rows


def row_numbers(rows: ArrayLike, n: int) -> I64:
    """Return row numbers in the one kind of array that kernels take, all of them 0..n-1."""
    given: NDArray[np.generic] = np.asarray(rows)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise InputError(f"rows must be a list of whole numbers, got {given.dtype} of shape {given.shape}")
    # A number beyond int64 comes out negative.
    at = np.require(given.astype(np.int64, copy=False), np.int64, ["C", "A", "W"])
    if len(at) and (at.min() < 0 or at.max() >= n):
        bad = int(((at < 0) | (at >= n)).argmax())
        raise InputError(f"row {given[bad]} is not one of the {n} rows of the bank; grow it first")
    return at


def floats(name: str, values: ArrayLike) -> F64:
    """Return numbers in the one kind of array that kernels take."""
    try:
        return np.require(values, np.float64, ["C", "A", "W"])
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} must be numbers, got {values!r:.80}") from None


def grown(table: NDArray[T], used: int, n: int) -> NDArray[T]:
    """Return a table with room for n rows, the first `used` as they are, new ones zero.

    Raises
    ------
    InputError
        `n` is less than `used`.
    """
    if count_of(n) < used:
        raise InputError(f"the bank has {used} rows and cannot shrink to {n}; say how many in all")
    if n <= len(table):
        return table
    wider = np.zeros((max(n, int(len(table) * (1 + _GROWTH))), table.shape[1]), table.dtype)
    wider[:used] = table[:used]
    return wider
