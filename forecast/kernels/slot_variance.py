r"""Variance of the forecast errors of one slot, all steps at once.

The same three parts as `models/intervals`, for one series whose factors are at hand. Everything is a sum of
rows over the steps, so that the inner loops run along the steps.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from forecast.kernels import slot_rows as at
from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.slot_rows import buffered_value, triangle
from forecast.kernels.uncertainty import differenced, whiten
from forecast.types import F64, I64, Bool

Work: TypeAlias = tuple[F64, F64, F64, F64, F64]
"""Scratch of one call, made once; see `error_variance`."""


@kernel
def add_quadratic(G: F64, count: int, packed: F64, acc: F64, out: F64) -> None:
    """Add g_k' V g_k to out[k], with g_k column k of G (count, h) and V as a lower triangle by rows."""
    h = out.shape[0]
    for i in range(count):
        line = packed[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2]
        g = G[i]
        for k in range(h):
            acc[k] = 0.5 * line[i] * g[k]
        for j in range(i):
            v, other = line[j], G[j]
            for k in range(h):
                acc[k] += v * other[k]
        for k in range(h):
            out[k] += 2.0 * g[k] * acc[k]


@kernel
def convolve(psi: F64, x: F64, out: F64) -> None:
    """out[k] = sum_{j <= k} psi_j x_{k-j}."""
    h = out.shape[0]
    out[:] = 0.0
    for j in range(h):
        weight, ahead = psi[j], out[j:]
        for k in range(h - j):
            ahead[k] += weight * x[k]


@kernel
def _lag_gradients(psi: F64, u: F64, p: int, G: F64) -> None:
    """G[i] (h,): derivative to phi_i, i = 1 .. p (row 0 is scratch), of an AR that follows `u` (p + h,)."""
    h = psi.shape[0]
    convolve(psi, u[p:], G[0])
    for lag in range(1, p + 1):
        newest, before, g = u[p - lag], G[lag - 1], G[lag]
        g[0] = psi[0] * newest
        for k in range(1, h):
            g[k] = before[k - 1] + psi[k] * newest


@kernel
def _history(row: F64, lay: I64, path: F64, offset: float, tilt: float, u: F64) -> None:
    """u_{T-p+1} .. u_{T+h}: what phi alone works on, less its mean."""
    f, levels = row[lay[at.F] : lay[at.F] + lay[at.DIFFERENCES]], row[lay[at.LEVELS] : lay[at.A]]
    differenced(f, lay[at.DIFFERENCES], levels, path, lay[at.ORDER], offset, tilt, u)


@kernel
def _lag_at(row: F64, lay: I64, r: int) -> int:
    """Nonzero lag number r of phi, from 1."""
    return r + 1 if lay[at.LAG_COUNT] == lay[at.ORDER] else int(row[lay[at.LAGS] + r])


@kernel
def _add_phi(row: F64, lay: I64, n: float, G: F64, acc: F64, out: F64) -> None:
    """Add |W g|^2 / n."""
    h, start = out.shape[0], lay[at.WHITENING]
    for r in range(lay[at.LAG_COUNT]):
        acc[:] = 0.0
        for c in range(r + 1):
            w, g = row[start + c], G[_lag_at(row, lay, c)]
            for k in range(h):
                acc[k] += w * g[k]
        start += r + 1
        for k in range(h):
            out[k] += acc[k] * acc[k] / n


@kernel
def _add_level_and_trend(row: F64, lay: I64, psi: F64, n: float, out: F64) -> None:
    unit, once, twice = row[at.SIGMA2] / n, 0.0, 0.0
    shift, scale = (n - 1.0) / 2.0 + row[at.LOOK_BACK], np.sqrt(12.0 / max(n * n - 1.0, 1.0))
    for k in range(out.shape[0]):
        once += psi[k]
        twice += once
        if lay[at.LEVEL]:
            out[k] += unit * once * once
        if lay[at.TREND]:
            tilt = (twice + shift * once) * scale
            out[k] += unit * tilt * tilt


