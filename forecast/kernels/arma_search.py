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
from forecast.kernels.arma_buffers import Data, Places
from forecast.kernels.arma_likelihood import coefficient, evaluate, load_lanes, objective
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.curvature import eigen, factor, solve
from forecast.kernels.simd import WIDTH
from forecast.types import F64, I64

# Step of the differences. The error of a gradient is 1e-9 of the mean log-likelihood by truncation (step^2 /
# 6), and as much by rounding (1e-13 / step); that of a Hessian 1e-4 and 1e-5, in units of the data.
STEP = 1e-4
_NEWTON = 6
_REFRESH = 5
_MAX_STEPS = 150
# Newton's promise of what is left to gain, in log-likelihood: 1e-10 is 1e-5 standard errors.
_GAIN = 1e-10
# Beyond, the partial autocorrelation is within 2e-7 of 1 and the likelihood flat: the search stays there.
_EDGE = 8.0
_LONGEST = 1.0
# Rounding of the objective, relative.
_ROUNDING = 1e-14
# Where no length of the step gains anything, the end is a maximum if Newton promised no more than this.
_LOST = 1e-5
# A search that ends this far out may have missed a maximum inside: it is begun a second time elsewhere.
_SUSPECT = 3.0
# ... and so it is, this often in all, with fewer than `_SCARCE` observations a parameter: then the likelihood
# has several maxima not far from one another.
_RUNS = 3
_SCARCE = 60
# A Hessian bends down where an eigenvalue is below minus this share of the largest one; less is rounding.
_BENT = 1e-5
_FLAT = 1e-6
# Lengths that are tried at once, in steps of Newton.
_LENGTHS = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.05, 0.005, 0.0005])

DERIVATIVES, LENGTHS = 0, 1
PHASE, PAIRS, FRESH, STEPS, RUN, RUNS, DONE, KEPT_DONE, FAILED, LAST = range(10)
"""Places in `Search.mode`."""


class Search(NamedTuple):
    """Where a search stands, and its scratch."""

    u: F64
    """(k,) point."""
    g: F64
    """(k,) gradient of the mean negative log-likelihood."""
    H: F64
    """(k, k) its Hessian."""
    points: F64
    """(n, k) partial autocorrelations to be evaluated."""
    values: F64
    """(n,) mean negative log-likelihood there."""
    slopes: F64
    """(n, r) coefficients of the regressors there, in the units of `Data`."""
    step: F64
    free: I64
    """(k,) 0 for coordinates that are held on the edge."""
    L: F64
    trial: F64
    start: F64
    """(k,) where the step began, with its gradient."""
    start_g: F64
    axes: F64
    starts: F64
    """(runs, k) where to begin, the best first."""
    kept: F64
    """(k,) best end so far."""
    mode: I64
    """See `advance`."""
    real: F64
    """Value at the start of the step, what Newton promised, value of the best end so far."""


