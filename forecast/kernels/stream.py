r"""One tick of one series: its state, and the forecast that follows from it, in O(h + L + q).

Everything that a series needs lies in one row of one table, because what a call costs is mostly the
number of arrays that it is given. Numbers first (`T` .. `OUT`), then its parts, at the offsets stated there.

.. math:: f_{t+1}(k) = f_t(k+1) + \psi_k e_{t+1}

moves the forecasts of the next steps on (Box and Jenkins 1976, 5.3); the farthest is the recursion. A missing
tick is e = 0. In a gap, and until the state is known again, the covariance of the state is carried
(`companion_filter`) and the forecast is run anew.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.companion_filter import predict_cov, update_cov
from forecast.types import F64

# What the numbers at the head of a row are. PLACE: row of the pool that holds the covariance, -1 before the
# first gap. DRIVEN: regressors enter the recursion, so that its future is not known beforehand.
T, LAGS, MA, KNOWN, PLACE, SIGMA2, REGRESSION, DRIVEN, SCALE, LOG, CONST, SLOPE, SEASON, AGE = range(14)
A, B, LEVELS, INNOV, PSI, PATH, SEASONAL, OUT, HEAD = range(14, 23)

# Ticks after which the forecast is run anew, so that rounding cannot pile up.
REFRESH = 1024

# An innovation beyond this has no finite square. It counts as missing: taken in, one such number can make
# a state infinite for ever.
LARGEST = 1e154


@kernel
def part_of(row: F64, name: int, size: int) -> F64:
    """Return a part of a row: a view of `size` numbers."""
    at = int(row[name])
    return row[at : at + size]


@kernel
def _level(row: F64, t: float) -> float:
    """Deterministic part at point t, regressors apart."""
    m = row[CONST] + row[SLOPE] * t
    s = int(row[SEASON])
    if s > 0:
        m += row[int(row[SEASONAL]) + (int(t) - 1) % s]
    return float(m)


@kernel
def _recursion(row: F64, k: int, drive: float) -> float:
    """Forecast k + 1 steps ahead from those before it, the levels and the innovations."""
    L, q = int(row[LAGS]), int(row[MA])
    a, levels, path = int(row[A]), int(row[LEVELS]), int(row[PATH])
    acc = drive
    near = min(k, L)
    for j in range(near):
        acc += row[a + j] * row[path + k - 1 - j]
    for j in range(near, L):
        acc += row[a + j] * row[levels + j - k]
    b, innov = int(row[B]), int(row[INNOV])
    for j in range(k, q):
        acc += row[b + j] * row[innov + j - k]
    return float(acc)


@kernel
def _roll(row: F64, h: int, e: float) -> None:
    """Move the forecasts on by one known innovation."""
    path, psi = part_of(row, PATH, h), part_of(row, PSI, h)
    for k in range(h - 1):
        path[k] = path[k + 1] + psi[k + 1] * e
    drive = 0.0 if row[REGRESSION] else _level(row, row[T] + h)
    path[h - 1] = _recursion(row, h - 1, drive)
    row[AGE] += 1.0


@kernel
def _run(row: F64, h: int, x: F64) -> None:
    """Forecast from the state."""
    path = part_of(row, PATH, h)
    for k in range(h):
        drive = 0.0
        if not row[REGRESSION]:
            drive = _level(row, row[T] + 1 + k)
            if row[DRIVEN]:
                drive += x[1 + k]
        path[k] = _recursion(row, k, drive)
    row[AGE] = 0.0


@kernel
def _to_units(row: F64, w: float) -> float:
    if row[LOG]:
        return float(np.exp(w + np.log(row[SCALE])))
    return float(w * row[SCALE])


@kernel
def _publish(row: F64, h: int, x: F64) -> None:
    """Write the forecast in units of y."""
    path, out = part_of(row, PATH, h), part_of(row, OUT, h)
    if not row[REGRESSION] and not row[LOG]:
        for k in range(h):
            out[k] = path[k] * row[SCALE]
        return
    for k in range(h):
        m = 0.0
        if row[REGRESSION]:
            m = _level(row, row[T] + 1 + k)
            if row[DRIVEN]:
                m += x[1 + k]
        out[k] = _to_units(row, path[k] + m)


@kernel
def _observed(row: F64, y: float) -> float:
    """Return w of a value; NaN where it is missing, infinite, or has no logarithm."""
    w = y / row[SCALE]
    if row[LOG]:
        w = np.log(w) if w > 0.0 else np.nan
    return w if abs(w) < np.inf else np.nan


@kernel
def _shift(values: F64, newest: float) -> None:
    for j in range(values.shape[0] - 1, 0, -1):
        values[j] = values[j - 1]
    if values.shape[0] > 0:
        values[0] = newest


@kernel
def _learn(row: F64, pool: F64, mean: float, e: float) -> float:
    """Move a state that is not known, or ceases to be; return the variance of its forecast."""
    L, q = int(row[LAGS]), int(row[MA])
    a, b, sigma2 = part_of(row, A, L), part_of(row, B, q), row[SIGMA2]
    P, g = pool[int(row[PLACE])][: L + q, : L + q], np.zeros(L + q)
    if row[KNOWN]:
        P[:, :] = 0.0
    predict_cov(a, b, sigma2, P, g)
    row[KNOWN] = 0.0
    levels, innov = part_of(row, LEVELS, L), part_of(row, INNOV, q)
    _shift(levels, mean if np.isnan(e) else mean + e)
    _shift(innov, 0.0)
    f = g[0]
    if not np.isnan(e) and f > 0.0:
        r = e / f
        for j in range(1, L):
            levels[j] += g[j] * r
        for j in range(q):
            innov[j] += g[L + j] * r
        row[KNOWN] = 1.0 if update_cov(sigma2, P, g) else 0.0
    return float(f)


@kernel
def tick(table: F64, pool: F64, slot: int, h: int, y: float, x: F64) -> tuple[float, float, float]:
    """Move one series over one tick, in place, and write its forecast.

    Parameters
    ----------
    table
        (n, width), one row a series.
    pool
        (places, M, M) covariances of the states that are not known exactly.
    h
        Steps of the forecast.
    y
        The value, NaN where missing; an innovation beyond `LARGEST` counts as missing.
    x
        (1 + h,) what regressors add to the deterministic part now and at the next h steps.

    Returns
    -------
    mean, z, f
        The forecast that stood for the tick (units of y), the innovation (NaN where missing) and its
        variance (units of w). f = -1: the series needs a place in the pool first, nothing was done.
    """
    row = table[slot]
    m = _level(row, row[T] + 1.0) + x[0]
    free = m if row[REGRESSION] else 0.0
    mean = _recursion(row, 0, 0.0 if row[REGRESSION] else m)
    observed = _observed(row, y)
    e = observed - free - mean
    if not abs(e) < LARGEST:
        e = np.nan
    missing = np.isnan(e)
    carry = not row[KNOWN] or (missing and row[SIGMA2] > 0.0)
    if carry and row[PLACE] < 0:
        return mean, e, -1.0
    f = row[SIGMA2]
    if carry:
        f = _learn(row, pool, mean, e)
    else:
        _shift(part_of(row, LEVELS, int(row[LAGS])), mean if missing else observed - free)
        _shift(part_of(row, INNOV, int(row[MA])), 0.0 if missing else e)
    row[T] += 1.0
    if carry or row[DRIVEN] or row[AGE] >= REFRESH:
        _run(row, h, x)
    else:
        _roll(row, h, 0.0 if missing else e)
    _publish(row, h, x)
    return _to_units(row, mean + free), e, f


@kernel
def project(table: F64, slot: int, h: int, x: F64) -> None:
    """Run the forecast of one series anew, with the regressors of the future in ``x[1:]``."""
    _run(table[slot], h, x)
    _publish(table[slot], h, x)