@kernel
def _asymptotic(row: F64, lay: I64, path: F64, psi: F64, G: F64, acc: F64, u: F64, out: F64) -> None:
    n = row[at.USED]
    if not n > 0.0:
        n = max(row[at.T] - lay[at.WIDTH], 1.0)
    if lay[at.LEVEL] or lay[at.TREND]:
        _add_level_and_trend(row, lay, psi, n, out)
    if lay[at.LAG_COUNT] > 0:
        offset, tilt = 0.0, 0.0
        if not lay[at.REGRESSION]:
            tilt = row[at.SLOPE] / row[at.AT_ONE]
            offset = (row[at.CONST] + row[at.SLOPE] * row[at.T]) / row[at.AT_ONE] - tilt * row[at.MEAN_LAG]
        _history(row, lay, path, offset, tilt, u)
        _lag_gradients(psi, u, lay[at.ORDER], G)
        _add_phi(row, lay, n, G, acc, out)


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
def _column(row: F64, lay: I64, code: int, X: F64, raw: F64, out: F64) -> None:
    """Write the regressor of one estimate at the next steps; in a REGRESSION filtered by the recursion."""
    past, a = lay[at.PAST], lay[at.A]
    _raw_column(row, lay, code % at.KINDS, code // at.KINDS, X, raw)
    for k in range(out.shape[0]):
        acc = raw[past + k]
        for j in range(past):
            acc -= row[a + j] * raw[past + k - 1 - j]
        out[k] = acc


@kernel
def _from_covariance(row: F64, lay: I64, psi: F64, X: F64, work: Work, total: F64) -> None:
    """Write g' V g with the covariance of the estimates."""
    G, acc, h, p = work[0], work[1], psi.shape[0], lay[at.ORDER]
    raw, u = work[2][: lay[at.PAST] + h], work[3][: p + h]
    if p > 0:
        _history(row, lay, work[4], 0.0, 0.0, u)
    for c in range(lay[at.COLUMNS]):
        code = int(row[lay[at.CODES] + c])
        if code % at.KINDS == at.PAST_VALUES:
            lag = code // at.KINDS
            convolve(psi, u[p - lag : p - lag + h], G[c])
        else:
            _column(row, lay, code, X, raw, acc)
            convolve(psi, acc, G[c])
    start = lay[at.COVARIANCE]
    total[:] = 0.0
    add_quadratic(G, lay[at.COLUMNS], row[start : start + triangle(lay[at.COLUMNS])], acc, total)
    for k in range(h):
        total[k] = max(total[k], 0.0)


@kernel
def _add_state(row: F64, lay: I64, psi: F64, pool: F64, G: F64, acc: F64, xi: F64, out: F64) -> None:
    """Add what the unknown state contributes: r' P r, with r_k the derivatives of the path to the state."""
    h, L, M, a = out.shape[0], lay[at.LEVEL_COUNT], lay[at.LEVEL_COUNT] + lay[at.MA], lay[at.A]
    xi[0] = 1.0  # the response to a level: psi without the moving average
    for k in range(1, h):
        total = 0.0
        for j in range(min(k, lay[at.WIDTH])):
            total += row[a + j] * xi[k - 1 - j]
        xi[k] = total
    for j in range(M - 1, -1, -1):
        factor, r = row[a + j], G[j]
        for k in range(h):
            r[k] = factor * xi[k]
        if j != L - 1 and j != M - 1:  # a step later a value is the next older one
            older = G[j + 1]
            for k in range(1, h):
                r[k] += older[k - 1]
    place = int(row[at.PLACE])
    add_quadratic(G, M, pool[place : place + triangle(M)], acc, out)


@large_kernel
def error_variance(row: F64, lay: I64, path: F64, pool: F64, X: F64, work: Work, out: F64) -> None:
    """Write the variance of the forecast error at the next steps, units of w squared.

    Parameters
    ----------
    row, lay
        A slot and its layout.
    path
        (h,) forecast in the units of the levels.
    pool
        Covariances of states.
    X
        (>= TERMS, h) regressors over the next steps.
    work
        Scratch: (rows, h) with a row for every element of the state, every estimate and lag + 1; (h,);
        (PAST + h,); (ORDER + h,); (h,).
    out
        (h,)
    """
    out_of_line()
    G, acc, h = work[0], work[1], out.shape[0]
    psi = row[lay[at.PSI] : lay[at.PSI] + h]
    if lay[at.COLUMNS] > 0:
        work[4][:] = path
        _from_covariance(row, lay, psi, X, work, out)
    else:
        out[:] = 0.0
        if not lay[at.CERTAIN]:
            _asymptotic(row, lay, path, psi, G, acc, work[3][: lay[at.ORDER] + h], out)
    total = 0.0
    for k in range(h):
        total += psi[k] * psi[k]
        out[k] += row[at.SIGMA2] * total
    if not row[at.KNOWN]:
        _add_state(row, lay, psi, pool, G, acc, work[4], out)


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
