"""Numbers as decimal text: integers, and floats at seven significant digits.

The text of a float is what a JSON writer makes of ``float(f"{x:.7g}")``: correctly rounded from the exact
binary value, halves to even, shortest. Numbers beyond what one multiplication by an exact power of ten
reaches are left to the caller.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import U8

DIGITS = 7
TOO_HARD = -1
"""Returned where the number is not finite, or not between 1e-15 and 1e28 in size."""
LONGEST = 24
"""Bytes that a number takes at most."""

# Powers of ten that a double holds exactly.
_POWERS = np.array([10.0**k for k in range(23)])
_TOP, _BOTTOM = 10**DIGITS, 10 ** (DIGITS - 1)
_LOWEST, _HIGHEST = 1e-15, 1e28
# 1e-16 ... 1e29: the next power of ten above a number, by its exponent.
_FIRST = -16
_STEPS = np.array([float(f"1e{k}") for k in range(_FIRST, 30)])
# Veltkamp's constant: splits a double in halves whose products are exact.
_SPLIT = 134217729.0
# Exponents of ten between which a number is written without "e".
_PLAIN_FROM, _PLAIN_TO = -5, 15

_MINUS, _DOT, _ZERO, _EXPONENT = 45, 46, 48, 101
# Without a sign a division by ten is one multiplication.
_TEN, _ZERO_DIGIT = np.uint64(10), np.uint64(48)


@exact_kernel
def _error_of_product(a: float, b: float, product: float) -> float:
    """Exact a b less its rounded value. Source: Dekker (1971), Numerische Mathematik 18."""
    c, d = _SPLIT * a, _SPLIT * b
    a_high, b_high = c - (c - a), d - (d - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@exact_kernel
def _mantissa(a: float, exponent: int) -> int:
    """Round a 10^(6 - exponent) to the nearest integer, halves to even."""
    k = DIGITS - 1 - exponent
    if k >= 0:
        high = a * _POWERS[k]
        rest = _error_of_product(a, _POWERS[k], high)
    else:
        high = a / _POWERS[-k]
        product = high * _POWERS[-k]
        rest = (a - product) - _error_of_product(high, _POWERS[-k], product)
    whole = int(high)
    above = (high - whole) - 0.5  # a multiple of the last place of `high`: `rest` decides only where it is 0
    if above > 0.0 or (above == 0.0 and (rest > 0.0 or (rest == 0.0 and whole % 2 == 1))):
        return whole + 1
    return whole if high >= whole else whole - 1


@exact_kernel
def _exponent(a: float) -> int:
    """Exponent of ten of `a`, or a neighbour of it where `a` is beside a power of ten."""
    of_two: int = (np.float64(a).view(np.int64) >> 52) - 1023  # type: ignore[assignment]  # likewise
    low = (of_two * 1233) >> 12  # log10(2), from below
    return low + 1 if a >= _STEPS[low + 1 - _FIRST] else low


@exact_kernel
def put_int(out: U8, at: int, value: int) -> int:
    """Write an integer from `at` on; return where it ends."""
    if value < 0:
        out[at] = _MINUS
        at, value = at + 1, -value
    left = np.uint64(value)
    size, rest = 1, left // _TEN
    while rest > 0:
        size, rest = size + 1, rest // _TEN
    for j in range(size - 1, -1, -1):
        rest = left // _TEN
        out[at + j] = np.uint8(left - rest * _TEN + _ZERO_DIGIT)
        left = rest
    return at + size


@exact_kernel
def put_float(out: U8, at: int, value: float) -> int:
    """Write a float at seven significant digits from `at` on; return where it ends, or `TOO_HARD`."""
    a = abs(value)
    if not (a == 0.0 or _LOWEST < a < _HIGHEST):
        return TOO_HARD
    if value < 0.0 or (a == 0.0 and 1.0 / value < 0.0):
        out[at] = _MINUS
        at += 1
    if a == 0.0:
        out[at], out[at + 1], out[at + 2] = _ZERO, _DOT, _ZERO
        return at + 3
    exponent = _exponent(a)
    mantissa = _mantissa(a, exponent)
    if mantissa >= _TOP or mantissa < _BOTTOM:  # rounding carried it across a power of ten
        exponent += 1 if mantissa >= _TOP else -1
        mantissa = _mantissa(a, exponent)
    size = DIGITS
    digits = np.uint64(mantissa)
    while size > 1 and digits // _TEN * _TEN == digits:
        digits, size = digits // _TEN, size - 1
    mantissa = int(np.int64(digits))
    if exponent < _PLAIN_FROM or exponent > _PLAIN_TO:
        return _put_scientific(out, at, mantissa, size, exponent)
    return _put_plain(out, at, mantissa, size, exponent)


@exact_kernel
def _put_digits(out: U8, at: int, mantissa: int, size: int, dot: int) -> int:
    """Write the digits of a number with a point before digit `dot`; return where it ends."""
    end = at + size + (1 if 0 < dot < size else 0)
    place, left = end - 1, np.uint64(mantissa)
    for j in range(size - 1, -1, -1):
        rest = left // _TEN
        out[place] = np.uint8(left - rest * _TEN + _ZERO_DIGIT)
        left = rest
        place -= 1
        if j == dot and dot > 0:
            out[place] = _DOT
            place -= 1
    return end


@exact_kernel
def _put_scientific(out: U8, at: int, mantissa: int, size: int, exponent: int) -> int:
    at = _put_digits(out, at, mantissa, size, 1)
    out[at] = _EXPONENT
    return put_int(out, at + 1, exponent)


@exact_kernel
def _put_plain(out: U8, at: int, mantissa: int, size: int, exponent: int) -> int:
    if exponent < 0:
        out[at], out[at + 1] = _ZERO, _DOT
        for j in range(-exponent - 1):
            out[at + 2 + j] = _ZERO
        return _put_digits(out, at + 1 - exponent, mantissa, size, 0)
    at = _put_digits(out, at, mantissa, size, exponent + 1)
    if size > exponent + 1:
        return at
    for _ in range(exponent + 1 - size):
        out[at] = _ZERO
        at += 1
    out[at], out[at + 1] = _DOT, _ZERO
    return at + 2
