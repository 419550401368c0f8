"""How the live state of one series lies in memory: one run of numbers a slot, of the length its model needs.

Slots whose models have one shape (orders, season, regressors, horizon) share a layout, a row of integers
that says what a slot holds and where. A slot begins with the numbers `T` .. `HEAD`, then its parts.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.types import F64, I64

# Numbers at the head of a slot. PLACE: where the pool holds its covariance, -1 nowhere. FIRST: t of the first
# buffered value of the regressors that follow from the time. USED: observations behind the estimates, 0 those
# seen so far. AT_ONE: 1 - sum phi; MEAN_LAG: sum i phi_i / AT_ONE; LOOK_BACK: the same of all factors.
LAYOUT, T, KNOWN, PLACE, SIGMA2, CONST, SLOPE, SCALE, LOG_SCALE, WIDENING = range(10)
USED, AT_ONE, MEAN_LAG, LOOK_BACK, FIRST, HEAD = range(10, 16)

# Columns of a layout. First sizes: levels (at least one), innovations, lags of the recursion (may be 0),
# effects of the season, order of phi, its nonzero lags, differencing recursion, regressors, buffered points
# of a regressor, points of those before the next, columns of a covariance of estimates.
SIZE, LEVEL_COUNT, MA, WIDTH, SEASON, ORDER, LAG_COUNT, DIFFERENCES, TERMS, POINTS, PAST, COLUMNS = range(12)
# Whether: the deterministic part is taken off first; logarithms; level, slope estimated.
REGRESSION, LOG, LEVEL, TREND = range(12, 16)
# Then where a part begins. LEVELS and innovations are one state; A and the moving average one row of factors.
# PSI, XI: weights in whole vectors, those without the moving average apart where there is one.
LEVELS, A, PSI, XI, SEASONAL, WHITENING, LAGS, F, BETA, BUFFER, TAIL, CODES, COVARIANCE, TERM = range(16, 30)
# From column TERM on two numbers a regressor: its position in the records, and its buffer (-1: given).

# What a column of a covariance of estimates belongs to: code = kind + KINDS * index. SHAPES: constant, slope.
SHAPES, SEASONS, REGRESSORS, PAST_VALUES, KINDS = range(5)


@kernel
def triangle(size: int) -> int:
    """Numbers of a symmetric matrix: its lower triangle by rows."""
    return size * (size + 1) // 2


@kernel
def level_at(row: F64, lay: I64, t: float) -> float:
    """Deterministic part at point t, regressors apart."""
    m = row[CONST] + row[SLOPE] * t
    s = lay[SEASON]
    if s > 0:
        m += row[lay[SEASONAL] + (int(t) - 1) % s]
    return float(m)


@kernel
def buffered(row: F64, lay: I64, h: int) -> bool:
    """Whether the regressors that follow from the time are there for the next tick and its forecast."""
    t = row[T] + 1.0
    return bool(row[FIRST] <= t + 1.0 - lay[PAST] and row[FIRST] <= t and t + h < row[FIRST] + lay[POINTS])


@kernel
def buffered_value(row: F64, lay: I64, j: int, t: float) -> float:
    """Regressor j of a slot at point t where it follows from the time, 0 where it is given."""
    buffer = lay[TERM + 2 * j + 1]
    if buffer < 0:
        return 0.0
    return float(row[lay[BUFFER] + buffer * lay[POINTS] + int(t - row[FIRST])])


@kernel
def take_place(row: F64, slot: int, size: int, pool: F64, held: I64, taken: I64) -> bool:
    """Give a slot room for its covariance; False where there is none."""
    if row[PLACE] >= 0.0:
        return True
    if taken[0] + size > pool.shape[0] or taken[1] >= held.shape[0]:
        return False
    row[PLACE] = taken[0]
    held[taken[1], 0], held[taken[1], 1] = slot, taken[0]
    taken[0] += size
    taken[1] += 1
    return True
