r"""Drift detectors of many streams: one pass over standardised innovations, one short row of state a stream.

All but the last are cumulative sums (CUSUM), :math:`S \leftarrow \max(0, S + x)`, that alarm where S reaches
a threshold; two-sided ones have two sums. With z clipped to [-CLIP, CLIP] and p the z of the tick before:

- mean: x = z - 0.5 and -z - 0.5; slow: the same with 0.25 (Page 1954; Montgomery, ch. 9).
- variance: x is the log-likelihood ratio of N(0, 1.5^2) against N(0, 1); below, that of N(0, 1 / 1.5^2),
  times `FALL`.
- coverage: x is the log-likelihood ratio of a share of 0.15 against 0.05 of z outside +-1.96.
- correlation: x is the log-likelihood ratio of z = +-0.3 p + e against z = e.
- adaptive: sums T of z over windows that end now and begin at block borders, two for each block length. The
  largest :math:`T^2 / 2n` is compared with the threshold: the log-likelihood ratio of a mean that changed at
  one of these borders to whatever value (windows as in the exponential histogram of Bifet and Gavalda 2007,
  SIAM Data Mining, against the mean 0 that innovations have by design).

Sums are float32 and round as IEEE says, in the order written: NumPy on float32 finds the same bits.
The oracle is `tests/oracles/drift.py`.
"""

from __future__ import annotations

import math

import numpy as np

from forecast.kernels import octets
from forecast.kernels._jit import exact_kernel
from forecast.kernels.octets import F32, Octet
from forecast.kernels.simd import prefetch
from forecast.types import F64, I64, U8

MEAN, SLOW, VARIANCE, COVERAGE, CORRELATION, ADAPTIVE, DETECTORS = range(7)

CLIP = 3.0
"""|z| beyond this counts as this: noise with heavy tails then alarms no more often than Gaussian noise."""

# A row of the table. Sums: mean +-, slow +-, variance up and down, correlation +-. WINDOWS: sums since the
# last border of each of the block lengths, then since the border before it. TICKS: since the restart of the
# windows, counted on in circles from the longest block on.
SUMS, WINDOWS, MISSES, BEFORE, TICKS, COLUMNS = 0, 8, 16, 17, 18, 19

BLOCKS = (16, 64, 256, 1024)
"""Block lengths of the adaptive detector, ticks; its windows reach back up to twice the last."""

_SHORTEST, _LONGEST = BLOCKS[0], BLOCKS[-1]
_LEVELS = len(BLOCKS)

# sd 1.5: small enough for the changes that matter, large enough for a delay of some ten ticks.
_RATIO2 = 1.5**2
_GAIN, _COST = (1 - 1 / _RATIO2) / 2, math.log(1.5)

FALL = 0.5625
"""Weight of the variance's fall: noise with heavy tails is also more often near 0, and would alarm there."""

_RHO = 0.3
_LIMIT = np.float32(1.96)
_MISS, _HIT = np.float32(math.log(0.15 / 0.05)), np.float32(math.log(0.85 / 0.95))
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


def _coefficients() -> F32:
    """(5, 8) what z, z^2, z p, p^2 and 1 add to each sum."""
    table = np.zeros((5, octets.LANES), np.float32)
    table[0, :4] = 1, -1, 1, -1
    table[1, 4:6] = _GAIN, -FALL * _GAIN * _RATIO2
    table[2, 6:] = _RHO, -_RHO
    table[3, 6:] = -(_RHO**2) / 2
    table[4, :6] = -0.5, -0.5, -0.25, -0.25, -_COST, FALL * _COST
    return table


def _weights() -> F32:
    """(ticks, 8) 1 / 2n of every window at every count of ticks; n at least the shortest block."""
    ticks = np.arange(2 * _LONGEST + 1)[:, None]
    since = (ticks - 1) % np.array(BLOCKS) + 1
    ages = np.hstack([since, np.minimum(ticks, since + np.array(BLOCKS))])
    return np.asarray(0.5 / np.maximum(ages, _SHORTEST), np.float32)


COEFFICIENTS, WEIGHTS = _coefficients(), _weights()


@exact_kernel
def clipped(z: float) -> np.float32:
    """Return z as float32 within +-CLIP."""
    return np.float32(max(min(z, CLIP), -CLIP))


