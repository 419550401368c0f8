"""Ticks in the shape that `pipelines.wire` writes, many at once: bytes in, columns out.

What is not plainly in that shape (another order, spaces, escapes, regressors, long numbers, anything wrong)
is not judged here but left to `pipelines.wire`. A number is exact: up to fifteen digits and a power of ten up
to 22 are one multiplication or division of two exact doubles (Clinger 1990, "How to read floating point
numbers accurately").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, U8, Bool


class Ticks(NamedTuple):
    """What was read of n messages."""

    plain: Bool
    """(n,) whether the message is in the shape; the rest of its row has no meaning if not."""
    id_first: I64
    id_last: I64
    """(n,) where the id lies in the buffer, quotes apart."""
    ts_ms: I64
    value: F64
    """NaN for null."""


_HEAD = np.frombuffer(b'{"series_id":"', dtype=np.uint8).copy()
_TIME = np.frombuffer(b'","ts_ms":', dtype=np.uint8).copy()
_VALUE = np.frombuffer(b',"value":', dtype=np.uint8).copy()
_NULL = np.frombuffer(b"null", dtype=np.uint8).copy()
_TAIL = np.frombuffer(b',"v":1}', dtype=np.uint8).copy()
_POWERS = np.array([10.0**k for k in range(23)])
_QUOTE, _BACKSLASH, _MINUS, _DOT, _ZERO, _NINE = 34, 92, 45, 46, 48, 57
_FIRST_PRINTED, _LAST_PRINTED = 32, 126
_LONGEST_ID = 256
_MOST_DIGITS = 15
_LARGEST_TS = 9_223_372_036_854
_BAD = -1


@exact_kernel
def _match(buffer: U8, at: int, last: int, word: U8) -> int:
    """Return where `word` ends if it stands at `at`, `_BAD` if not."""
    if at + len(word) > last:
        return _BAD
    for j in range(len(word)):
        if buffer[at + j] != word[j]:
            return _BAD
    return at + len(word)


@exact_kernel
def _id(buffer: U8, at: int, last: int) -> int:
    """Return where an id of plain characters that begins at `at` ends, `_BAD` if there is none."""
    begin = at
    while at < last and at - begin <= _LONGEST_ID:
        c = buffer[at]
        if c == _QUOTE:
            return at if at > begin else _BAD
        if c < _FIRST_PRINTED or c > _LAST_PRINTED or c == _BACKSLASH:
            return _BAD
        at += 1
    return _BAD


@exact_kernel
def _digits(buffer: U8, at: int, last: int) -> tuple[int, int]:
    """Return where digits that begin at `at` end, and what they say (right up to 18 of them)."""
    number = 0
    begin = at
    while at < last and at - begin < 18 and _ZERO <= buffer[at] <= _NINE:
        number = number * 10 + int(np.int64(buffer[at]) - _ZERO)
        at += 1
    return at, number


@exact_kernel
def _integer(buffer: U8, at: int, last: int) -> tuple[int, int]:
    """Return where a JSON integer ends, `_BAD` if it is none, and its value."""
    negative = at < last and buffer[at] == _MINUS
    begin = at + 1 if negative else at
    end, number = _digits(buffer, begin, last)
    if end == begin or (buffer[begin] == _ZERO and end > begin + 1):
        return _BAD, 0
    return end, -number if negative else number


@exact_kernel
def _float(buffer: U8, at: int, last: int) -> tuple[int, float]:
    """Return where a JSON number without an exponent ends and its value; `_BAD` if none, or too long."""
    negative = at < last and buffer[at] == _MINUS
    begin = at + 1 if negative else at
    end, whole = _digits(buffer, begin, last)
    if end == begin or (buffer[begin] == _ZERO and end > begin + 1):
        return _BAD, 0.0
    places, fraction = 0, 0
    if end < last and buffer[end] == _DOT:
        after = end + 1
        end, fraction = _digits(buffer, after, last)
        places = end - after
        if places == 0:
            return _BAD, 0.0
    if end - begin > _MOST_DIGITS + 1 or (places == 0 and end - begin > _MOST_DIGITS):
        return _BAD, 0.0
    scale = 1
    for _ in range(places):
        scale *= 10
    value = float(whole * scale + fraction) / _POWERS[places]
    return end, -value if negative else value


@exact_kernel
def _tick(buffer: U8, first: int, last: int, out: Ticks, i: int) -> bool:
    """Read one message; False where it is not in the shape."""
    at = _match(buffer, first, last, _HEAD)
    if at == _BAD:
        return False
    out.id_first[i] = at
    at = _id(buffer, at, last)
    if at == _BAD:
        return False
    out.id_last[i] = at
    at = _match(buffer, at, last, _TIME)
    if at == _BAD:
        return False
    at, ts_ms = _integer(buffer, at, last)
    if at == _BAD or abs(ts_ms) > _LARGEST_TS:
        return False
    out.ts_ms[i] = ts_ms
    at = _match(buffer, at, last, _VALUE)
    if at == _BAD:
        return False
    if at < last and buffer[at] == _NULL[0]:
        at, value = _match(buffer, at, last, _NULL), np.nan
    else:
        at, value = _float(buffer, at, last)
    if at == _BAD:
        return False
    out.value[i] = value
    return _match(buffer, at, last, _TAIL) == last


@exact_kernel
def read_ticks(buffer: U8, firsts: I64, lasts: I64, out: Ticks) -> int:
    """Read message i from ``buffer[firsts[i]:lasts[i]]``; return how many were in the shape."""
    count = 0
    for i in range(len(firsts)):
        out.plain[i] = _tick(buffer, firsts[i], lasts[i], out, i)
        count += int(out.plain[i])
    return count
