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
def _put_numbers(out: U8, at: int, values: F64) -> int:
    for j in range(len(values)):
        if j > 0:
            out[at] = _COMMA
            at += 1
        at = put_float(out, at, values[j])
        if at == TOO_HARD:
            return TOO_HARD
    return at


@exact_kernel
def _put_bounds(out: U8, at: int, bounds: F64, row: int) -> int:
    for level in range(bounds.shape[0]):
        if level > 0:
            out[at] = _COMMA
            at += 1
        out[at] = _OPEN
        at = _put_numbers(out, at + 1, bounds[level, row])
        if at == TOO_HARD:
            return TOO_HARD
        out[at] = _CLOSE
        at += 1
    return at


@exact_kernel
def _put_path(out: U8, at: int, texts: Texts, rows: Rows, i: int) -> int:
    """From the mean to before `z`."""
    at = _put_numbers(out, at, rows.mean[i])
    if at != TOO_HARD:
        at = _put_bounds(out, _put(out, at, texts.levels, 0, len(texts.levels)), rows.lo, i)
    if at != TOO_HARD:
        at = _put_bounds(out, _put(out, at, _HI, 0, len(_HI)), rows.hi, i)
    return at


@exact_kernel
def _put_message(out: U8, at: int, texts: Texts, rows: Rows, i: int) -> int:
    slot = rows.slots[i]
    at = _put(out, at, _HEAD, 0, len(_HEAD))
    at = _put(out, at, texts.ids, texts.id_ends[slot], texts.id_ends[slot + 1])
    at = put_int(out, _put(out, at, _TIME, 0, len(_TIME)), rows.ts_ms[i])
    at = put_int(out, _put(out, at, texts.model, 0, len(texts.model)), rows.dt_ms[i])
    at = _put_path(out, _put(out, at, _MEAN, 0, len(_MEAN)), texts, rows, i)
    if at == TOO_HARD:
        return TOO_HARD
    at = _put(out, at, _Z, 0, len(_Z))
    at = _put(out, at, _NULL, 0, len(_NULL)) if np.isnan(rows.z[i]) else put_float(out, at, rows.z[i])
    if at == TOO_HARD:
        return TOO_HARD
    at = put_int(out, _put(out, at, _IMPUTED, 0, len(_IMPUTED)), rows.imputed[i])
    at = put_int(out, _put(out, at, texts.source, 0, len(texts.source)), rows.offsets[i])
    return _put(out, at, _TAIL, 0, len(_TAIL))


@exact_kernel
def put_forecasts(texts: Texts, rows: Rows, out: U8, ends: I64) -> None:
    """Write a message a row to `out`, one after the other, and where each ends to `ends` (n,).

    A row with a number that `decimal.put_float` cannot write is left out: it ends where it begins, and its
    message is the caller's to make. Offsets and times must not be negative beyond an int64.
    """
    at = 0
    for i in range(len(rows.slots)):
        end = _put_message(out, at, texts, rows, i)
        at = at if end == TOO_HARD else end
        ends[i] = at
