"""Many ticks of many slots a call: states move, forecasts and their intervals are written.

A forecast is run anew from the state at every tick, O(h (L + q)): beside the variance of the estimates that
is cheap, and what was forecast then depends on the state alone, not on how it came about.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels import slot_rows as at
from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.gap_covariance import predict_triangle, update_triangle
from forecast.kernels.simd import WIDTH, prefetch
from forecast.kernels.slot_rows import buffered, buffered_value, level_at, take_place, triangle
from forecast.kernels.slot_variance import Work, error_variance
from forecast.kernels.step_lines import add_reach, convolve, lines
from forecast.kernels.stream import LARGEST
from forecast.types import F64, I64

# Numbers in a cache line.
_LINE = 8

# Why a call ended: all done; the pool is full; a slot needs more values of regressors of the time.
DONE, FULL, STALE = range(3)


@kernel
def _observed(row: F64, lay: I64, y: float) -> float:
    """Return w of a value; NaN where it is missing, infinite, or has no logarithm."""
    w = y / row[at.SCALE]
    if lay[at.LOG]:
        w = np.log(w) if w > 0.0 else np.nan
    return w if abs(w) < np.inf else np.nan


@kernel
def _shift(values: F64, newest: float) -> None:
    for j in range(values.shape[0] - 1, 0, -1):
        values[j] = values[j - 1]
    if values.shape[0] > 0:
        values[0] = newest


@kernel
def _shift_state(state: F64, L: int, level: float, innovation: float) -> None:
    _shift(state[:L], level)
    _shift(state[L:], innovation)


@kernel
def _carry(row: F64, c: F64, state: F64, L: int, e: float, missing: bool, pool: F64, g: F64) -> float:
    """Move the covariance of a state, and the state by what an innovation says; return its variance."""
    M, sigma2 = state.shape[0], row[at.SIGMA2]
    P = pool[int(row[at.PLACE]) : int(row[at.PLACE]) + triangle(M)]
    if row[at.KNOWN]:
        P[:] = 0.0
    predict_triangle(c, M - L, sigma2, P, g)
    f = g[0]
    row[at.KNOWN] = 0.0
    if not missing and f > 0.0:
        r = e / f
        for j in range(1, M):
            state[j] += g[j] * r
        row[at.KNOWN] = 1.0 if update_triangle(sigma2, P, g) else 0.0
    return float(f)


@large_kernel
def move(
    row: F64, lay: I64, slot: int, y: float, x: float, pool: F64, held: I64, taken: I64, g: F64
) -> tuple[bool, float]:
    """Move one slot over one point, in place; `stream.tick` without a forecast.

    Parameters
    ----------
    y
        The value, NaN where missing; an innovation beyond `LARGEST` counts as missing.
    x
        What regressors add to the deterministic part.
    g
        (>= L + q,) scratch.

    Returns
    -------
    moved, z
        False: the pool is full, nothing was done. The innovation over its standard deviation, NaN where
        the value is missing.
    """
    out_of_line()
    L, q, sigma2 = lay[at.LEVEL_COUNT], lay[at.MA], row[at.SIGMA2]
    c, state = row[lay[at.A] : lay[at.A] + L + q], row[lay[at.LEVELS] : lay[at.LEVELS] + L + q]
    m = level_at(row, lay, row[at.T] + 1.0) + x
    free = m if lay[at.REGRESSION] else 0.0
    mean = m - free
    for j in range(L + q):
        mean += c[j] * state[j]
    seen = _observed(row, lay, y)
    e = seen - free - mean
    missing = np.isnan(seen) or abs(e) >= LARGEST
    carry = not row[at.KNOWN] or (missing and sigma2 > 0.0)
    if carry and not take_place(row, slot, triangle(L + q), pool, held, taken):
        return False, np.nan
    _shift_state(state, L, mean if missing else seen - free, 0.0 if missing or carry else e)
    f = sigma2
    if carry:
        f = _carry(row, c, state, L, e, missing, pool, g[: L + q])
    row[at.T] += 1.0
    if missing:
        return True, np.nan
    return True, e / np.sqrt(f) if f > 0.0 else e


@kernel
def _regressors_now(row: F64, lay: I64, sources: I64, back: int, now: F64) -> float:
    """Return what the regressors add at T + 1."""
    x = 0.0
    for j in range(lay[at.TERMS]):
        term = lay[at.TERM + 2 * j]
        given, lag, tail = sources[term, 0], sources[term, 1], sources[term, 2]
        if given < 0:
            value = buffered_value(row, lay, j, row[at.T] + 1.0)
        elif lag == 0:
            value = now[given]
        else:
            value = row[lay[at.TAIL] + tail * back + lag - 1]
        x += row[lay[at.BETA] + j] * value
    return float(x)


@kernel
def _keep(row: F64, lay: I64, tails: I64, back: int, now: F64) -> None:
    """Put the regressors of a point into the past of those that enter with a lag."""
    for i in range(tails.shape[0]):
        start = lay[at.TAIL] + i * back
        _shift(row[start : start + back], float(now[tails[i]]))


@kernel
def _regressors_ahead(row: F64, lay: I64, sources: I64, back: int, future: F64, X: F64) -> None:
    """Write the regressors at T + 1 .. T + h, a row each; future (given, h)."""
    for j in range(lay[at.TERMS]):
        term = lay[at.TERM + 2 * j]
        given, lag, tail = sources[term, 0], sources[term, 1], lay[at.TAIL] + sources[term, 2] * back
        for k in range(X.shape[1]):
            if given < 0:
                X[j, k] = buffered_value(row, lay, j, row[at.T] + 1.0 + k)
            elif k >= lag:
                X[j, k] = future[given, k - lag]
            else:
                X[j, k] = row[tail + lag - 1 - k]


@kernel
def _drive(row: F64, lay: I64, X: F64, h: int, m: F64) -> None:
    """Write the deterministic part at T + 1 .. T + h, a line."""
    t = row[at.T] + 1.0
    for k in range(h):
        m[WIDTH + k] = row[at.CONST] + row[at.SLOPE] * (t + k)
    s = lay[at.SEASON]
    if s > 0:
        season = (int(t) - 1) % s
        for k in range(h):
            m[WIDTH + k] += row[lay[at.SEASONAL] + season]
            season = season + 1 if season + 1 < s else 0
    for j in range(lay[at.TERMS]):
        beta, x = row[lay[at.BETA] + j], X[j]
        for k in range(h):
            m[WIDTH + k] += beta * x[k]


@kernel
def _path(row: F64, lay: I64, m: F64, pushes: F64, factors: F64, h: int, path: F64) -> None:
    """Write the forecast in the units of the levels, a line, with the deterministic part m.

    What drives every step, the past included, through the weights that a push has later on: the same numbers
    as the recursion, but no step waits for the one before it.
    """
    L, q, width = lay[at.LEVEL_COUNT], lay[at.MA], lay[at.WIDTH]
    for k in range(h):
        pushes[WIDTH + k] = 0.0 if lay[at.REGRESSION] else m[WIDTH + k]
    _lay_factors(row, lay[at.A], width, factors)
    add_reach(factors, width, row, lay[at.LEVELS], h, pushes)
    if q > 0:
        _lay_factors(row, lay[at.A] + L, q, factors)
        add_reach(factors, q, row, lay[at.LEVELS] + L, h, pushes)
    convolve(row, lay[at.XI], h, pushes, path)


@kernel
def _lay_factors(row: F64, first: int, size: int, factors: F64) -> None:
    """Copy factors, with a vector of zeros after them."""
    for i in range(size):
        factors[i] = row[first + i]
    factors[size : size + WIDTH] = 0.0


@kernel
def _to_units(row: F64, lay: I64, w: float) -> float:
    if lay[at.LOG]:
        return float(np.exp(w + row[at.LOG_SCALE]))
    return float(w * row[at.SCALE])


@large_kernel
def look_ahead(
    row: F64, lay: I64, pool: F64, X: F64, three: F64, work: Work, reach: F64, i: int,
    mean: F64, lo: F64, hi: F64,
) -> None:  # fmt: skip
    """Write forecast `i` of a call from where a slot stands.

    Parameters
    ----------
    X
        (>= TERMS, h) regressors over the next steps.
    three
        Lines, scratch.
    reach
        (levels,) half-widths in standard deviations.
    mean, lo, hi
        (n, h), (levels, n, h) units of y.
    """
    out_of_line()
    m, path, sd = three[0], three[1], three[2]
    h, at_mean = mean.shape[1], mean[i]
    _drive(row, lay, X, h, m)
    _path(row, lay, m, sd, work[4], h, path)
    error_variance(row, lay, path, pool, X, work, h, sd)
    for k in range(h):
        sd[WIDTH + k] = row[at.WIDENING] * np.sqrt(sd[WIDTH + k])
        path[WIDTH + k] += m[WIDTH + k] if lay[at.REGRESSION] else 0.0
    for k in range(h):
        at_mean[k] = _to_units(row, lay, path[WIDTH + k])
    for level in range(reach.shape[0]):
        below, above, far = lo[level, i], hi[level, i], reach[level]
        for k in range(h):
            below[k] = _to_units(row, lay, path[WIDTH + k] - far * sd[WIDTH + k])
            above[k] = _to_units(row, lay, path[WIDTH + k] + far * sd[WIDTH + k])


@kernel
def _call_for(numbers: F64, begin: int, size: int) -> None:
    """Have a slot on its way from memory while another is worked on; half of a tick was waiting for it."""
    for place in range(0, size, _LINE):
        prefetch(numbers, begin + place)


@kernel
def _scratch(widths: I64, h: int) -> tuple[F64, F64, Work]:
    """X, lines and work for the largest layout; widths: regressors, lines of gradients, long lines."""
    long = widths[2] + h + WIDTH
    work = (lines(widths[1], h), lines(1, h)[0], np.empty(long), np.empty(long), np.empty(long))
    return np.empty((widths[0], h)), lines(3, h), work


@kernel
def step_many(
    numbers: F64, begins: I64, layouts: I64, pool: F64, held: I64, taken: I64, sources: I64, tails: I64,
    widths: I64, slots: I64, missing: I64, y: F64, now: F64, future: F64, first: int, back: int, reach: F64,
    mean: F64, lo: F64, hi: F64, z: F64,
) -> tuple[int, int]:  # fmt: skip
    """Move slots over ticks, in order, and write the forecast that stands after each.

    Parameters
    ----------
    numbers, begins, layouts
        The slots, where each begins (slots,), and the layouts.
    pool, held, taken
        Covariances; (places, 2) slot and place of each; (2,) numbers and places taken.
    sources
        (terms, 3) of each regressor of the records: its position among those given, or -1 where it follows
        from the time; its lag; its position in the tails.
    tails
        (names,) positions among those given, of the regressors that enter with a lag.
    widths
        (3,) sizes of scratch, see `_scratch`.
    slots, missing, y
        (n,) ticks. `missing` counts down to 0 as imputed steps are done.
    now, future
        (n, given), (n, given, h) regressors at the tick, and ahead; with 0 rows where there are none.
    first
        Tick to begin with.
    back
        Length of the tails.
    reach, mean, lo, hi, z
        Half-widths; outputs, as `look_ahead`, and (n,).

    Returns
    -------
    i, why
        Tick that could not be finished and the reason (call again from there), or n and `DONE`.
    """
    n, h = slots.shape[0], mean.shape[1]
    X, three, work = _scratch(widths, h)
    g = np.empty(widths[1])
    none, nothing = np.empty(0), np.empty((0, 0))
    for i in range(first, n):
        slot = slots[i]
        lay = layouts[int(numbers[begins[slot] + at.LAYOUT])]
        row = numbers[begins[slot] : begins[slot] + lay[at.SIZE]]
        exog = now[i] if now.shape[0] > 0 else none
        if i + 1 < n:
            _call_for(numbers, int(begins[slots[i + 1]]), int(lay[at.SIZE]))
        while True:
            if lay[at.POINTS] > 0 and not buffered(row, lay, h):
                return i, STALE
            x = _regressors_now(row, lay, sources, back, exog)
            value = y[i] if missing[i] == 0 else np.nan
            moved, z[i] = move(row, lay, slot, value, x, pool, held, taken, g)
            if not moved:
                return i, FULL
            _keep(row, lay, tails, back, exog)
            if missing[i] == 0:
                break
            missing[i] -= 1
        if lay[at.TERMS] > 0:
            _regressors_ahead(row, lay, sources, back, future[i] if future.shape[0] > 0 else nothing, X)
        look_ahead(row, lay, pool, X, three, work, reach, i, mean, lo, hi)
    return n, DONE


@kernel
def advance_many(
    numbers: F64, begins: I64, layouts: I64, pool: F64, held: I64, taken: I64, sources: I64, tails: I64,
    widths: I64, slots: I64, missing: I64, values: F64, done: I64, counts: I64, now: F64, first: int,
    back: int, h: int,
) -> tuple[int, int]:  # fmt: skip
    """Move slots over imputed steps and then values, without forecasts; see `step_many`.

    Parameters
    ----------
    values
        (k, W) oldest first, NaN missing; of each row the first `counts`.
    done
        (k,) values taken so far, counts up.
    now
        (k, W, given), or (0, 0, 0).
    """
    g, none = np.empty(widths[1]), np.empty(0)
    for i in range(first, slots.shape[0]):
        slot = slots[i]
        lay = layouts[int(numbers[begins[slot] + at.LAYOUT])]
        row = numbers[begins[slot] : begins[slot] + lay[at.SIZE]]
        while missing[i] > 0 or done[i] < counts[i]:
            if lay[at.POINTS] > 0 and not buffered(row, lay, h):
                return i, STALE
            exog = now[i, done[i]] if now.shape[0] > 0 else none
            x = _regressors_now(row, lay, sources, back, exog)
            value = values[i, done[i]] if missing[i] == 0 else np.nan
            moved, _ = move(row, lay, slot, value, x, pool, held, taken, g)
            if not moved:
                return i, FULL
            _keep(row, lay, tails, back, exog)
            if missing[i] > 0:
                missing[i] -= 1
            else:
                done[i] += 1
    return slots.shape[0], DONE
