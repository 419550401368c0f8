"""Slots as flat numbers and back: what a restart needs beside the parameters.

A slot is written as T, whether its state is known, the levels and innovations, the lower triangle of their
covariance where they are not known, and the past of regressors that enter with a lag.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels import slot_rows as at
from forecast.kernels._jit import kernel
from forecast.kernels.slot_rows import take_place, triangle
from forecast.types import F64, I64

# What may be wrong with a part: nothing; its length; its first two numbers; a number that is not finite.
GOOD, WRONG_SIZE, WRONG_HEAD, NOT_FINITE = range(4)


@kernel
def dump_ends(numbers: F64, begins: I64, layouts: I64, slots: I64, tail: int, ends: I64) -> None:
    """Write where the numbers of each slot end; `tail` is the length of the past of regressors."""
    total = 0
    for i in range(slots.shape[0]):
        row = numbers[begins[slots[i]] :]
        lay = layouts[int(row[at.LAYOUT])]
        M = lay[at.LEVEL_COUNT] + lay[at.MA]
        total += 2 + M + tail + (0 if row[at.KNOWN] else triangle(M))
        ends[i] = total


@kernel
def dump_many(numbers: F64, begins: I64, layouts: I64, pool: F64, slots: I64, tail: int, data: F64) -> None:
    """Write the numbers of every slot, one slot after the other."""
    to = 0
    for i in range(slots.shape[0]):
        row = numbers[begins[slots[i]] :]
        lay = layouts[int(row[at.LAYOUT])]
        M, place = lay[at.LEVEL_COUNT] + lay[at.MA], int(row[at.PLACE])
        size = 0 if row[at.KNOWN] else triangle(M)
        data[to], data[to + 1] = row[at.T], row[at.KNOWN]
        data[to + 2 : to + 2 + M] = row[lay[at.LEVELS] : lay[at.LEVELS] + M]
        to += 2 + M
        data[to : to + size] = pool[place : place + size]
        to += size
        data[to : to + tail] = row[lay[at.TAIL] : lay[at.TAIL] + tail]
        to += tail


@kernel
def _flaw(row: F64, lay: I64, tail: int, part: F64) -> int:
    M = lay[at.LEVEL_COUNT] + lay[at.MA]
    if part.shape[0] < 2:
        return WRONG_SIZE
    t, known = part[0], part[1]
    if not (t >= 0.0 and t <= 2.0**53 and np.floor(t) == t) or not (known == 0.0 or known == 1.0):
        return WRONG_HEAD
    if part.shape[0] != 2 + M + tail + (0 if known else triangle(M)):
        return WRONG_SIZE
    # A series of which nothing was observed has no level yet, and no variance.
    start, unseen = lay[at.LEVELS], np.isnan(row[at.SIGMA2])
    for j in range(2, part.shape[0]):
        if abs(part[j]) < np.inf:
            continue
        state = j < 2 + M and np.isnan(row[start + j - 2])
        spread = j >= 2 + M and j < part.shape[0] - tail and unseen
        if not (np.isnan(part[j]) and (state or spread)):
            return NOT_FINITE
    return GOOD


@kernel
def check_many(
    numbers: F64, begins: I64, layouts: I64, slots: I64, tail: int, data: F64, ends: I64
) -> tuple[int, int]:
    """Return the first part that cannot be loaded into its slot, and why; (n, GOOD) where all can."""
    first = 0
    for i in range(slots.shape[0]):
        if ends[i] < first or ends[i] > data.shape[0]:
            return i, WRONG_SIZE
        row = numbers[begins[slots[i]] :]
        why = _flaw(row, layouts[int(row[at.LAYOUT])], tail, data[first : ends[i]])
        if why != GOOD:
            return i, why
        first = ends[i]
    return slots.shape[0], GOOD if first == data.shape[0] else WRONG_SIZE


@kernel
def load_many(
    numbers: F64, begins: I64, layouts: I64, pool: F64, held: I64, taken: I64, slots: I64, tail: int,
    data: F64, ends: I64, first: int,
) -> int:  # fmt: skip
    """Put slots where checked numbers say, from part `first` on; return the part that found the pool full."""
    for i in range(first, slots.shape[0]):
        row = numbers[begins[slots[i]] :]
        lay = layouts[int(row[at.LAYOUT])]
        M, of = lay[at.LEVEL_COUNT] + lay[at.MA], ends[i - 1] if i > 0 else 0
        size = 0 if data[of + 1] else triangle(M)
        if size > 0 and not take_place(row, slots[i], size, pool, held, taken):
            return i
        row[at.T], row[at.KNOWN] = data[of], data[of + 1]
        row[lay[at.LEVELS] : lay[at.LEVELS] + M] = data[of + 2 : of + 2 + M]
        of += 2 + M
        place = int(row[at.PLACE])
        if size > 0:
            pool[place : place + size] = data[of : of + size]
        row[lay[at.TAIL] : lay[at.TAIL] + tail] = data[of + size : of + size + tail]
    return len(slots)


@kernel
def compact(
    numbers: F64, begins: I64, layouts: I64, pool: F64, held: I64, taken: I64, bigger: F64, holds: I64
) -> None:
    """Move the covariances that are still in use into another pool, and count anew what is taken."""
    n, total = 0, 0
    for i in range(taken[1]):
        slot, place = held[i, 0], held[i, 1]
        if begins[slot] < 0 or numbers[begins[slot] + at.PLACE] != place:
            continue  # gone, or come again since
        row = numbers[begins[slot] :]
        if row[at.KNOWN]:
            row[at.PLACE] = -1.0
            continue
        lay = layouts[int(row[at.LAYOUT])]
        size = triangle(lay[at.LEVEL_COUNT] + lay[at.MA])
        bigger[total : total + size] = pool[place : place + size]
        holds[n, 0], holds[n, 1], row[at.PLACE] = slot, total, total
        total, n = total + size, n + 1
    taken[0], taken[1] = total, n


@kernel
def live_size(numbers: F64, begins: I64, layouts: I64, held: I64, taken: I64) -> tuple[int, int]:
    """Return numbers and places of the covariances that are still in use."""
    n, total = 0, 0
    for i in range(taken[1]):
        slot, place = held[i, 0], held[i, 1]
        if begins[slot] < 0 or numbers[begins[slot] + at.PLACE] != place:
            continue
        row = numbers[begins[slot] :]
        if not row[at.KNOWN]:
            lay = layouts[int(row[at.LAYOUT])]
            total, n = total + triangle(lay[at.LEVEL_COUNT] + lay[at.MA]), n + 1
    return total, n
