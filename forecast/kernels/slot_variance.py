r"""Variance of the forecast errors of one slot, all steps at once.

The same three parts as `models/intervals`, for one series whose factors are at hand.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from forecast.kernels import slot_rows as at
from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.simd import WIDTH
from forecast.kernels.slot_rows import buffered_value
from forecast.kernels.step_lines import add_quadratic, add_squares, convolve, fill, step_later
from forecast.kernels.uncertainty import differenced, whiten
from forecast.types import F64, I64, Bool

Work: TypeAlias = tuple[F64, F64, F64, F64, F64]
"""Scratch of one call, made once: lines for gradients, one more than elements of the state, estimates or
lags; one line; (PAST + h,); (ORDER + h,); (factors + a vector,)."""


@kernel
def _history(row: F64, lay: I64, path: F64, offset: float, tilt: float, u: F64) -> None:
    """u_{T-p+1} .. u_{T+h}: what phi alone works on, less its mean."""
    f, levels = row[lay[at.F] : lay[at.F] + lay[at.DIFFERENCES]], row[lay[at.LEVELS] : lay[at.A]]
    differenced(f, lay[at.DIFFERENCES], levels, path[WIDTH:], lay[at.ORDER], offset, tilt, u)


@kernel
def _add_phi(row: F64, lay: I64, n: float, u: F64, work: Work, h: int, out: F64) -> None:
    """Add g' Gamma^{-1} g / n, g the derivatives to phi of an AR that follows `u` (p + h,)."""
    G, line, p, psi = work[0], work[1], lay[at.ORDER], lay[at.PSI]
    fill(line, u, p, h)
    convolve(row, psi, h, line, G[0])
    for lag in range(1, p + 1):
        step_later(G[lag - 1], row, psi, float(u[p - lag]), h, G[lag])
    which = -1 if lay[at.LAG_COUNT] == p else lay[at.LAGS]
    add_squares(G, lay[at.LAG_COUNT], row, which, row, lay[at.WHITENING], 1.0 / n, h, out)


@kernel
def _add_sums(row: F64, lay: I64, n: float, h: int, out: F64) -> None:
    """Add what follows from sums of psi: innovations, and the estimates of level and slope."""
    sigma2, squares, once, twice, psi = row[at.SIGMA2], 0.0, 0.0, 0.0, lay[at.PSI]
    level = sigma2 / n if lay[at.LEVEL] else 0.0
    trend = sigma2 / n * 12.0 / max(n * n - 1.0, 1.0) if lay[at.TREND] else 0.0
    shift = (n - 1.0) / 2.0 + row[at.LOOK_BACK]
    for k in range(h):
        squares += row[psi + k] * row[psi + k]
        once += row[psi + k]
        twice += once
        tilt = twice + shift * once
        out[WIDTH + k] += sigma2 * squares + level * once * once + trend * tilt * tilt


@kernel
def _asymptotic(row: F64, lay: I64, path: F64, n: float, work: Work, h: int, out: F64) -> None:
    """Add what the estimation of phi contributes, with `n` observations behind it."""
    offset, tilt, u = 0.0, 0.0, work[3][: lay[at.ORDER] + h]
    if not lay[at.REGRESSION]:
        tilt = row[at.SLOPE] / row[at.AT_ONE]
        offset = (row[at.CONST] + row[at.SLOPE] * row[at.T]) / row[at.AT_ONE] - tilt * row[at.MEAN_LAG]
    _history(row, lay, path, offset, tilt, u)
    _add_phi(row, lay, n, u, work, h, out)


@kernel
def _raw_column(row: F64, lay: I64, kind: int, index: int, X: F64, raw: F64) -> None:
    """Write the regressor of one estimate at T + 1 - PAST .. T + h."""
    first = row[at.T] + 1.0 - lay[at.PAST]
    for k in range(raw.shape[0]):
        if kind == at.SHAPES:
            raw[k] = 1.0 if index == 0 else first + k
        elif kind == at.SEASONS:
            raw[k] = 1.0 if (int(first) - 1 + k) % lay[at.SEASON] == index else 0.0
        elif not lay[at.REGRESSION]:
            raw[k] = X[index, k]
        else:
            raw[k] = buffered_value(row, lay, index, first + k)


