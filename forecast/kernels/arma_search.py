"""Maximum likelihood by Newton steps whose derivatives come from SIMD lanes.

A point and all its neighbours one step away are lanes of one pass, so that the gradient and the Hessian cost
little more than the value. Up to `_NEWTON` parameters every step has its own Hessian; with more of them it is
kept up by the BFGS formula and made anew from time to time, and at the end.

The search runs in u = artanh of the partial autocorrelations of each factor, where every point is a
stationary and invertible model. Source: Nocedal and Wright (2006), *Numerical Optimization*, ch. 3 and 6.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_likelihood import Data, Places, coefficient, evaluate, load_lanes, objective
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.simd import WIDTH
from forecast.types import F64, I64

# Step of the differences. The error of a gradient is 1e-9 of the mean log-likelihood by truncation (step^2 /
# 6), and as much by rounding (1e-13 / step); that of a Hessian 1e-4 and 1e-5, in units of the data.
_STEP = 1e-4
_NEWTON = 5
_REFRESH = 8
_MAX_STEPS = 80
# Newton's promise of what is left to gain, in log-likelihood: 1e-10 is 1e-5 standard errors.
_GAIN = 1e-10
# Beyond, the partial autocorrelation is within 2e-7 of 1 and the likelihood flat: the search stays there.
_EDGE = 8.0
_LONGEST = 1.0
# Rounding of the objective, relative.
_ROUNDING = 1e-14


class Search(NamedTuple):
    """Where the search stands, and its scratch."""

    u: F64
    """(k,) point."""
    g: F64
    """(k,) gradient of the mean negative log-likelihood."""
    H: F64
    """(k, k) its Hessian."""
    points: F64
    """(1 + 2 k + k (k - 1) / 2, k) partial autocorrelations."""
    values: F64
    slopes: F64
    """(points, r) coefficients of the regressors at the points, in the units of `Data`."""
    step: F64
    free: I64
    L: F64
    trial: F64


@kernel
def search_space(k: int, n_regressors: int) -> Search:
    """Room for k parameters."""
    n = max(1 + 2 * k + k * (k - 1) // 2, 8)
    return Search(
        np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((n, k)), np.zeros(n), np.zeros((n, n_regressors)),
        np.zeros(k), np.zeros(k, dtype=np.int64), np.zeros((k, k)), np.zeros(k),
    )  # fmt: skip


@large_kernel
def values_at(
    shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, work: F64, rows: Places, count: int, at: Search
) -> None:
    """Objective and regression at the first `count` points."""
    out_of_line()
    total, r = len(data.holes) + data.columns.shape[0], at.slopes.shape[1]
    for first in range(0, count, WIDTH):
        load_lanes(at.points[:count], first, work, rows)
        evaluate(shape, ar_lags, ma_lags, data, work, rows)
        for k in range(min(WIDTH, count - first)):
            at.values[first + k] = objective(work, rows, k, data.n_obs)
            for i in range(r - 1, -1, -1):
                row = total - 1 - r + i
                acc = coefficient(work, rows, total, row, k)
                for j in range(i + 1, r):
                    acc -= work[rows.gram + (total - 1 - r + j) * total + row, k] * at.slopes[first + k, j]
                at.slopes[first + k, i] = acc * work[rows.inverse_gram + row, k]


@kernel
def _place_neighbours(at: Search, pairs: bool) -> int:
    """Write the point, its neighbours on either side, and with `pairs` those two steps off; count them."""
    k = len(at.u)
    count = 1 + 2 * k
    for i in range(k):
        at.points[0, i] = np.tanh(at.u[i])
    for i in range(k):
        at.points[1 + 2 * i, :] = at.points[0]
        at.points[2 + 2 * i, :] = at.points[0]
        at.points[1 + 2 * i, i] = np.tanh(at.u[i] + _STEP)
        at.points[2 + 2 * i, i] = np.tanh(at.u[i] - _STEP)
    if pairs:
        for i in range(k):
            for j in range(i):
                at.points[count, :] = at.points[0]
                at.points[count, i] = at.points[1 + 2 * i, i]
                at.points[count, j] = at.points[1 + 2 * j, j]
                count += 1
    return count


@large_kernel
def derivatives(
    shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, work: F64, rows: Places, at: Search, hessian: bool
) -> None:
    """Value, gradient and, if asked for, Hessian at `at.u`."""
    out_of_line()
    k, v = len(at.u), at.values
    values_at(shape, ar_lags, ma_lags, data, work, rows, _place_neighbours(at, hessian), at)
    for i in range(k):
        at.g[i] = (v[1 + 2 * i] - v[2 + 2 * i]) / (2.0 * _STEP)
    if not hessian:
        return
    count = 1 + 2 * k
    for i in range(k):
        at.H[i, i] = (v[1 + 2 * i] - 2.0 * v[0] + v[2 + 2 * i]) / (_STEP * _STEP)
        for j in range(i):
            at.H[i, j] = (v[count] - v[1 + 2 * i] - v[1 + 2 * j] + v[0]) / (_STEP * _STEP)
            at.H[j, i] = at.H[i, j]
            count += 1


@large_kernel
def factor(H: F64, free: I64, shift: float, L: F64) -> bool:
    """Cholesky factor of H + shift I over the free coordinates; False where it has none."""
    out_of_line()
    k = len(free)
    for i in range(k):
        for j in range(i + 1):
            acc = H[i, j] + (shift if i == j else 0.0)
            if free[i] == 0 or free[j] == 0:
                acc = 1.0 if i == j else 0.0
            for m in range(j):
                acc -= L[i, m] * L[j, m]
            if i == j:
                if not acc > 0.0:
                    return False
                L[i, i] = np.sqrt(acc)
            else:
                L[i, j] = acc / L[j, j]
    return True


@large_kernel
def solve(L: F64, b: F64, x: F64) -> None:
    """Solve L L' x = b."""
    out_of_line()
    k = len(b)
    for i in range(k):
        acc = b[i]
        for j in range(i):
            acc -= L[i, j] * x[j]
        x[i] = acc / L[i, i]
    for i in range(k - 1, -1, -1):
        acc = x[i]
        for j in range(i + 1, k):
            acc -= L[j, i] * x[j]
        x[i] = acc / L[i, i]


