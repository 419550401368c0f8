"""State of series as records of 64-bit words, little-endian: many at once, to bytes and back.

A record is a header, the window (oldest first), the numbers of the model's state, those of the state that
stands behind, and regressors. All integers are signed.

====  =================================================================================================
word  content
====  =================================================================================================
0     format (16 bits), flags (16 bits; 1: a state, 2: one that stands behind), window length (32 bits)
1     words in all (32 bits), words of the state (32 bits)
2     words of the state that stands behind (32 bits), words of the regressors (32 bits)
3     tag of the model
4     time of the position, ms (on an int grid that int)
5     position on the grid of the record
6     position of the state that stands behind
7     offset of the tick
8     points filled since the last observed one
9     values observed
10    tag of the names of the regressors
====  =================================================================================================
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, U8
from pipelines.kernels.admission import BASE, IMPUTED, POSITION, SEEN, SOURCE, Series

FORMAT = 1
HEAD = 11
HAS_STATE, HAS_BASE = 1, 2
GOOD, CUT, FOREIGN, INCONSISTENT = range(4)
_LOW = 0xFFFFFFFF


class Parts(NamedTuple):
    """What k records hold beside the columns of `Series`."""

    ts_ms: I64
    """(k,)"""
    state: F64
    """States, one after the other."""
    state_ends: I64
    """(1 + k,) where they end."""
    base: F64
    base_ends: I64
    exog: F64
    """Regressors, likewise."""
    exog_ends: I64


class Tags(NamedTuple):
    """What is the same in all records of a model."""

    model: int
    exog: int


@exact_kernel
def sizes_of(width: int, parts: Parts, out: I64) -> int:
    """Write where each record ends to `out` (k,), in words; return the last of it."""
    at = 0
    for i in range(len(out)):
        at += HEAD + width
        at += parts.state_ends[i + 1] - parts.state_ends[i]
        at += parts.base_ends[i + 1] - parts.base_ends[i]
        at += parts.exog_ends[i + 1] - parts.exog_ends[i]
        out[i] = at
    return at


@exact_kernel
def _copy(out: F64, at: int, values: F64, first: int, last: int) -> int:
    for j in range(first, last):
        out[at] = values[j]
        at += 1
    return at


@exact_kernel
def write_records(
    series: Series, numbers: I64, parts: Parts, tags: Tags, ends: I64, words: I64, floats: F64
) -> None:
    """Write the records of series `numbers` (k,); `words` and `floats` are two views of the same bytes."""
    width, first = series.window.shape[1], 0
    for i in range(len(numbers)):
        s = numbers[i]
        n_state = parts.state_ends[i + 1] - parts.state_ends[i]
        n_base = parts.base_ends[i + 1] - parts.base_ends[i]
        n_exog = parts.exog_ends[i + 1] - parts.exog_ends[i]
        flags = (HAS_STATE if n_state > 0 else 0) | (HAS_BASE if n_base > 0 else 0)
        words[first] = FORMAT | (flags << 16) | (width << 32)
        words[first + 1] = (ends[i] - first) | (n_state << 32)
        words[first + 2] = n_base | (n_exog << 32)
        words[first + 3], words[first + 4] = tags.model, parts.ts_ms[i]
        words[first + 5], words[first + 6] = series.table[s, POSITION], series.table[s, BASE]
        words[first + 7], words[first + 8] = series.table[s, SOURCE], series.table[s, IMPUTED]
        words[first + 9], words[first + 10] = series.table[s, SEEN], tags.exog
        at = first + HEAD
        for k in range(series.table[s, POSITION] - width + 1, series.table[s, POSITION] + 1):
            floats[at] = series.window[s, k % width]
            at += 1
        at = _copy(floats, at, parts.state, parts.state_ends[i], parts.state_ends[i + 1])
        at = _copy(floats, at, parts.base, parts.base_ends[i], parts.base_ends[i + 1])
        _copy(floats, at, parts.exog, parts.exog_ends[i], parts.exog_ends[i + 1])
        first = ends[i]


@exact_kernel
def gather(data: U8, bounds: I64, out: U8) -> None:
    """Copy ``data[bounds[i, 0]:bounds[i, 1]]`` one behind the other."""
    at = 0
    for i in range(len(bounds)):
        for j in range(bounds[i, 0], bounds[i, 1]):
            out[at] = data[j]
            at += 1


@exact_kernel
def check_records(words: I64, ends: I64) -> tuple[int, int]:
    """Return the first of k records that cannot be read, and why; (k, `GOOD`) where there is none."""
    first = 0
    for i in range(len(ends)):
        size = ends[i] - first
        if size < HEAD:
            return i, CUT
        if words[first] & 0xFFFF != FORMAT:
            return i, FOREIGN
        if words[first + 1] & _LOW != size:
            return i, CUT
        flags, width = (words[first] >> 16) & 0xFFFF, words[first] >> 32
        n_state, n_base, n_exog = words[first + 1] >> 32, words[first + 2] & _LOW, words[first + 2] >> 32
        if width < 0 or n_state < 0 or n_exog < 0 or HEAD + width + n_state + n_base + n_exog != size:
            return i, INCONSISTENT
        if flags != (HAS_STATE if n_state > 0 else 0) | (HAS_BASE if n_base > 0 else 0):
            return i, INCONSISTENT
        if words[first + 7] < 0 or words[first + 8] < 0 or words[first + 9] < 0:
            return i, INCONSISTENT
        first = ends[i]
    return len(ends), GOOD


class Head(NamedTuple):
    """Headers of k records, in columns."""

    tag: I64
    ts_ms: I64
    position: I64
    base: I64
    source: I64
    imputed: I64
    seen: I64
    exog_tag: I64
    width: I64
    """Values in its window."""


@exact_kernel
def read_records(words: I64, floats: F64, ends: I64, head: Head, window: F64, parts: Parts) -> None:
    """Read k records that `check_records` found good.

    Parameters
    ----------
    head
        (k,) each, out.
    window
        (k, W) out, newest last; NaN where a record has fewer values.
    parts
        Out; as much room as there are words.
    """
    first, width = 0, window.shape[1]
    parts.state_ends[0] = parts.base_ends[0] = parts.exog_ends[0] = 0
    for i in range(len(ends)):
        head.tag[i], head.ts_ms[i] = words[first + 3], words[first + 4]
        head.position[i], head.base[i] = words[first + 5], words[first + 6]
        head.source[i], head.imputed[i] = words[first + 7], words[first + 8]
        head.seen[i], head.exog_tag[i] = words[first + 9], words[first + 10]
        have = words[first] >> 32
        head.width[i] = have
        n_state, n_base, n_exog = words[first + 1] >> 32, words[first + 2] & _LOW, words[first + 2] >> 32
        at = first + HEAD
        for j in range(width):
            k = have - width + j
            window[i, j] = floats[at + k] if k >= 0 else np.nan
        at += have
        end = _copy(parts.state, parts.state_ends[i], floats, at, at + n_state)
        parts.state_ends[i + 1] = end
        at += n_state
        parts.base_ends[i + 1] = _copy(parts.base, parts.base_ends[i], floats, at, at + n_base)
        at += n_base
        parts.exog_ends[i + 1] = _copy(parts.exog, parts.exog_ends[i], floats, at, at + n_exog)
        first = ends[i]
