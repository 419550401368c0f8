"""ARX along the lasso path, the point on it chosen by BIC."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.design import build_design
from forecast.kernels.qr import reflect, solve
from forecast.types import F64, I64, U8

# Points of the path from the smallest penalty that leaves nothing down to 1e-4 of it: steps of 17 %,
# finer than the choice by BIC can tell apart.
_POINTS = 60
_SHORTEST = 1e-4

# Coordinate descent stops when no coefficient moves by more than this share of the target's deviation.
_TOLERANCE = 1e-9
_SWEEPS = 2000


@kernel
def fit_lasso(
    values: F64,
    indptr: I64,
    first: int,
    last: int,
    exog: F64,
    term_row: I64,
    term_lag: I64,
    const: bool,
    slope: bool,
    season: int,
    lags: I64,
    coef: F64,
    sigma2: F64,
    kept: U8,
    used: I64,
) -> None:
    r"""Fit rows first..last; parameters as in `fit_arx`.

    .. math:: \min_b \tfrac1{2n} \|y - Xb\|^2 + \lambda \sum_j s_j |b_j|

    over the columns after const, slope and season (which are projected out and never penalised), with
    s_j their standard deviation after that, for falling lambda; BIC with the number of nonzero
    coefficients as degrees of freedom (Zou, Hastie & Tibshirani 2007) chooses. Coordinate descent on
    the Gram matrix: Friedman, Hastie & Tibshirani (2010).
    """
    fixed = int(const) + int(slope) + season
    k = fixed + len(term_row) + len(lags)
    hold = lags[-1] if len(lags) > 0 else 0
    for i in range(first, last):
        lo, hi = indptr[i], indptr[i + 1]
        x, target = np.empty((k, hi - lo)), np.empty(hi - lo)
        n = build_design(
            values[lo:hi], exog[:, lo:hi], term_row, term_lag, const, slope, season, lags, hold, x, target
        )
        coef[i, :] = 0.0
        used[i] = n if n > fixed + 2 else 0
        sigma2[i] = np.nan
        if n > fixed + 2:
            whole, y = x[:, :n].copy(), target[:n].copy()
            _project_out(x, target, n, fixed)
            _path(x[fixed:], target, n, fixed, coef[i, fixed:])
            sigma2[i] = _finish(whole, y, fixed, coef[i])
        for j in range(k):
            kept[i, j] = 1 if coef[i, j] != 0 else 0


@kernel
def _project_out(x: F64, y: F64, n: int, fixed: int) -> None:
    """Replace y and the columns after `fixed` by what the fixed ones do not explain (twice is enough)."""
    for _ in range(2):
        for j in range(fixed):
            norm = np.dot(x[j, :n], x[j, :n])
            if norm <= 1e-20:
                continue
            for i in range(j + 1, x.shape[0]):
                _subtract(x[j], x[i], n, np.dot(x[j, :n], x[i, :n]) / norm)
            _subtract(x[j], y, n, np.dot(x[j, :n], y[:n]) / norm)


@kernel
def _subtract(v: F64, target: F64, n: int, share: float) -> None:
    for t in range(n):
        target[t] -= share * v[t]


@kernel
def _path(x: F64, y: F64, n: int, fixed: int, best: F64) -> None:
    k = x.shape[0]
    gram, cross, size = np.empty((k, k)), np.empty(k), np.empty(k)
    for i in range(k):
        size[i] = np.sqrt(np.dot(x[i, :n], x[i, :n]) / n)
    for i in range(k):
        cross[i] = np.dot(x[i, :n], y[:n]) / n / size[i] if size[i] > 0 else 0.0
        for j in range(k):
            gram[i, j] = (
                np.dot(x[i, :n], x[j, :n]) / n / (size[i] * size[j]) if size[i] * size[j] > 0 else 0.0
            )
    total = np.dot(y[:n], y[:n]) / n
    top = np.abs(cross).max()
    b, lowest = np.zeros(k), np.inf
    for point in range(_POINTS):
        _descend(gram, cross, size, top * _SHORTEST ** (point / (_POINTS - 1.0)), np.sqrt(total), b)
        rss, active = total, 0
        for i in range(k):
            rss -= b[i] * (2.0 * cross[i] - np.dot(gram[i], b))
            active += b[i] != 0.0
        if rss <= 0 or n - fixed - active <= 1:
            break
        bic = n * np.log(rss) + np.log(n) * (fixed + active)
        if bic < lowest:
            lowest = bic
            for i in range(k):
                best[i] = b[i] / size[i] if size[i] > 0 else 0.0


@kernel
def _descend(gram: F64, cross: F64, size: F64, penalty: float, unit: float, b: F64) -> None:
    for _ in range(_SWEEPS):
        moved = 0.0
        for i in range(len(b)):
            if size[i] == 0:
                continue
            pull = cross[i] - np.dot(gram[i], b) + b[i]
            new = np.sign(pull) * max(abs(pull) - penalty, 0.0)
            moved = max(moved, abs(new - b[i]))
            b[i] = new
        if moved <= _TOLERANCE * unit:
            return


@kernel
def _finish(x: F64, y: F64, fixed: int, coef: F64) -> float:
    """Write fixed coefficients given the others, by least squares on what is left of y; return RSS / n."""
    n = len(y)
    rest = y.copy()
    for j in range(fixed, x.shape[0]):
        if coef[j] != 0:
            for t in range(n):
                rest[t] -= coef[j] * x[j, t]
    q, r = x[:fixed].copy(), rest.copy()
    kept, rss = np.zeros(fixed, dtype=np.uint8), np.empty(fixed + 1)
    reflect(q, r, n, kept, rss)
    solve(q, r, kept, fixed, coef[:fixed])
    return float(rss[fixed] / n)
