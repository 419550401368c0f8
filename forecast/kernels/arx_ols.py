"""AR with deterministic terms, regressors and any set of lags, by least squares on complete rows."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.criteria import gaussian_loglik, penalty
from forecast.kernels.design import build_design
from forecast.kernels.qr import reflect, solve, unscaled_covariance
from forecast.types import F64, I64, U8


@kernel
def fit_arx(
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
    criterion: int,
    coef: F64,
    cov: F64,
    sigma2: F64,
    kept: U8,
    order: I64,
    used: I64,
) -> None:
    """Fit rows first..last of a ragged panel.

    Parameters
    ----------
    exog, term_row, term_lag
        (names, N) regressors, and the terms that enter: which row, how many steps back.
    const, slope, season, lags
        As in `build_design`.
    criterion
        0: all of `lags`; else the leading ones that minimise the criterion (codes of `kernels.criteria`),
        all compared on the rows that the longest lag leaves, then refitted on all rows they need.
    coef
        (n, k) out, in the order of `build_design`; 0 for columns left out.
    cov
        (n, k, k) out: covariance of the coefficients, sigma2 (X'X)^-1; or (n, 0, 0) when not wanted.
    sigma2
        (n,) out: RSS / rows.
    kept
        (n, k) out: 0 for columns linear in those before them.
    order
        (n,) out: how many of `lags` are used.
    used
        (n,) out: rows of the regression; 0 when there are fewer rows than coefficients + 1.
    """
    fixed = int(const) + int(slope) + season + len(term_row)
    k = fixed + len(lags)
    for i in range(first, last):
        lo, hi = indptr[i], indptr[i + 1]
        y, exog_i = values[lo:hi], exog[:, lo:hi]
        x, target = np.empty((k, hi - lo)), np.empty(hi - lo)
        rss = np.empty(k + 1)
        m = len(lags)
        if criterion > 0 and m > 0:
            n = build_design(y, exog_i, term_row, term_lag, const, slope, season, lags, lags[-1], x, target)
            reflect(x, target, n, kept[i], rss)
            m = _best(criterion, n, kept[i], rss, fixed, len(lags))
        hold = lags[m - 1] if m > 0 else 0
        n = build_design(y, exog_i, term_row, term_lag, const, slope, season, lags[:m], hold, x, target)
        width = fixed + m
        kept[i, width:] = 0
        coef[i, :] = 0.0
        sigma2[i], used[i] = _estimate(x[:width], target, n, kept[i, :width], rss, coef[i, :width], cov[i])
        order[i] = m


@kernel
def _estimate(x: F64, y: F64, n: int, kept: U8, rss: F64, coef: F64, cov: F64) -> tuple[float, int]:
    """Solve a regression of `n` rows, its covariance if `cov` has room; return sigma2 and the rows used."""
    width = x.shape[0]
    rank = reflect(x, y, n, kept, rss[: width + 1])
    if n <= rank + 1:
        return np.nan, 0
    sigma2 = float(rss[width] / n)
    solve(x, y, kept, width, coef)
    if cov.shape[0] > 0:
        unscaled_covariance(x, kept, width, cov[:width, :width])
        cov *= sigma2
    return sigma2, n


@kernel
def _best(criterion: int, n: int, kept: U8, rss: F64, fixed: int, m: int) -> int:
    best, chosen, k = np.inf, 0, 0
    for j in range(fixed):
        k += kept[j]
    for j in range(m + 1):
        if j > 0:
            k += kept[fixed + j - 1]
        if n - k - 2 <= 0 or rss[fixed + j] <= 0:
            break
        value = -2.0 * gaussian_loglik(n, rss[fixed + j] / n) + penalty(criterion, n, k + 1)
        if value < best:
            best, chosen = value, j
    return chosen