@kernel
def _column(row: F64, lay: I64, code: int, X: F64, raw: F64, h: int, line: F64) -> None:
    """Write the regressor of one estimate at the next steps; in a REGRESSION filtered by the recursion."""
    past, a = lay[at.PAST], lay[at.A]
    _raw_column(row, lay, code % at.KINDS, code // at.KINDS, X, raw)
    for k in range(h):
        acc = raw[past + k]
        for j in range(past):
            acc -= row[a + j] * raw[past + k - 1 - j]
        line[WIDTH + k] = acc


@kernel
def _from_covariance(row: F64, lay: I64, path: F64, X: F64, work: Work, h: int, out: F64) -> None:
    """Write g' V g with the covariance of the estimates."""
    G, line, p, psi = work[0], work[1], lay[at.ORDER], lay[at.PSI]
    raw, u = work[2][: lay[at.PAST] + h], work[3][: p + h]
    if p > 0:
        _history(row, lay, path, 0.0, 0.0, u)
    for c in range(lay[at.COLUMNS]):
        code = int(row[lay[at.CODES] + c])
        if code % at.KINDS == at.PAST_VALUES:
            fill(line, u, p - code // at.KINDS, h)
        else:
            _column(row, lay, code, X, raw, h, line)
        convolve(row, psi, h, line, G[c])
    add_quadratic(G, lay[at.COLUMNS], row, lay[at.COVARIANCE], h, out)
    for k in range(h):
        out[WIDTH + k] = max(out[WIDTH + k], 0.0)


@kernel
def _add_state(row: F64, lay: I64, pool: F64, G: F64, h: int, out: F64) -> None:
    """Add what the unknown state contributes: r' P r, with r_k the derivatives of the path to the state."""
    L, M = lay[at.LEVEL_COUNT], lay[at.LEVEL_COUNT] + lay[at.MA]
    for j in range(M - 1, -1, -1):
        # A step later a value is the next older one; the oldest are forgotten.
        older = G[M] if j == L - 1 or j == M - 1 else G[j + 1]
        if j == L - 1 or j == M - 1:
            older[:] = 0.0
        step_later(older, row, lay[at.XI], float(row[lay[at.A] + j]), h, G[j])
    add_quadratic(G, M, pool, int(row[at.PLACE]), h, out)


@large_kernel
def error_variance(row: F64, lay: I64, path: F64, pool: F64, X: F64, work: Work, h: int, out: F64) -> None:
    """Write the variance of the forecast error at the next h steps, units of w squared.

    Parameters
    ----------
    row, lay
        A slot and its layout.
    path
        A line: the forecast in the units of the levels.
    pool
        Covariances of states.
    X
        (>= TERMS, h) regressors over the next steps.
    work
        Scratch.
    out
        A line.
    """
    out_of_line()
    for k in range(h):
        out[WIDTH + k] = 0.0
    n = row[at.USED]
    if not n > 0.0:
        n = max(row[at.T] - lay[at.WIDTH], 1.0)
    if lay[at.COLUMNS] > 0:
        _from_covariance(row, lay, path, X, work, h, out)
    elif lay[at.LAG_COUNT] > 0:
        _asymptotic(row, lay, path, n, work, h, out)
    _add_sums(row, lay, n, h, out)
    if not row[at.KNOWN]:
        _add_state(row, lay, pool, work[0], h, out)


@kernel
def whitening_rows(phi: F64, p: I64, out: F64, stationary: Bool) -> None:
    """Write the whitening matrices of `uncertainty.whiten` at the nonzero lags, lower triangles by rows.

    `phi` (n, width), `p` (n,), `out` (n, enough), `stationary` (n,): False where there is no such matrix.
    """
    size = phi.shape[1] + 1
    work, parcor, rho = np.empty(size), np.empty(size), np.empty(size)
    lags, w = np.empty(size, dtype=np.int64), np.empty((size, size))
    for i in range(phi.shape[0]):
        count = whiten(phi[i], p[i], work, parcor, rho, lags, w)
        stationary[i] = count >= 0
        place = 0
        for r in range(count):
            for c in range(r + 1):
                out[i, place] = w[r, c]
                place += 1
