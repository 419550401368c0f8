r"""Drift of regressors: the population stability index (PSI) and Kolmogorov-Smirnov (KS) of many streams.

Every stream first fills a reference of `REFERENCE` values, whose deciles part the line into `BINS` bins. Then
windows of `WINDOW` values are compared with it, one after the other. With :math:`p, q` the shares of window
and reference,

.. math:: \mathrm{PSI} = \sum_b (p_b - q_b) \log(p_b / q_b), \quad D = \max_b |P_b - Q_b|

PSI with half a value added to every bin, D at the edges of the bins. Values that depend on each other make
windows differ more than independent ones: with r the lag-1 correlation of the bin numbers in the reference,
0 at least, PSI is multiplied by :math:`f = (1 - r) / (1 + r)` and D by :math:`\sqrt f`, the share of
independent values that the values of a first-order autoregression are worth. The oracle is in
`tests/oracles/drift.py`.
"""

from __future__ import annotations

import math

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.kernels.drift_run_length import GAUSSIAN, pair
from forecast.types import F64, I64, U8, U64

PSI, KS, DETECTORS = range(3)

REFERENCE, WINDOW, BINS = 256, 128, 10

# A row of the table: values kept since rest (from REFERENCE on those of the window follow), values that are
# still to be passed over, the factor f, the edges, then the counts of the reference and of the window.
SEEN, SKIP, FACTOR, EDGES = 0, 1, 2, 3
SHARES = EDGES + BINS - 1
COUNTS = SHARES + BINS
COLUMNS = COUNTS + BINS

# Correlations above count as this: a reference that hardly moves says little of what is usual.
_HIGHEST_R = 0.99


@exact_kernel
def _bin(state: F64, x: float) -> int:
    """Bin number of x: edges below it, and half of those that equal it.

    Few different values make edges that are equal: half way, steps up and down from them are both seen.
    """
    twice = 0
    for k in range(BINS - 1):
        twice += int(x > state[EDGES + k]) + int(x >= state[EDGES + k])
    return twice // 2


@exact_kernel
def _learn(state: F64, values: F64) -> None:
    """Set edges, shares and factor of a row by its (REFERENCE,) values in the order of time."""
    ordered = np.sort(values)
    for k in range(BINS - 1):
        state[EDGES + k] = ordered[REFERENCE * (k + 1) // BINS]
    for k in range(2 * BINS):
        state[SHARES + k] = 0.0
    total = square = cross = before = first = 0.0
    for i in range(REFERENCE):
        b = _bin(state, values[i])
        state[SHARES + b] += 1.0
        total += b
        square += b * b
        cross += b * before
        first = b if i == 0 else first
        before = b
    mean = total / REFERENCE
    spread = square - total * mean
    # The cross products of deviations; the two ends lack a neighbour.
    joint = cross - mean * (2.0 * total - first - before) + (REFERENCE - 1) * mean * mean
    r = min(max(joint / spread, 0.0), _HIGHEST_R) if spread > 0.0 else 0.0
    state[FACTOR] = (1.0 - r) / (1.0 + r)


@exact_kernel
def _judge(state: F64, out: F64) -> None:
    """Write PSI and KS of the window, with their factors, and empty it."""
    psi = far = ahead = 0.0
    for k in range(BINS):
        p = (state[COUNTS + k] + 0.5) / (WINDOW + 0.5 * BINS)
        q = (state[SHARES + k] + 0.5) / (REFERENCE + 0.5 * BINS)
        psi += (p - q) * math.log(p / q)
        ahead += state[COUNTS + k] / WINDOW - state[SHARES + k] / REFERENCE
        far = max(far, abs(ahead))
        state[COUNTS + k] = 0.0
    out[PSI], out[KS] = psi * state[FACTOR], far * math.sqrt(state[FACTOR])
    state[SEEN] = REFERENCE


@exact_kernel
def update(state: F64, values: F64, x: float, every: int, out: F64) -> bool:
    """Move one stream on by a value that is not NaN; whether a window is full and `out` (2,) is written.

    Parameters
    ----------
    state, values
        (COLUMNS,) and (REFERENCE,) of the stream, changed in place.
    every
        One value of so many counts.
    """
    if state[SKIP] > 0.0:
        state[SKIP] -= 1.0
        return False
    state[SKIP] = every - 1.0
    seen = int(state[SEEN])
    state[SEEN] = seen + 1.0
    if seen < REFERENCE:
        values[seen] = x
        if seen == REFERENCE - 1:
            _learn(state, values)
        return False
    state[COUNTS + _bin(state, x)] += 1.0
    if seen + 1 < REFERENCE + WINDOW:
        return False
    _judge(state, out)
    return True


@exact_kernel
def step_many(
    table: F64, values: F64, rows: I64, x: F64, every: int, limits: F64, begin: int, position: I64,
    detector: U8, statistic: F64,
) -> tuple[int, int]:  # fmt: skip
    """Move streams on, and write alarms until there is no room for those of one more value.

    Parameters
    ----------
    table, values
        (n, COLUMNS) and (n, REFERENCE) state.
    rows, x
        (m,) values in the order of time of each stream; NaN is none.
    limits
        (2,) thresholds; a stream that reaches one is at rest again, with a new reference to fill.
    begin, position, detector, statistic
        As in `forecast.kernels.drift.step_many`.

    Returns
    -------
    done, count
        Values done (m: all), and alarms written.
    """
    count, room = 0, position.shape[0] - DETECTORS
    found = np.empty(DETECTORS)
    for i in range(begin, rows.shape[0]):
        if count > room:
            return i, count
        if np.isnan(x[i]) or not update(table[rows[i]], values[rows[i]], x[i], every, found):
            continue
        for d in range(DETECTORS):
            if found[d] >= limits[d]:
                position[count], detector[count], statistic[count] = i, d, found[d]
                count += 1
                table[rows[i]] = 0.0
    return rows.shape[0], count


@exact_kernel
def count_alarms(
    key: U64, first: int, streams: int, ticks: int, phi: float, every: int, limits: F64, counts: I64
) -> None:
    """Add up alarms of Gaussian first-order autoregressions with coefficient `phi`, at several thresholds.

    Parameters
    ----------
    key, first, streams, ticks
        As in `forecast.kernels.drift_run_length.count_alarms`.
    limits
        (m, 2)
    counts
        (m, 2), added to.
    """
    m = limits.shape[0]
    table, values, found = np.zeros((m, COLUMNS)), np.zeros((m, REFERENCE)), np.empty(DETECTORS)
    fresh = math.sqrt(1.0 - phi * phi)
    for stream in range(first, first + streams):
        table[:] = 0.0
        x = 0.0
        for tick in range(0, ticks, 2):
            two = pair(key, stream, tick, GAUSSIAN)
            for k in range(2):
                x = two[k] if tick + k == 0 else phi * x + fresh * two[k]
                for j in range(m):
                    if update(table[j], values[j], x, every, found):
                        for d in range(DETECTORS):
                            if found[d] >= limits[j, d]:
                                counts[j, d] += 1
                                table[j] = 0.0
