r"""Exact Gaussian maximum likelihood of AR(p) series with missing values.

The likelihood is that of `ar_gap_likelihood`, which concentrates mean and variance out; phi is
searched over w with partial autocorrelations k = tanh(w), so that every step is stationary.

Sources: Jones (1980), Technometrics 22, 389-395 (likelihood with gaps, tanh of the partial
autocorrelations); Nocedal and Wright (2006), *Numerical Optimization*, ch. 6 (BFGS).
Oracle: ``tests/oracles/filtering.py::dense_loglik``.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import large_kernel
from forecast.kernels.ar_gap_likelihood import autocovariances, profile_loglik
from forecast.kernels.bfgs import descent, update_inverse
from forecast.kernels.criteria import FIXED, gaussian_loglik, penalty, select_order
from forecast.kernels.roots import step_down, step_up
from forecast.kernels.yule_walker import levinson
from forecast.types import F64, I64, U8

# Step of the central differences in w: truncation h^2 = 1e-10 balances rounding eps / h = 2e-11.
_STEP = 1e-5
# BFGS stops when the next step promises less than this in log-likelihood: a hundredth of 1e-6,
# the accuracy to which the optimum is compared with other implementations.
_GAIN = 1e-8
_MAX_ITERATIONS = 200
# Largest change of one w in one step: tanh is flat beyond, and the search would not come back.
_MAX_MOVE = 1.0
# Starting values keep |k| below this, so that the gradient in w does not vanish.
_START_LIMIT = 0.97
# Fewer complete rows than this beyond the parameters, and orders are compared by exact likelihood.
_SPARE_ROWS = 10


@large_kernel
def fit_gaps(
    values: F64,
    indptr: I64,
    rows: I64,
    max_lags: int,
    criterion: int,
    const: bool,
    phi: F64,
    mean: F64,
    sigma2: F64,
    order: I64,
    ic: F64,
    loglik: F64,
    ok: U8,
) -> None:
    """Fit the given rows of a ragged block; all outputs are indexed by the row.

    Parameters
    ----------
    values, indptr
        Series, oldest first, NaN where missing.
    rows
        Rows to fit.
    max_lags
        The order (criterion 0), or the largest that the criterion may choose.
    criterion
        0 fixed, 1 AIC, 2 AICc, 3 BIC, 4 HQIC. Orders are compared by least squares on the rows of the
        regression that are complete for all `max_lags`; where these are too few, by exact likelihood.
    const
        Estimate a mean; otherwise it is zero.
    phi, mean, sigma2, order, loglik
        (n, >= max_lags), (n,) .. written.
    ic
        (n, >= max_lags + 1) written: the criterion of every order compared, NaN elsewhere.
    ok
        (n,) written: 1, or 0 where too few points are observed or the likelihood is not finite.
    """
    for i in rows:
        y = values[indptr[i] : indptr[i + 1]]
        phi[i, :] = 0.0
        ic[i, :] = np.nan
        fitted, best, level, var, value = _fit_row(y, max_lags, criterion, const, phi[i], ic[i])
        ok[i] = 1 if fitted else 0
        order[i], mean[i], sigma2[i], loglik[i] = best, level, var, value


@large_kernel
def _fit_row(
    y: F64, max_lags: int, criterion: int, const: bool, phi: F64, ic: F64
) -> tuple[bool, int, float, float, float]:
    """Standardise one series, choose the order, maximise; return ok, order, mean, sigma2, loglik."""
    n, centre, unit, first = _moments(y, const)
    extra = 2 if const else 1
    if not unit > 0.0 or n <= extra or (criterion == FIXED and n <= max_lags + extra):
        return False, 0, np.nan, np.nan, np.nan
    x = (y[first:] - centre) / unit
    m = max_lags if criterion == FIXED else min(max_lags, (n - extra - 1) // 2)
    coef = np.zeros((m + 1, m + 1))
    count, chosen = _complete_rows(x, m, const, criterion, coef, ic)
    k = np.zeros(m)
    if criterion == FIXED:
        p = m
        _start(x, coef[p], count > m + extra, p, k)
        value, level, var = _maximise(x, p, const, k)
        ic[:] = np.nan
    elif count >= m + extra + _SPARE_ROWS:
        p = chosen
        ic += 2.0 * count * np.log(unit)
        _start(x, coef[p], True, p, k)
        value, level, var = _maximise(x, p, const, k)
    else:
        ic[:] = np.nan
        p, value, level, var = _by_likelihood(x, n, m, const, criterion, np.log(unit), k, ic)
    step_up(k, p, phi)
    fine = np.isfinite(value) and var > 0.0
    return fine, p, centre + unit * level, var * unit * unit, value - n * np.log(unit)


@large_kernel
def _moments(y: F64, const: bool) -> tuple[int, float, float, int]:
    """Return number observed, mean (0 without const), size around it, first position."""
    n, first, total, size = 0, -1, 0.0, 0.0
    for t in range(y.shape[0]):
        if not np.isnan(y[t]):
            if first < 0:
                first = t
            n += 1
            total += y[t]
    centre = total / n if const and n > 0 else 0.0
    for t in range(y.shape[0]):
        if not np.isnan(y[t]):
            size += (y[t] - centre) ** 2
    return n, centre, np.sqrt(size / n) if n > 0 else 0.0, max(first, 0)


@large_kernel
def _by_likelihood(
    x: F64, n: int, m: int, const: bool, criterion: int, log_unit: float, k: F64, ic: F64
) -> tuple[int, float, float, float]:
    """Exact likelihood of every order; each starts where the one below ended."""
    trial = np.zeros(m)
    best, value, level, var = 0, np.nan, 0.0, np.nan
    for p in range(m + 1):
        reached, mu, s2 = _maximise(x, p, const, trial)
        ic[p] = -2.0 * (reached - n * log_unit) + penalty(criterion, n, p + (2 if const else 1))
        if p == 0 or ic[p] < ic[best]:
            best, value, level, var = p, reached, mu, s2
            k[:] = trial
        for j in range(p):
            trial[j] = min(max(trial[j], -_START_LIMIT), _START_LIMIT)
    return best, value, level, var


@large_kernel
def _complete_rows(x: F64, m: int, const: bool, criterion: int, coef: F64, ic: F64) -> tuple[int, int]:
    """Least squares of every order 0..m on the rows with y_t and all m lags observed; their number, the best.

    One Cholesky factor of the Gram matrix serves all orders: its last row gives each order's
    residual sum of squares, back substitution its coefficients.
    """
    w = m + 2
    G = np.zeros((w, w))
    row = np.empty(w)
    run, count = 0, 0
    for t in range(x.shape[0]):
        run = 0 if np.isnan(x[t]) else run + 1
        if run <= m:
            continue
        count += 1
        row[0] = 1.0 if const else 0.0
        for j in range(m):
            row[1 + j] = x[t - 1 - j]
        row[w - 1] = x[t]
        for i in range(w):
            for j in range(i + 1):
                G[i, j] += row[i] * row[j]
    if not const:
        G[0, 0] = 1.0
    if count <= m + (2 if const else 1) or not _cholesky(G):
        return 0, 0
    logliks = np.empty(m + 1)
    rss = G[w - 1, w - 1] ** 2
    for p in range(m, -1, -1):
        if p < m:
            rss += G[w - 1, p + 1] ** 2
        logliks[p] = gaussian_loglik(count, rss / count)
        for i in range(p, 0, -1):
            acc = G[w - 1, i]
            for j in range(i + 1, p + 1):
                acc -= G[j, i] * coef[p, j - 1]
            coef[p, i - 1] = acc / G[i, i]
    return count, select_order(logliks, m, count, 1 if const else 0, criterion, ic)


@large_kernel
def _cholesky(G: F64) -> bool:
    """Lower factor in place; False when a pivot is lost to rounding."""
    w = G.shape[0]
    for i in range(w):
        size = G[i, i]
        for j in range(i + 1):
            acc = G[i, j]
            for r in range(j):
                acc -= G[i, r] * G[j, r]
            if i == j:
                if not acc > 1e-13 * size:
                    return False
                G[i, i] = np.sqrt(acc)
            else:
                G[i, j] = acc / G[j, j]
    return True


@large_kernel
def _start(x: F64, coef: F64, usable: bool, p: int, k: F64) -> None:
    """Partial autocorrelations to start from: of the regression, or of pairwise lag products."""
    if not usable or not step_down(coef, p, k) > 0.0:
        c, kappa = _pairwise(x, p), np.empty(p + 1)
        levinson(c, p, np.zeros((p + 1, p + 2)), kappa)
        for j in range(p):
            k[j] = -kappa[j + 1]
    for j in range(p):
        k[j] = min(max(k[j], -_START_LIMIT), _START_LIMIT)


@large_kernel
def _pairwise(x: F64, p: int) -> F64:
    """Means of the products of lags 0..p over the pairs that are complete: not positive definite for sure."""
    c = np.zeros(p + 1)
    for lag in range(p + 1):
        pairs = 0
        for t in range(lag, x.shape[0]):
            if not np.isnan(x[t]) and not np.isnan(x[t - lag]):
                c[lag] += x[t] * x[t - lag]
                pairs += 1
        c[lag] /= max(pairs, 1)
    return c


@large_kernel
def _maximise(x: F64, p: int, const: bool, k: F64) -> tuple[float, float, float]:
    """BFGS over w = atanh(k) from k[:p], in place; return the log-likelihood, mean and sigma2 reached."""
    value, mean, sigma2 = profile_loglik(x, k, p, const)
    if p == 0:
        return value, mean, sigma2
    w, g, new_g, trial = np.arctanh(k[:p]), np.empty(p), np.empty(p), np.empty(p)
    move, work = np.empty(p), np.empty(p)
    H = _expected_inverse(k, p, np.sum(~np.isnan(x)))
    _gradient(x, w, p, const, trial, g)
    for _ in range(_MAX_ITERATIONS):
        gain = 0.5 * descent(H, g, p, move)
        if gain < _GAIN:
            break
        size = max(1.0, np.max(np.abs(move)) / _MAX_MOVE)
        scale, reached, taken = 1.0 / size, value, False
        for _ in range(30):
            for i in range(p):
                trial[i] = np.tanh(w[i] + scale * move[i])
            reached, _, _ = profile_loglik(x, trial, p, const)
            if reached > value + 1e-4 * scale * gain:
                taken = True
                break
            scale *= 0.3
        if not taken:
            break
        for i in range(p):
            move[i] *= scale
            w[i] += move[i]
        value = reached
        _gradient(x, w, p, const, trial, new_g)
        update_inverse(H, move, new_g - g, p, work)
        g[:] = new_g
    for i in range(p):
        k[i] = np.tanh(w[i])
    return profile_loglik(x, k, p, const)


@large_kernel
def _expected_inverse(k: F64, p: int, n: int) -> F64:
    """Inverse of the expected information in w of n points without gaps: n J' Gamma J, J = d phi / d w."""
    phi, up, J, gamma = np.zeros(p), np.zeros(p), np.zeros((p, p)), np.zeros(p)
    step_up(k, p, phi)
    trial = k[:p].copy()
    for i in range(p):
        trial[i] = np.tanh(np.arctanh(k[i]) + _STEP)
        step_up(trial, p, up)
        trial[i] = k[i]
        for j in range(p):
            J[j, i] = (up[j] - phi[j]) / _STEP
    autocovariances(k, p, gamma)
    info = np.zeros((p, p))
    for i in range(p):
        for j in range(p):
            for r in range(p):
                for s in range(p):
                    info[i, j] += J[r, i] * gamma[abs(r - s)] * J[s, j]
    # |k| <= 0.97 at the start keeps the diagonal, about 1 each, away from zero; the ridge is for rounding.
    H = np.empty((p, p))
    H[:, :] = np.linalg.inv(n * (info + 1e-6 * np.eye(p)))
    return H


@large_kernel
def _gradient(x: F64, w: F64, p: int, const: bool, k: F64, g: F64) -> None:
    """Central differences of minus the log-likelihood in w; k (p,) is scratch."""
    for i in range(p):
        k[i] = np.tanh(w[i])
    for i in range(p):
        at = k[i]
        k[i] = np.tanh(w[i] + _STEP)
        up, _, _ = profile_loglik(x, k, p, const)
        k[i] = np.tanh(w[i] - _STEP)
        down, _, _ = profile_loglik(x, k, p, const)
        k[i] = at
        g[i] = (down - up) / (2.0 * _STEP)
