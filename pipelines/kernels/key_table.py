"""Ids to small numbers: a hash table over one arena of bytes, looked up for many ids a call.

Open addressing with linear probing. A place holds the upper half of the hash beside the number, so that a
probe touches the text only where 32 bits of it agree already; the text then decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import I64, U8, Bool

NONE = -1
"""Number of what is not there."""


class Keys(NamedTuple):
    """A table; all of its arrays are larger than what is in it."""

    places: I64
    """(2^k,) ``tag << 32 | number``, or `NONE`."""
    text: U8
    """The ids, one after the other."""
    ends: I64
    """(1 + room,) where they end; ``ends[0]`` is 0."""


# FNV-1a, and the finalizer of MurmurHash3, which spreads its last bytes over all bits.
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX1, _MIX2, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)
_TAG_SHIFT, _TAG_MASK = np.uint64(33), np.uint64(0x7FFFFFFF)
_NUMBER_MASK = 0xFFFFFFFF


@exact_kernel
def _hash(data: U8, first: int, last: int) -> np.uint64:
    h = _OFFSET
    for j in range(first, last):
        h = (h ^ np.uint64(data[j])) * _PRIME
    h = (h ^ (h >> _SHIFT)) * _MIX1
    h = (h ^ (h >> _SHIFT)) * _MIX2
    return np.uint64(h ^ (h >> _SHIFT))


@exact_kernel
def _same(keys: Keys, number: int, data: U8, first: int, last: int) -> bool:
    at = keys.ends[number]
    if keys.ends[number + 1] - at != last - first:
        return False
    for j in range(last - first):  # noqa: SIM110  # a kernel has no generators
        if keys.text[at + j] != data[first + j]:
            return False
    return True


@exact_kernel
def _probe(keys: Keys, h: np.uint64, data: U8, first: int, last: int) -> tuple[int, int]:
    """Return the number of an id or `NONE`, and the place where it is, or belongs."""
    mask = np.uint64(len(keys.places) - 1)
    tag = np.int64((h >> _TAG_SHIFT) & _TAG_MASK)
    at: int = np.int64(h & mask)  # type: ignore[assignment]  # the int of a kernel
    while True:
        held = keys.places[at]
        if held == NONE:
            return NONE, at
        if held >> 32 == tag and _same(keys, held & _NUMBER_MASK, data, first, last):
            return held & _NUMBER_MASK, at
        at = (at + 1) & (len(keys.places) - 1)


@exact_kernel
def find_keys(keys: Keys, data: U8, firsts: I64, lasts: I64, out: I64) -> tuple[int, int]:
    """Write the number of each id ``data[firsts[i]:lasts[i]]`` to `out` (n,).

    An id that begins before 0 is none, and gets `NONE` as those do that are not in the table.

    Returns
    -------
    missing, size
        How many ids are not in the table, and their bytes; one that comes twice is counted twice.
    """
    missing, size = 0, 0
    for i in range(len(firsts)):
        out[i] = NONE
        if firsts[i] >= 0:
            found, _ = _probe(keys, _hash(data, firsts[i], lasts[i]), data, firsts[i], lasts[i])
            out[i] = found
            if found == NONE:
                missing += 1
                size += lasts[i] - firsts[i]
    return missing, size


@exact_kernel
def add_keys(keys: Keys, count: int, data: U8, firsts: I64, lasts: I64, out: I64) -> int:
    """Give a number to each id that `find_keys` left without one; return how many ids there are now.

    The table must have room for them: more than twice as many places, text and ends.
    """
    for i in range(len(firsts)):
        if firsts[i] < 0 or out[i] != NONE:
            continue
        h = _hash(data, firsts[i], lasts[i])
        found, at = _probe(keys, h, data, firsts[i], lasts[i])
        if found == NONE:
            found, begin = count, keys.ends[count]
            for j in range(lasts[i] - firsts[i]):
                keys.text[begin + j] = data[firsts[i] + j]
            keys.ends[count + 1] = begin + lasts[i] - firsts[i]
            keys.places[at] = (np.int64((h >> _TAG_SHIFT) & _TAG_MASK) << 32) | count
            count += 1
        out[i] = found
    return count


@exact_kernel
def place_again(keys: Keys, count: int) -> None:
    """Fill empty places with the ids of the arena."""
    mask = np.uint64(len(keys.places) - 1)
    for number in range(count):
        h = _hash(keys.text, keys.ends[number], keys.ends[number + 1])
        at = np.int64(h & mask)
        while keys.places[at] != NONE:
            at = (at + 1) & (len(keys.places) - 1)
        keys.places[at] = (np.int64((h >> _TAG_SHIFT) & _TAG_MASK) << 32) | number


@exact_kernel
def match_keys(data: U8, keys: I64, firsts: I64, lasts: I64, out: Bool) -> int:
    """Write whether the key of each record (n, 2) is its id, or absent; return how many are neither.

    An id that begins before 0 is none, and matches whatever.
    """
    wrong = 0
    for i in range(len(firsts)):
        at, size = keys[i, 0], lasts[i] - firsts[i]
        good = firsts[i] < 0 or at < 0 or keys[i, 1] - at == size
        if good and firsts[i] >= 0 and at >= 0:
            for j in range(size):
                if data[at + j] != data[firsts[i] + j]:
                    good = False
                    break
        out[i] = good
        wrong += 0 if good else 1
    return wrong


_QUOTE, _BACKSLASH, _SPACE, _U, _ZERO = 34, 92, 32, 117, 48
# Letters of the short escapes of JSON, by character; 0 where there is none.
_SHORT = np.zeros(_SPACE, dtype=np.uint8)
_SHORT[[8, 9, 10, 12, 13]] = np.frombuffer(b"btnfr", dtype=np.uint8)
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8).copy()
LONGEST_ESCAPE = 6
"""Bytes that one byte of an id takes at most in JSON."""


@exact_kernel
def quote_keys(text: U8, ends: I64, first: int, last: int, out: U8, out_ends: I64) -> None:
    """Write ids `first` to `last` of an arena as JSON texts, quotes and all, behind those before them."""
    at = out_ends[first]
    for number in range(first, last):
        out[at] = _QUOTE
        at += 1
        for j in range(ends[number], ends[number + 1]):
            c = text[j]
            if c in (_QUOTE, _BACKSLASH):
                out[at], out[at + 1] = _BACKSLASH, c
                at += 2
            elif c >= _SPACE:
                out[at] = c
                at += 1
            elif _SHORT[c] != 0:
                out[at], out[at + 1] = _BACKSLASH, _SHORT[c]
                at += 2
            else:
                out[at], out[at + 1], out[at + 2], out[at + 3] = _BACKSLASH, _U, _ZERO, _ZERO
                out[at + 4], out[at + 5] = _HEX[c >> 4], _HEX[c & 15]
                at += 6
        out[at] = _QUOTE
        at += 1
        out_ends[number + 1] = at
