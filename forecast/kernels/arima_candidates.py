"""Candidate models of many series: likelihoods maximised over models whose roots keep off the unit circle.

A candidate begins at the best of a few starts, the point of a model tried before among them, and ends where
Newton promises less than `gain` of log-likelihood. The search runs in the partial autocorrelations k of
factors 1 - sum c_i L^i as `forecast.kernels.arma_search` does, and the model at k has coefficients c_i r^i
(c_i r^(s i) in seasonal factors): every point has all its poles within r, and every such model is a point.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arima_data import Regression, prepare
from forecast.kernels.arima_fit import FAILED, FITTED, Fits, write_estimates
from forecast.kernels.arma_buffers import Data, pad_of, places
from forecast.kernels.arma_neighbours import (
    DONE,
    PHASE,
    RUN,
    RUNS,
    WHOLE,
    Search,
    place_point,
    search_space,
    values_at,
)
from forecast.kernels.arma_polynomial import Shape, shape_of
from forecast.kernels.arma_search import DERIVATIVES, advance, begin
from forecast.kernels.arma_start import starting_points
from forecast.kernels.simd import buffer
from forecast.types import F64, I64, U8

_STARTING, _RANKING, _CLIMBING, _ENDING, _CURVING, _CLOSING = range(6)
# Log-likelihood left to gain where a search that runs out of steps has converged for all that matters.
_LOST = 1e-3
# A run is given up after this many steps where more is missing to what it must reach than this many times
# what Newton promises.
_PATIENCE, _HOPE = 3, 10.0


class Scores(NamedTuple):
    """What became of m candidates, written in place."""

    loglik: F64
    n_used: I64
    n_regressors: I64
    """(m,) kept ones, constant and slope among them."""
    point: F64
    """(m, c) k of phi, -theta, Phi, -Theta one after another."""
    code: U8


class Effort(NamedTuple):
    """How far a candidate is maximised."""

    runs: int
    """Starts that are followed to their end."""
    steps: int
    """Most steps of each."""
    gain: float
    """Log-likelihood left to gain."""
    radius: float
    """Bound of the poles of both sides."""
    nearest: float
    """Points of earlier models are taken up from no nearer to 1: there the likelihood is flat."""
    estimate: bool
    """Whether to write `Fits`, with standard errors."""


class Climb(NamedTuple):
    """Where a candidate stands, over its runs."""

    starts: F64
    """(8 or more, k)"""
    values: F64
    """(runs,) at the best starts."""
    kept: F64
    """(k,) best end so far."""
    best: F64
    """Its value, the log-likelihood that Newton promised there, that promised in this run, and what the
    value must reach."""
    state: I64
    """Phase, run, steps of it, starts to follow, and from here on which these are."""


@kernel
def _write_starts(shape: Shape, data: Data, at: Search, climb: Climb, near: F64, nearest: float) -> int:
    """Write plain starts, in place of the last one the point of an earlier model (NaN: none); count them."""
    pad = data.columns.shape[1] - data.n
    count = starting_points(shape, data.columns[-1, pad:], False, at.points, at.family)
    if not np.isnan(near[0]):
        for i in range(shape.n_arma):
            at.points[count - 2, i] = min(max(near[i], -nearest), nearest)  # Hannan-Rissanen is the last
    for row in range(count):
        climb.starts[row, :] = at.points[row]
    return count


@kernel
def _rank(at: Search, climb: Climb, count: int) -> int:
    """Note the best starts; return how many there are."""
    kept = 0
    for run in range(len(climb.values)):
        best = 0
        for row in range(1, count):
            if at.values[row] < at.values[best]:
                best = row
        if not at.values[best] < np.inf:
            break
        climb.values[run], at.values[best] = at.values[best], np.inf
        climb.state[4 + run] = best
        kept += 1
    return kept


@kernel
def _seed(at: Search, climb: Climb, n: int) -> int:
    """Begin the next run."""
    run = climb.state[1]
    at.points[0, :] = climb.starts[climb.state[4 + run]]
    at.values[0] = climb.values[run]
    count = begin(at, 1, n, WHOLE)
    # Runs are counted here: this is the last one there, with no end to compare it with.
    at.mode[RUN] = RUNS - 1
    at.kept[:] = np.inf
    climb.state[0], climb.state[2] = _CLIMBING, 0
    return count


@kernel
def _inside(shape: Shape, k: F64, radius: float) -> None:
    """Replace partial autocorrelations by those of the model with c_i r^i for c_i."""
    at, old = 0, np.empty(max(shape.p, shape.q, shape.P, shape.Q, 1))
    for block in range(4):
        size = (shape.p, shape.q, shape.P, shape.Q)[block]
        step = radius if block < 2 else radius**shape.s
        for r in range(size):
            last = k[at + r]
            for j in range(r):
                old[j] = k[at + j]
            for j in range(r):
                k[at + j] = old[j] - last * old[r - 1 - j]
        scale = 1.0
        for r in range(size):
            scale *= step
            k[at + r] *= scale
        for r in range(size - 1, 0, -1):
            last = k[at + r]
            for j in range(r):
                old[j] = k[at + j]
            for j in range(r):
                k[at + j] = (old[j] + last * old[r - 1 - j]) / (1.0 - last * last)
        at += size


@large_kernel
def _climbed(at: Search, climb: Climb, n: int, effort: Effort) -> int:
    """Go on with a run; return how many points to evaluate next, 0 at its end."""
    out_of_line()
    count = advance(at, n, False)
    climb.state[2] += 1
    missing = n * (at.real[0] - min(climb.best[0], climb.best[3]))
    hopeless = missing > _HOPE * at.real[1] and climb.state[2] >= _PATIENCE
    spent = climb.state[2] >= effort.steps or hopeless
    climb.best[2] = 0.0 if at.mode[DONE] == 1 else at.real[1]
    if count == 0 or not (spent or (at.mode[PHASE] == DERIVATIVES and at.real[1] < effort.gain)):
        return count
    climb.state[0] = _ENDING
    if at.mode[PHASE] != DERIVATIVES:
        at.u[:] = at.start
    return place_point(at)  # where the last step leads


@large_kernel
def _ended(at: Search, climb: Climb) -> bool:
    """Keep the end of a run if it is the best; return whether it was the last run."""
    out_of_line()
    value = at.values[0]
    if not value <= at.real[0]:  # the last step was one too many
        at.u[:] = at.start
        value = at.real[0]
    if value < climb.best[0]:
        climb.best[0], climb.best[1] = value, climb.best[2]
        climb.kept[:] = at.u
    climb.state[1] += 1
    return bool(climb.state[1] >= climb.state[3])


@large_kernel
def _next(shape: Shape, data: Data, at: Search, climb: Climb, near: F64, count: int, effort: Effort) -> int:
    """Take what was evaluated; return how many points to evaluate next, 0 at the end."""
    out_of_line()
    state, over = climb.state, False
    if state[0] == _STARTING:
        state[0] = _RANKING
        return _write_starts(shape, data, at, climb, near, effort.nearest)
    if state[0] == _CURVING:
        advance(at, data.n_obs, effort.estimate)
        at.u[:] = climb.kept
        state[0] = _CLOSING
        return place_point(at)  # the point by itself: its neighbours were in the lanes
    if state[0] == _CLOSING:
        return 0
    if state[0] == _RANKING:
        state[3] = _rank(at, climb, count)
        over = state[3] == 0
    else:
        if state[0] == _CLIMBING:
            more = _climbed(at, climb, data.n_obs, effort)
            if more > 0:
                return more
        over = _ended(at, climb)
    if not over:
        return _seed(at, climb, data.n_obs)
    if not effort.estimate or not climb.best[0] < np.inf:
        return 0
    return _curve(shape, data, at, climb, effort)


@kernel
def _curve(shape: Shape, data: Data, at: Search, climb: Climb, effort: Effort) -> int:
    """Ask for the derivatives by the partial autocorrelations of the model itself, and go over to these."""
    for i in range(shape.n_arma):
        at.points[0, i] = np.tanh(climb.kept[i])
    _inside(shape, at.points[0], effort.radius)
    for i in range(shape.n_arma):
        climb.kept[i] = np.arctanh(at.points[0, i])
    at.values[0] = climb.best[0]
    climb.state[0] = _CURVING
    return begin(at, 1, data.n_obs, WHOLE)


@large_kernel
def _store(shape: Shape, data: Data, made: Regression, climb: Climb, row: int, out: Scores) -> int:
    """Write the score of one candidate; return its code."""
    out_of_line()
    if not climb.best[0] < np.inf:
        return FAILED
    n = data.n_obs
    for i in range(shape.n_arma):
        out.point[row, i] = np.tanh(climb.kept[i])
    out.n_used[row], out.n_regressors[row] = n, made.r
    out.loglik[row] = made.log_free - n * (climb.best[0] + _constant(made))
    return FITTED


@kernel
def _constant(made: Regression) -> float:
    """Return what a value lacks of the mean negative log-likelihood."""
    return float(0.5 * np.log(2.0 * np.pi) + 0.5 + np.log(made.unit))


@kernel
def _design(X: F64, lo: int, hi: int, trend: int) -> F64:
    """Constant, slope and regressors of one series."""
    more = trend % 2 + trend // 2
    design = np.ones((more + X.shape[0], hi - lo))
    for t in range(hi - lo):
        if trend >= 2:
            design[more - 1, t] = t + 1
        for j in range(X.shape[0]):
            design[more + j, t] = X[j, lo + t]
    return design


@large_kernel
def climb_rows(
    y: F64, indptr: I64, X: F64, series: I64, trends: I64, orders: I64, near: F64, needed: F64,
    effort: Effort, first: int, last: int, out: Scores, fits: Fits,
) -> None:  # fmt: skip
    """Maximise the likelihoods of candidates first..last - 1.

    Parameters
    ----------
    y, indptr
        (N,) levels, NaN where missing, but not at the ends of a series, and (n + 1,) bounds of the series.
    X
        (k, N) regressors, finite where `y` is.
    series, trends, orders
        (m,) series of each candidate; (m,) 1: with a constant, 2: a slope, 3: both, 0: neither;
        (m, 7) p, d, q, P, D, Q, s.
    near
        (m, >= 1) points to begin at, in the layout of `Scores.point`; NaN first: none.
    needed
        (m,) log-likelihoods; a candidate that will not reach its own is given up on the way.
    fits
        Written where `effort.estimate` says so; the same trend in all rows then.
    """
    out_of_line()
    for row in range(first, last):
        order, i = orders[row], series[row]
        design = _design(X, int(indptr[i]), int(indptr[i + 1]), trends[row])
        ar_lags = np.zeros(order[0] + order[6] * order[3] + 1, dtype=np.int64)
        ma_lags = np.zeros(order[2] + order[6] * order[5] + 1, dtype=np.int64)
        shape = shape_of(order[0], order[2], order[3], order[5], order[6], ar_lags, ma_lags)
        levels, pad = y[indptr[i] : indptr[i + 1]], pad_of(shape)
        data, made = prepare(levels, design, order[1], order[4], order[6], pad)
        out.code[row] = FAILED
        if data.n_obs < 1 or np.isnan(made.log_free):
            continue
        rows = places(shape, data.n, data.columns.shape[0], len(data.holes), len(data.diff) - 1)
        work, at = buffer(rows.size), search_space(shape.n_arma, made.r)
        climb = Climb(
            np.zeros((len(at.points), shape.n_arma)), np.zeros(effort.runs), np.zeros(shape.n_arma),
            np.full(4, np.inf), np.zeros(4 + effort.runs, dtype=np.int64),
        )  # fmt: skip
        climb.best[3] = (made.log_free - needed[row]) / data.n_obs - _constant(made)
        points = row - row  # no literal: of one in a call numba compiles a copy of what is called
        while True:
            points = _next(shape, data, at, climb, near[row], points, effort)
            if points == 0:
                break
            if climb.state[0] < _CURVING:
                for j in range(points):
                    _inside(shape, at.points[j], effort.radius)
            values_at(shape, ar_lags, ma_lags, data, work, rows, points, at)
        out.code[row] = _store(shape, data, made, climb, row, out)
        if effort.estimate and out.code[row] == FITTED:
            at.mode[DONE] = int(climb.best[1] < _LOST)
            fits.code[row] = write_estimates(shape, data, made, work, rows, at, row, effort.estimate, fits)
