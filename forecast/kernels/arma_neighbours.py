"""A point of the search and its neighbours: where they are, their likelihoods, and derivatives from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Data, Places
from forecast.kernels.arma_likelihood import coefficient, evaluate, load_lanes, objective
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.arma_start import FAMILIES, MOST
from forecast.kernels.simd import WIDTH
from forecast.types import F64, I64

# Step of the differences. The error of a gradient is 1e-9 of the mean log-likelihood by truncation (step^2 /
# 6), and as much by rounding (1e-13 / step); that of a Hessian 1e-4 and 1e-5, in units of the data.
STEP = 1e-4
RUNS = 1 + FAMILIES + 2
PHASE, PAIRS, FRESH, STEPS, RUN, EXTRA, DONE, KEPT_DONE, FAILED, LAST, SLOW, BOTH, STAGE = range(13)
"""Places in `Search.mode`."""
WHOLE, DRAFT, FINAL = 0, 1, 2
"""Stages: a search of its own; one of filled data, for its ends; and one from these ends."""


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
    """(runs, k) where to begin, the best first; of runs that are over where they ended."""
    offers: F64
    """(runs,) values there; inf for runs that were left out."""
    family: I64
    """(n,) of starting points."""
    kept: F64
    """(k,) best end so far."""
    mode: I64
    """See `advance`."""
    real: F64
    """Value at the start of the step, what Newton promised, value of the best end so far."""


@kernel
def search_space(k: int, n_regressors: int) -> Search:
    """Room for k parameters."""
    n = max(1 + 2 * k + k * (k - 1), MOST)
    return Search(
        np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((n, k)), np.zeros(n),
        np.zeros((n, n_regressors)), np.zeros(k), np.zeros(k, dtype=np.int64), np.zeros((k, k)),
        np.zeros(k), np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((RUNS, k)),
        np.zeros(RUNS), np.zeros(n, dtype=np.int64), np.zeros(k),
        np.zeros(STAGE + 1, dtype=np.int64), np.zeros(3),
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
def place_neighbours(at: Search, pairs: bool, both: bool) -> int:
    """Write the point, its neighbours on either side, and with `pairs` those two steps off; count them.

    With `both` these are on two sides, too: the error of the Hessian is then the square of the step.
    """
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
                if both:
                    at.points[count, :] = at.points[0]
                    at.points[count, i] = at.points[2 + 2 * i, i]
                    at.points[count, j] = at.points[2 + 2 * j, j]
                    count += 1
    return count


@large_kernel
def write_derivatives(at: Search, hessian: bool, both: bool) -> None:
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
            bend = v[count] - v[1 + 2 * i] - v[1 + 2 * j] + v[0]
            if both:
                bend = 0.5 * (bend + (v[count + 1] - v[2 + 2 * i] - v[2 + 2 * j] + v[0]))
            at.H[i, j], at.H[j, i] = bend / (STEP * STEP), bend / (STEP * STEP)
            count += 2 if both else 1