@kernel
def search_space(k: int, n_regressors: int) -> Search:
    """Room for k parameters."""
    n = max(1 + 2 * k + k * (k - 1) // 2, 8)
    return Search(
        np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((n, k)), np.zeros(n),
        np.zeros((n, n_regressors)), np.zeros(k), np.zeros(k, dtype=np.int64), np.zeros((k, k)),
        np.zeros(k), np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((_RUNS, k)), np.zeros(k),
        np.zeros(10, dtype=np.int64), np.zeros(3),
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
def place_point(at: Search) -> int:
    """Write the point alone."""
    for i in range(len(at.u)):
        at.points[0, i] = np.tanh(at.u[i])
    return 1


@kernel
def _place_neighbours(at: Search, pairs: bool) -> int:
    """Write the point, its neighbours on either side, and with `pairs` those two steps off; count them."""
    k = len(at.u)
    count = 1 + 2 * k
    place_point(at)
    for i in range(k):
        at.points[1 + 2 * i, :] = at.points[0]
        at.points[2 + 2 * i, :] = at.points[0]
        at.points[1 + 2 * i, i] = np.tanh(at.u[i] + STEP)
        at.points[2 + 2 * i, i] = np.tanh(at.u[i] - STEP)
    if pairs:
        for i in range(k):
            for j in range(i):
                at.points[count, :] = at.points[0]
                at.points[count, i] = at.points[1 + 2 * i, i]
                at.points[count, j] = at.points[1 + 2 * j, j]
                count += 1
    return count


@large_kernel
def _differences(at: Search, hessian: bool) -> None:
    """Gradient and, if asked for, Hessian from the values of the neighbours."""
    out_of_line()
    k, v = len(at.u), at.values
    for i in range(k):
        at.g[i] = (v[1 + 2 * i] - v[2 + 2 * i]) / (2.0 * STEP)
    if not hessian:
        return
    count = 1 + 2 * k
    for i in range(k):
        at.H[i, i] = (v[1 + 2 * i] - 2.0 * v[0] + v[2 + 2 * i]) / (STEP * STEP)
        for j in range(i):
            at.H[i, j] = (v[count] - v[1 + 2 * i] - v[1 + 2 * j] + v[0]) / (STEP * STEP)
            at.H[j, i] = at.H[i, j]
            count += 1


@large_kernel
def _bent_step(at: Search) -> bool:
    """Newton's step with every curvature made positive; return whether there is one to escape along.

    At a stationary point that bends down somewhere, the step goes there.
    """
    out_of_line()
    k = len(at.u)
    top, lowest = 0.0, 0
    for i in range(k):
        for j in range(k):
            held = at.free[i] == 0 or at.free[j] == 0
            at.L[i, j] = at.H[i, j] if not held else 0.0
    eigen(at.L, at.axes)
    for i in range(k):
        top = max(top, abs(at.L[i, i]))
        lowest = i if at.L[i, i] < at.L[lowest, lowest] else lowest
        at.step[i] = 0.0
    escape = at.L[lowest, lowest] < -_BENT * top
    for i in range(k):
        along = 0.0
        for j in range(k):
            along += at.axes[j, i] * at.trial[j]
        size = along / max(abs(at.L[i, i]), _FLAT * top, 1e-12)
        if escape and i == lowest and abs(size) < _FLAT:
            size = -1.0 if along < 0.0 else 1.0
        for j in range(k):
            at.step[j] += size * at.axes[j, i]
    return bool(escape)


@kernel
def _direction(at: Search) -> tuple[float, bool, bool]:
    """Write Newton's step, kept to a length.

    Returns what it promises, whether the Hessian was definite, and whether it clearly bends down somewhere.
    """
    k, escape = len(at.u), False
    for i in range(k):
        outward = abs(at.u[i]) >= _EDGE and at.g[i] * at.u[i] < 0.0
        at.free[i] = 0 if outward else 1
        at.trial[i] = 0.0 if outward else -at.g[i]
    definite = factor(at.H, at.free, at.L)
    if definite:
        solve(at.L, at.trial, at.step)
    else:
        escape = _bent_step(at)
    gain, longest = 0.0, 0.0
    for i in range(k):
        gain += 0.5 * at.trial[i] * at.step[i]
        longest = max(longest, abs(at.step[i]))
    if longest > _LONGEST:
        for i in range(k):
            at.step[i] *= _LONGEST / longest
    return gain, definite, escape


@kernel
def _clip(x: float) -> float:
    return min(max(x, -_EDGE), _EDGE)


@large_kernel
def _place_lengths(at: Search) -> int:
    """Write eight lengths of the step from `at.start`."""
    out_of_line()
    for row in range(8):
        for i in range(len(at.u)):
            at.points[row, i] = np.tanh(_clip(at.start[i] + _LENGTHS[row] * at.step[i]))
    return 8


@large_kernel
def _take_best_length(at: Search) -> bool:
    """Move to the best of the eight; back to the start, and False, where none is better than that."""
    out_of_line()
    best, length = at.real[0], 0.0
    for row in range(8):
        if at.values[row] < best:
            best, length = at.values[row], _LENGTHS[row]
    for i in range(len(at.u)):
        at.u[i] = _clip(at.start[i] + length * at.step[i])
    return length > 0.0


@large_kernel
def _bfgs(H: F64, s: F64, y: F64) -> None:
    """Update the Hessian by a step s and the change y of the gradient; left alone where they disagree."""
    out_of_line()
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
def _ask_derivatives(at: Search, pairs: bool) -> int:
    """Place the neighbours of `at.u`."""
    out_of_line()
    at.mode[PHASE], at.mode[PAIRS] = DERIVATIVES, int(pairs)
    return _place_neighbours(at, pairs)


@large_kernel
def begin(at: Search, count: int, n: int) -> int:
    """Take `count` starting points, which have been evaluated; return the number of points to evaluate."""
    out_of_line()
    for run in range(_RUNS):
        best = 0
        for row in range(1, count):
            if at.values[row] < at.values[best]:
                best = row
        at.values[best] = np.inf
        for i in range(len(at.u)):
            at.starts[run, i] = np.arctanh(at.points[best, i])
    for i in range(len(at.u)):
        at.u[i] = at.starts[0, i]
    at.mode[:] = 0
    at.mode[FRESH] = 1
    at.mode[RUNS] = _RUNS if len(at.u) > 2 and n < _SCARCE * len(at.u) else 1
    at.real[0], at.real[2] = np.inf, np.inf
    return _ask_derivatives(at, True)


@large_kernel
def _next_step(at: Search, n: int, cov: bool) -> int:
    """Decide from value, gradient and Hessian at `at.u`: end, or the points of the next step."""
    out_of_line()
    k, newton = len(at.u), len(at.u) <= _NEWTON
    gain, definite, escape = _direction(at)
    at.real[1] = gain * n
    small = at.real[1] < _GAIN
    over = at.mode[STEPS] >= _MAX_STEPS
    at.mode[DONE] = int(small)
    if (small and not escape and (at.mode[FRESH] == 1 or (definite and not cov))) or over:
        return 0
    at.mode[STEPS] += 1
    edge = 0.0
    for i in range(k):
        at.start[i], at.start_g[i] = at.u[i], at.g[i]
        edge = max(edge, abs(at.u[i]))
    if (at.mode[STEPS] > 4 and edge > 1.5 and not small) or escape:
        at.mode[PHASE] = LENGTHS
        return _place_lengths(at)
    if not small:
        for i in range(k):
            at.u[i] = _clip(at.start[i] + at.step[i])
    return _ask_derivatives(at, newton or small or at.mode[STEPS] % _REFRESH == 0)


@large_kernel
def _end(at: Search) -> int:
    """Keep the better end; begin again where the first is suspect, or data are scarce."""
    out_of_line()
    edge, k = 0.0, len(at.u)
    for i in range(k):
        edge = max(edge, abs(at.u[i]))
    if at.mode[RUN] == 0 and (at.mode[DONE] == 0 or edge > _SUSPECT):
        at.mode[RUNS] = max(at.mode[RUNS], 2)
    better = at.mode[RUN] == 0 or at.real[0] < at.real[2]
    if better:
        at.real[2], at.mode[KEPT_DONE] = at.real[0], at.mode[DONE]
        for i in range(k):
            at.kept[i] = at.u[i]
    at.mode[RUN] += 1
    if at.mode[RUN] < at.mode[RUNS]:
        for i in range(k):
            at.u[i] = at.starts[at.mode[RUN], i]
        at.real[0], at.mode[STEPS], at.mode[FAILED] = np.inf, 0, 0
        return _ask_derivatives(at, True)
    if better:
        return 0
    for i in range(k):
        at.u[i] = at.kept[i]
    at.mode[LAST], at.mode[DONE] = 1, at.mode[KEPT_DONE]
    return _ask_derivatives(at, True)


@large_kernel
def advance(at: Search, n: int, cov: bool) -> int:
    """Take the values of the points asked for; return how many points to evaluate next, 0 at the end.

    At the end `at.u` is the point, with its gradient, and with `cov` its Hessian and the regressions of its
    neighbours; `at.mode[DONE]` says whether it is a maximum.
    """
    out_of_line()
    if at.mode[PHASE] == LENGTHS:
        moved = _take_best_length(at)
        at.mode[FAILED] = 0 if moved else 1
        return _ask_derivatives(at, True)
    value, pairs = at.values[0], at.mode[PAIRS] == 1
    _differences(at, pairs)
    at.mode[FRESH] = at.mode[PAIRS]
    if at.mode[LAST] == 1:
        return 0
    if at.mode[FAILED] == 1:  # rounding decides here
        at.mode[FAILED], at.mode[DONE] = 0, int(at.real[1] < _LOST)
        return _end(at)
    if not value <= at.real[0] + _ROUNDING * (1.0 + abs(value)):
        if at.mode[STEPS] == 0:  # not even a start
            at.mode[DONE] = 0
            return _end(at)
        at.mode[PHASE] = LENGTHS
        return _place_lengths(at)
    if not pairs:
        _bfgs(at.H, at.u - at.start, at.g - at.start_g)
    at.real[0] = value
    count = _next_step(at, n, cov)
    return count if count > 0 else _end(at)
