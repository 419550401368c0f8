"""Forecast messages of many ticks at once: columns in, JSON out, in the bytes of `pipelines.wire`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, U8
from pipelines.kernels.decimal import LONGEST, TOO_HARD, put_float, put_int


class Texts(NamedTuple):
    """What messages are made of beside numbers, in UTF-8 as JSON."""

    ids: U8
    """Ids of all series in quotes, one after the other."""
    id_ends: I64
    """(slots + 1,) where they end."""
    model: U8
    """From behind the time to before the step: ``,"model":...,"version":...,"dt_ms":``."""
    levels: U8
    """From behind the mean to before the first bound: ``],"level":[...],"lo":[``."""
    source: U8
    """From behind the count of imputed points to before the offset."""


class Rows(NamedTuple):
    """Forecasts of n ticks."""

    slots: I64
    """(n,) of the series."""
    ts_ms: I64
    dt_ms: I64
    mean: F64
    """(n, H)"""
    lo: F64
    """(L, n, H)"""
    hi: F64
    z: F64
    """(n,) NaN where the tick was imputed."""
    imputed: I64
    offsets: I64
    """(n,) of the ticks."""


_HEAD = np.frombuffer(b'{"series_id":', dtype=np.uint8).copy()
_TIME = np.frombuffer(b',"ts_ms":', dtype=np.uint8).copy()
_MEAN = np.frombuffer(b',"mean":[', dtype=np.uint8).copy()
_HI = np.frombuffer(b'],"hi":[', dtype=np.uint8).copy()
_Z = np.frombuffer(b'],"z":', dtype=np.uint8).copy()
_NULL = np.frombuffer(b"null", dtype=np.uint8).copy()
_IMPUTED = np.frombuffer(b',"imputed":', dtype=np.uint8).copy()
_TAIL = np.frombuffer(b'},"v":1}', dtype=np.uint8).copy()
_COMMA, _OPEN, _CLOSE = 44, 91, 93
# The words above, and five integers.
_FIXED = 200


def room_for(texts: Texts, slots: I64, horizon: int, n_levels: int) -> int:
    """Bytes that messages of these slots can take at most."""
    ids = int((texts.id_ends[slots + 1] - texts.id_ends[slots]).sum())
    constant = _FIXED + len(texts.model) + len(texts.levels) + len(texts.source)
    return ids + len(slots) * (constant + (horizon * (1 + 2 * n_levels) + 1) * (LONGEST + 1) + 6 * n_levels)


@exact_kernel
def _put(out: U8, at: int, text: U8, first: int, last: int) -> int:
    for j in range(first, last):
        out[at] = text[j]
        at += 1
    return at


@exact_kernel
def _put_numbers(out: U8, at: int, values: F64, first: int, last: int) -> int:
    """Write numbers with commas between; `TOO_HARD` where one cannot be written."""
    for j in range(first, last):
        if j > first:
            out[at] = _COMMA
            at += 1
        at = put_float(out, at, values[j])
        if at == TOO_HARD:
            return TOO_HARD
    return at


@exact_kernel
def _put_bounds(out: U8, at: int, bounds: F64, row: int, rows: int, levels: int, horizon: int) -> int:
    """Write a list for each level; `bounds` is flat, levels by rows by steps."""
    for level in range(levels):
        if level > 0:
            out[at] = _COMMA
            at += 1
        out[at] = _OPEN
        first = (level * rows + row) * horizon
        at = _put_numbers(out, at + 1, bounds, first, first + horizon)
        if at == TOO_HARD:
            return TOO_HARD
        out[at] = _CLOSE
        at += 1
    return at


@exact_kernel
def put_forecasts(texts: Texts, rows: Rows, out: U8, ends: I64) -> None:
    """Write a message a row to `out`, one after the other, and where each ends to `ends` (n,).

    A row with a number that `decimal.put_float` cannot write is left out: it ends where it begins, and its
    message is the caller's to make. Offsets and times must not be negative beyond an int64. The arrays of
    `rows` are contiguous.
    """
    # What is taken out of a tuple is counted: done for every message it took as long as the numbers.
    ids, id_ends, model, level, source = texts.ids, texts.id_ends, texts.model, texts.levels, texts.source
    slots, ts_ms, dt_ms, z, imputed = rows.slots, rows.ts_ms, rows.dt_ms, rows.z, rows.imputed
    mean, lo, hi, offsets = rows.mean.reshape(-1), rows.lo.reshape(-1), rows.hi.reshape(-1), rows.offsets
    n, horizon, levels = len(slots), rows.mean.shape[1], rows.lo.shape[0]
    begin = 0
    for i in range(n):
        ends[i], slot = begin, int(slots[i])
        at = _put(out, begin, _HEAD, 0, len(_HEAD))
        at = _put(out, at, ids, id_ends[slot], id_ends[slot + 1])
        at = put_int(out, _put(out, at, _TIME, 0, len(_TIME)), ts_ms[i])
        at = put_int(out, _put(out, at, model, 0, len(model)), dt_ms[i])
        at = _put_numbers(out, _put(out, at, _MEAN, 0, len(_MEAN)), mean, i * horizon, (i + 1) * horizon)
        if at == TOO_HARD:
            continue
        at = _put_bounds(out, _put(out, at, level, 0, len(level)), lo, i, n, levels, horizon)
        if at == TOO_HARD:
            continue
        at = _put_bounds(out, _put(out, at, _HI, 0, len(_HI)), hi, i, n, levels, horizon)
        if at == TOO_HARD:
            continue
        at = _put(out, at, _Z, 0, len(_Z))
        at = _put(out, at, _NULL, 0, len(_NULL)) if np.isnan(z[i]) else put_float(out, at, z[i])
        if at == TOO_HARD:
            continue
        at = put_int(out, _put(out, at, _IMPUTED, 0, len(_IMPUTED)), imputed[i])
        at = put_int(out, _put(out, at, source, 0, len(source)), offsets[i])
        begin = _put(out, at, _TAIL, 0, len(_TAIL))
        ends[i] = begin