@kernel
def _direction(at: Search) -> tuple[float, bool]:
    """Write Newton's step, kept to a length; return what it promises and whether the Hessian was definite."""
    k = len(at.u)
    size = 0.0
    for i in range(k):
        outward = abs(at.u[i]) >= _EDGE and at.g[i] * at.u[i] < 0.0
        at.free[i] = 0 if outward else 1
        size = max(size, abs(at.H[i, i]))
    shift, definite = 0.0, factor(at.H, at.free, 0.0, at.L)
    if not definite:
        shift = max(1e-3 * size, 1e-8)
        while not factor(at.H, at.free, shift, at.L) and shift < 1e12:
            shift *= 4.0
    for i in range(k):
        at.trial[i] = -at.g[i] if at.free[i] == 1 else 0.0
    solve(at.L, at.trial, at.step)
    gain, longest = 0.0, 0.0
    for i in range(k):
        gain += 0.5 * at.trial[i] * at.step[i]
        longest = max(longest, abs(at.step[i]))
    if longest > _LONGEST:
        for i in range(k):
            at.step[i] *= _LONGEST / longest
    return gain, definite


@kernel
def _clip(x: float) -> float:
    return min(max(x, -_EDGE), _EDGE)


@large_kernel
def _along(
    shape: Shape,
    ar_lags: I64,
    ma_lags: I64,
    data: Data,
    work: F64,
    rows: Places,
    at: Search,
    start: F64,
    value: float,
) -> bool:
    """Try eight lengths of the step at once; move to the best, False where none is better than `value`."""
    out_of_line()
    best, length, scale = value, 0.0, 8.0
    for row in range(8):
        for i in range(len(start)):
            at.points[row, i] = np.tanh(_clip(start[i] + scale * at.step[i]))
        at.values[row] = scale
        scale *= 0.5 if row < 4 else 0.1
    lengths = at.values[:8].copy()
    values_at(shape, ar_lags, ma_lags, data, work, rows, 8, at)
    for row in range(8):
        if at.values[row] < best:
            best, length = at.values[row], lengths[row]
    for i in range(len(start)):
        at.u[i] = _clip(start[i] + length * at.step[i])
    return length > 0.0


@kernel
def _bfgs(H: F64, s: F64, y: F64) -> None:
    """Update the Hessian by a step s and the change y of the gradient; left alone where they disagree."""
    k = len(s)
    Hs = np.zeros(k)
    sy, sHs, ss, yy = 0.0, 0.0, 0.0, 0.0
    for i in range(k):
        for j in range(k):
            Hs[i] += H[i, j] * s[j]
        sy, sHs = sy + s[i] * y[i], sHs + s[i] * Hs[i]
        ss, yy = ss + s[i] * s[i], yy + y[i] * y[i]
    if sy <= 1e-8 * np.sqrt(ss * yy) or sHs <= 0.0:
        return
    for i in range(k):
        for j in range(k):
            H[i, j] += y[i] * y[j] / sy - Hs[i] * Hs[j] / sHs


@large_kernel
def climb(
    shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, work: F64, rows: Places, at: Search, cov: bool
) -> tuple[float, bool]:
    """Search from `at.u` on; return the mean negative log-likelihood, and whether a maximum was reached.

    Leaves the point in `at.u` with its gradient, and with `cov` its Hessian and the regressions of its
    neighbours.
    """
    out_of_line()
    k = len(at.u)
    newton = k <= _NEWTON
    derivatives(shape, ar_lags, ma_lags, data, work, rows, at, True)
    value, start, g, fresh = at.values[0], np.empty(k), np.empty(k), True
    if not np.isfinite(value):
        return np.inf, False
    done = False
    for step in range(_MAX_STEPS):
        gain, definite = _direction(at)
        if gain * data.n_obs < _GAIN and (fresh or not cov):
            done = definite or gain * data.n_obs < 1e-3 * _GAIN
            break
        again = gain * data.n_obs < _GAIN
        start[:], g[:] = at.u, at.g
        slow, fresh = step >= 4 and np.max(np.abs(at.u)) > 1.5, newton or again or step % _REFRESH == 7
        if slow:
            _along(shape, ar_lags, ma_lags, data, work, rows, at, start, value)
        elif not again:
            for i in range(k):
                at.u[i] = _clip(start[i] + at.step[i])
        derivatives(shape, ar_lags, ma_lags, data, work, rows, at, fresh)
        if not at.values[0] <= value + _ROUNDING * (1.0 + abs(value)):
            moved = _along(shape, ar_lags, ma_lags, data, work, rows, at, start, value)
            derivatives(shape, ar_lags, ma_lags, data, work, rows, at, True)
            fresh = True
            if not moved:  # rounding decides here
                done = gain * data.n_obs < 1e-5
                break
        if not fresh:
            _bfgs(at.H, at.u - start, at.g - g)
        value = at.values[0]
    return value, done