@exact_kernel
def update(
    table: F32, row: int, z: np.float32, coefficients: F32, weights: F32, heights: F32, which: int
) -> int:
    """Move one stream on; bit d of what comes back says that detector d reaches its threshold.

    Parameters
    ----------
    table
        (n, COLUMNS) state, C-contiguous, changed in place: row `row` of it.
    z
        `clipped`, not NaN.
    coefficients, weights
        The constants `COEFFICIENTS` and `WEIGHTS`.
    heights
        (m, 10) thresholds, row `which` of them: of the eight sums, of coverage, of the adaptive detector.
    """
    at, top = row * COLUMNS, which * 10
    p = table[row, BEFORE]
    sums: Octet = octets.load(table, at + SUMS)
    step = octets.load(coefficients, 0) * octets.spread(z) + octets.load(coefficients, 8) * octets.spread(
        z * z
    )
    step = step + octets.load(coefficients, 16) * octets.spread(z * p)
    step = step + octets.load(coefficients, 24) * octets.spread(p * p)
    sums = octets.positive(sums + (step + octets.load(coefficients, 32)))
    octets.store(table, at + SUMS, sums)
    over = octets.reaching(sums, octets.load(heights, top))

    miss = abs(z) > _LIMIT
    misses = max(table[row, MISSES] + (_MISS if miss else _HIT), _ZERO)
    table[row, MISSES], table[row, BEFORE] = misses, z

    ticks = int(table[row, TICKS]) + 1
    windows: Octet = octets.load(table, at + WINDOWS) + octets.spread(z)
    octets.store(table, at + WINDOWS, windows)
    wide = octets.reaching(
        windows * windows * octets.load(weights, ticks * octets.LANES), octets.spread(heights[which, 9])
    )
    table[row, TICKS] = np.float32(ticks)
    if (over | wide) == 0 and misses < heights[which, 8]:
        return 0
    return _alarms(over, misses >= heights[which, 8], wide)


@exact_kernel
def _alarms(over: int, misses: bool, wide: int) -> int:
    """Bits of detectors from those of their sums."""
    bits = (over & 3 != 0) << MEAN | (over & 12 != 0) << SLOW | (over & 48 != 0) << VARIANCE
    bits |= misses << COVERAGE | (over & 192 != 0) << CORRELATION
    return bits | (wide != 0) << ADAPTIVE


@exact_kernel
def turn(table: F32, row: int) -> None:
    """Begin new blocks where the last tick of `update` ended some; called after it and its alarms."""
    ticks = int(table[row, TICKS])
    if ticks % _SHORTEST == 0:
        for level in range(_LEVELS):
            if ticks % BLOCKS[level] == 0:
                table[row, WINDOWS + _LEVELS + level] = table[row, WINDOWS + level]
                table[row, WINDOWS + level] = _ZERO
        if ticks == 2 * _LONGEST:
            table[row, TICKS] = np.float32(_LONGEST)


@exact_kernel
def statistic(table: F32, row: int, detector: int, weights: F32) -> np.float32:
    """Return what a detector compares with its threshold, after `update` and before `turn`."""
    if detector == COVERAGE:
        return np.float32(table[row, MISSES])
    if detector == ADAPTIVE:
        ticks, largest = int(table[row, TICKS]), _ZERO
        for k in range(octets.LANES):
            window = table[row, WINDOWS + k]
            largest = max(largest, window * window * weights[ticks, k])
        return largest
    first = SUMS + (6 if detector == CORRELATION else 2 * detector)
    return max(table[row, first], table[row, first + 1])


@exact_kernel
def restart(table: F32, row: int, detector: int) -> None:
    """Put one detector of one stream at rest; the correlation goes on from the last z."""
    if detector == COVERAGE:
        table[row, MISSES] = _ZERO
    elif detector == ADAPTIVE:
        table[row, TICKS] = _ZERO
        for k in range(octets.LANES):
            table[row, WINDOWS + k] = _ZERO
    else:
        first = SUMS + (6 if detector == CORRELATION else 2 * detector)
        table[row, first] = table[row, first + 1] = _ZERO


# Rows ahead whose state is asked for: in any order of rows the memory then keeps up.
_AHEAD = 12


@exact_kernel
def step_many(
    table: F32, rows: I64, z: F64, coefficients: F32, weights: F32, heights: F32, begin: int,
    position: I64, detector: U8, value: F64,
) -> tuple[int, int]:  # fmt: skip
    """Move streams on, tick by tick, and write alarms until there is no room for those of one more tick.

    Parameters
    ----------
    table
        (n, COLUMNS) state.
    rows, z
        (m,) ticks in the order of time of each stream; NaN is no tick.
    heights
        (1, 10), as in `update`.
    begin
        First tick that is still to be done.
    position, detector, value
        (room,) each, at least DETECTORS; written in place: the tick, the detector, what it reached.

    Returns
    -------
    done, count
        Ticks done (m: all), and alarms written.
    """
    count, room, last = 0, position.shape[0] - DETECTORS, rows.shape[0] - 1
    for i in range(begin, rows.shape[0]):
        if count > room:
            return i, count
        soon = rows[min(i + _AHEAD, last)] * COLUMNS
        prefetch(table, soon)
        prefetch(table, soon + COLUMNS - 1)
        if np.isnan(z[i]):
            continue
        row = rows[i]
        bits = update(table, row, clipped(z[i]), coefficients, weights, heights, 0)
        if bits:
            for d in range(DETECTORS):
                if bits >> d & 1:
                    position[count], detector[count] = i, d
                    value[count] = statistic(table, row, d, weights)
                    count += 1
                    restart(table, row, d)
        turn(table, row)
    return rows.shape[0], count
