"""Maximum likelihood by Newton steps whose derivatives come from SIMD lanes.

A point and all its neighbours one step away are lanes of one pass, so that the gradient and the Hessian cost
little more than the value. Up to `_NEWTON` parameters every step has its own Hessian; with more of them it is
kept up by the BFGS formula and made anew from time to time, and at the end.

With gaps a likelihood costs five times as much. Then the data are filled and searched first, and the search
with gaps begins where that one ended.

The search runs in u = artanh of the partial autocorrelations of each factor, where every point is a
stationary and invertible model. Source: Nocedal and Wright (2006), *Numerical Optimization*, ch. 3 and 6.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_neighbours import (
    BOTH,
    DONE,
    DRAFT,
    EXTRA,
    FAILED,
    FINAL,
    FRESH,
    KEPT_DONE,
    LAST,
    PAIRS,
    PHASE,
    RUN,
    RUNS,
    SLOW,
    STAGE,
    STEPS,
    Search,
    place_neighbours,
    write_derivatives,
)
from forecast.kernels.arma_start import FAMILIES
from forecast.kernels.curvature import eigen, factor, solve
from forecast.types import F64

DERIVATIVES, LENGTHS = 0, 1
"""Phases: what was asked for last."""
_NEWTON = 6
_REFRESH = 5
_MAX_STEPS = 150
# Newton's promise of what is left to gain, in log-likelihood: 1e-10 is 1e-5 standard errors.
_GAIN = 1e-10
# ... and of filled data, whose maxima are off by more.
_GAIN_DRAFT = 1e-3
# Beyond, the partial autocorrelation is within 2e-7 of 1 and the likelihood flat: the search stays there.
_EDGE = 8.0
_LONGEST = 1.0
# Rounding of the objective, relative.
_ROUNDING = 1e-14
# Where no length of the step gains anything, rounding decides: an end, unless Newton promised more than this.
_NOISE = 1.0
# Where steps ran out on a ridge: an end, if Newton promised no more than this.
_LOST = 1e-2
# A search that ends this far out may have missed a maximum inside: it is begun a second time elsewhere.
_SUSPECT = 3.0
# ... and so it is with fewer than `_SCARCE` observations a parameter: then the likelihood has several maxima
# not far from one another.
_SCARCE = 60
# A family of starts is searched from where its best is within this log-likelihood of the best end so far;
# those with complex pairs, of which there are more, within the second.
_NEAR = 25.0
_NEAR_COMPLEX = 15.0
# With gaps an end of the filled data is a start from where little is left to gain.
_NEAR_FINAL = 5.0
# A search begun again is over when what Newton promises is below this, and not a quarter of what it lacks.
_SURE = 3.0
# ... or when it is this near to an end that is known.
_SAME = 0.05
# The likelihood counts as flat after `_PATIENCE` steps in a row that gained less than this.
_STILL = 1e-5
_PATIENCE = 3
# Steps after which pairs of neighbours are taken on both sides.
_HARD = 5
# A Hessian bends down where an eigenvalue is below minus this share of the largest one; less is rounding.
_BENT = 1e-5
_FLAT = 1e-6
# Lengths that are tried at once, in steps of Newton.
_LENGTHS = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.05, 0.005, 0.0005])


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
    at.mode[BOTH] = int(len(at.u) < 4 or at.mode[STEPS] > _HARD)
    return place_neighbours(at, pairs, at.mode[BOTH] == 1)


@kernel
def _take_best(at: Search, count: int, family: int, run: int) -> None:
    """Make the best start of a family that of a run, and strike it off."""
    best = -1
    for row in range(count):
        if at.family[row] == family and (best < 0 or at.values[row] < at.values[best]):
            best = row
    if best >= 0:
        at.offers[run], at.values[best] = at.values[best], np.inf
        for i in range(len(at.u)):
            at.starts[run, i] = np.arctanh(at.points[best, i])


@large_kernel
def place_ends(at: Search, count: int) -> None:
    """Put the ends of a draft in the place of the last of `count` starting points, the best last."""
    out_of_line()
    row = count
    for _ in range(RUNS):
        best, new = 0, row > 0
        for run in range(1, RUNS):
            best = run if at.offers[run] < at.offers[best] else best
        for other in range(row, count):
            far = 0.0
            for i in range(len(at.u)):
                far = max(far, abs(np.arctanh(at.points[other, i]) - at.starts[best, i]))
            new = new and far > _SAME
        if new and np.isfinite(at.offers[best]):
            row -= 1
            for i in range(len(at.u)):
                at.points[row, i] = np.tanh(at.starts[best, i])
        at.offers[best] = np.inf


@large_kernel
def begin(at: Search, count: int, n: int, stage: int) -> int:
    """Take `count` starting points, which have been evaluated; return the number of points to evaluate."""
    out_of_line()
    at.offers[:] = np.inf
    for run in range(RUNS):
        _take_best(at, count, run if run <= FAMILIES else 0, run)
    for i in range(len(at.u)):
        at.u[i] = at.starts[0, i]
    at.mode[:] = 0
    at.mode[FRESH], at.mode[STAGE] = 1, stage
    scarce = len(at.u) > 2 and n < _SCARCE * len(at.u) and stage != FINAL
    at.mode[EXTRA] = RUNS - 1 - FAMILIES if scarce else 0
    at.real[0], at.real[2] = np.inf, np.inf
    return _ask_derivatives(at, True)


@kernel
def _beaten(at: Search, gain: float) -> bool:
    """Whether a search begun again will end below the best end so far, or at it."""
    far = 0.0
    for i in range(len(at.u)):
        far = max(far, abs(at.u[i] - at.kept[i]))
    return at.real[1] < _SURE and (at.real[0] - 4.0 * gain > at.real[2] or far < _SAME)


@large_kernel
def _next_step(at: Search, n: int, cov: bool) -> int:
    """Decide from value, gradient and Hessian at `at.u`: end, or the points of the next step."""
    out_of_line()
    k, newton = len(at.u), len(at.u) <= _NEWTON
    gain, definite, escape = _direction(at)
    at.real[1] = gain * n
    small = at.real[1] < (_GAIN_DRAFT if at.mode[STAGE] == DRAFT else _GAIN)
    over = at.mode[STEPS] >= _MAX_STEPS
    flat = at.mode[SLOW] >= _PATIENCE
    beaten = at.mode[RUN] > 0 and definite and _beaten(at, gain)
    at.mode[DONE] = int(small or flat or ((over or beaten) and at.real[1] < _LOST))
    fresh = at.mode[FRESH] == 1
    if (small and not escape and (fresh or (definite and not cov))) or over or (flat and fresh):
        return 0
    if beaten and (fresh or at.real[0] >= at.real[2]):
        return 0
    at.mode[STEPS] += 1
    edge = 0.0
    for i in range(k):
        at.start[i], at.start_g[i] = at.u[i], at.g[i]
        edge = max(edge, abs(at.u[i]))
    still = small or flat or beaten
    if (at.mode[STEPS] > 4 and edge > 1.5 and not still) or escape:
        at.mode[PHASE] = LENGTHS
        return _place_lengths(at)
    if not still:
        for i in range(k):
            at.u[i] = _clip(at.start[i] + at.step[i])
    return _ask_derivatives(at, newton or still or at.mode[STEPS] % _REFRESH == 0)


@large_kernel
def _end(at: Search, n: int) -> int:
    """Keep the better end; begin again elsewhere as long as there is reason to."""
    out_of_line()
    edge, k, final = 0.0, len(at.u), at.mode[STAGE] == FINAL
    at.offers[at.mode[RUN]] = at.real[0]
    for i in range(k):
        at.starts[at.mode[RUN], i] = at.u[i]
        edge = max(edge, abs(at.u[i]))
    if at.mode[RUN] == 0 and (at.mode[DONE] == 0 or (edge > _SUSPECT and not final)):
        at.mode[EXTRA] = max(at.mode[EXTRA], 1)
    better = at.mode[RUN] == 0 or at.real[0] < at.real[2]
    if better:
        at.real[2], at.mode[KEPT_DONE] = at.real[0], at.mode[DONE]
        for i in range(k):
            at.kept[i] = at.u[i]
    for run in range(at.mode[RUN] + 1, RUNS):
        bound = _NEAR if run <= FAMILIES - 2 else _NEAR_COMPLEX
        near = (at.offers[run] - at.real[2]) * n < (_NEAR_FINAL if final else bound)
        if near if run <= FAMILIES or (final and near) else run <= FAMILIES + at.mode[EXTRA]:
            for i in range(k):
                at.u[i] = at.starts[run, i]
            at.real[0], at.mode[RUN] = np.inf, run
            at.mode[STEPS], at.mode[FAILED], at.mode[SLOW] = 0, 0, 0
            return _ask_derivatives(at, True)
        at.offers[run] = np.inf
    if better or at.mode[STAGE] == DRAFT:
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
    write_derivatives(at, pairs, at.mode[BOTH] == 1)
    at.mode[FRESH] = at.mode[PAIRS]
    if at.mode[LAST] == 1:
        return 0
    if at.mode[FAILED] == 1:  # rounding decides here
        at.mode[FAILED], at.mode[DONE] = 0, int(at.real[1] < _NOISE)
        return _end(at, n)
    if not value <= at.real[0] + _ROUNDING * (1.0 + abs(value)):
        if at.mode[STEPS] == 0:  # not even a start
            at.mode[DONE] = 0
            return _end(at, n)
        at.mode[PHASE] = LENGTHS
        return _place_lengths(at)
    if not pairs:
        _bfgs(at.H, at.u - at.start, at.g - at.start_g)
    at.mode[SLOW] = at.mode[SLOW] + 1 if (at.real[0] - value) * n < _STILL else 0
    at.real[0] = value
    count = _next_step(at, n, cov)
    return count if count > 0 else _end(at, n)
