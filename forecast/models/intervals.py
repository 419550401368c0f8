"""Variance of the forecast error: innovations, unknown end state, estimated parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from forecast.kernels.quadratic import quadratic_forms
from forecast.kernels.recursion import forecast_path_rows
from forecast.kernels.uncertainty import phi_variance_rows
from forecast.models.computed import Moments, is_computed
from forecast.models.deterministic import exog_path
from forecast.models.dynamics import Dynamics, fixed, integers, recursion
from forecast.models.records import Form, Records
from forecast.types import F64, I64, Bool


def innovation_variance(records: Records, run: Dynamics) -> F64:
    r"""(rows, h) sigma2 sum_{j<k} psi_j^2, units of w squared (Box and Jenkins 1976, 5.1)."""
    return records.sigma2[run.first : run.last, None] * np.cumsum(run.psi**2, axis=1)


def state_responses(run: Dynamics, rows: I64) -> tuple[F64, I64]:
    """Differentiate the paths of `rows` by (levels[:L_i], innovations[:q_i]).

    Returns
    -------
    responses, ends
        (sum of m_i, h) with m_i = L_i + q_i, one series after the other, and (rows + 1,) where they end.
    """
    k, q = np.maximum(1, run.width[rows]), run.ma_width[rows]
    ends = np.concatenate([[0], np.cumsum(k + q)])
    owner, total = np.repeat(rows, k + q), int(ends[-1])
    place = np.arange(total) - np.repeat(ends[:-1], k + q)
    beyond = place - np.repeat(k, k + q)
    levels, innovations = np.zeros((total, run.a.shape[1])), np.zeros((total, run.b.shape[1]))
    of_level, of_innovation = np.flatnonzero(beyond < 0), np.flatnonzero(beyond >= 0)
    levels[of_level, place[of_level]] = 1.0
    innovations[of_innovation, beyond[of_innovation]] = 1.0
    out, drive = np.empty((total, run.path.shape[1])), np.zeros((total, run.path.shape[1]))
    a, b, width, ma_width = run.a[owner], run.b[owner], run.width[owner], run.ma_width[owner]
    forecast_path_rows(a, width, b, ma_width, fixed(levels), fixed(innovations), drive, out, 0, total)
    return out, ends


def state_variance(records: Records, run: Dynamics) -> F64:
    """(rows, h) variance that comes from an end state not known exactly (`Records.state_cov`)."""
    out = np.zeros_like(run.path)
    given = _rows_in(records.state_cov, run)
    if not given:
        return out
    place = np.array(given) - run.first
    responses, ends = state_responses(run, place)
    cov = np.concatenate([records.state_cov[row].ravel() for row in given])
    quadratic_forms(responses, ends, cov, place, out)
    return out


def parameter_variance(records: Records, run: Dynamics, exog: Mapping[str, F64]) -> F64:
    r"""(rows, h) variance g' V g that comes from having estimated the parameters.

    g is the derivative of the forecast at each step, V the covariance of the estimates: that of
    `Records.param_cov`, or else the asymptotic one, in which three parts are orthogonal:

    - level (constant, or mean, or drift): the regressor is 1 at each future step, the variance
      sigma2 / n. In terms of the mean mu this is Var(mu) = sigma2 / (n phi(1)^2), and for a random
      walk with drift it adds the textbook sigma2 k^2 / (T - 1);
    - slope of a trend: regressor t less its average, variance 12 sigma2 / (n (n^2 - 1));
    - phi at its nonzero lags: regressors u_{t-i} less their mean path, covariance Gamma^{-1} / n.

    A constant, slope or lag that is exactly 0 was not estimated.

    Not included: MA and seasonal AR coefficients; anything of a model that has an MA part (there the past
    innovations depend on the parameters too, which a record cannot undo); seasonal effects and
    regressors without `param_cov`; regressors of the REGRESSION form, whose past a record does not hold.
    """
    rows = slice(run.first, run.last)
    out = _asymptotic(records, run)
    with_ma = (records.q[rows] > 0) | (records.Q[rows] > 0)
    given = [row for row in _rows_in(records.param_cov, run) if not with_ma[row - run.first]]
    f, f_width = differencing(records, run) if given else (run.a, run.width)
    for row in given:
        i = row - run.first
        variance = _from_covariance(records, run, row, f[i, : f_width[i]], exog)
        if variance is not None:
            out[i] = variance
    out[with_ma] = 0.0
    return out


def _asymptotic(records: Records, run: Dynamics) -> F64:
    rows = slice(run.first, run.last)
    conditional = records.form[rows] == Form.CONDITIONAL
    times = records.d[rows] + records.D[rows]
    const, slope = records.const[rows] != 0, records.slope[rows] != 0
    level = np.where(conditional, const, (const & (times == 0)) | (slope & (times == 1)))
    trend = slope & (conditional | (times == 0))
    n_used = sample_size(records, run)
    once = np.cumsum(run.psi, axis=1)
    unit = (records.sigma2[rows] / n_used)[:, None]
    out = np.where(level[:, None], unit * once**2, 0.0)
    if trend.any():
        out += np.where(trend[:, None], unit * _trend_gradient(records, run, once, n_used) ** 2, 0.0)
    if (records.p[rows] > 0).any():
        out += _phi_variance(records, run, n_used)
    return out


def sample_size(records: Records, run: Dynamics) -> F64:
    """(rows,) n in the asymptotic covariances: `n_used`, or what the recursion leaves of `nobs`."""
    rows = slice(run.first, run.last)
    used = records.n_used[rows].astype(np.float64)
    return np.maximum(np.where(used > 0, used, records.nobs[rows] - run.width), 1.0)


def _trend_gradient(records: Records, run: Dynamics, once: F64, n: F64) -> F64:
    """(rows, h) derivative to the slope, in units of its standard deviation over sigma / sqrt(n).

    The regressor k steps ahead is k + (n - 1) / 2 + sum_j j a_j / a(1), where the last term is how far
    the recursion itself looks back; sums of psi turn it into the derivative.
    """
    rows = slice(run.first, run.last)
    lag = mean_lag(records.phi[rows]) + records.season_length[rows] * mean_lag(records.seasonal_phi[rows])
    regressor = np.cumsum(once, axis=1) + ((n - 1) / 2 + lag)[:, None] * once
    scale: F64 = np.sqrt(12.0 / np.maximum(n**2 - 1.0, 1.0))[:, None]
    return regressor * scale


def mean_lag(coef: F64) -> F64:
    """(rows,) sum_i i c_i / (1 - sum_i c_i) of one factor."""
    return _row_sum(coef * np.arange(1.0, coef.shape[1] + 1)) / (1.0 - _row_sum(coef))


def _row_sum(matrix: F64) -> F64:
    """(n,) sums from left to right: zeros to the right of a row then change no bit of its sum."""
    if matrix.shape[1] == 0:
        return np.zeros(len(matrix))
    total: F64 = np.cumsum(matrix, axis=1)[:, -1]
    return total


def _phi_variance(records: Records, run: Dynamics, n_used: F64) -> F64:
    rows = slice(run.first, run.last)
    n = run.last - run.first
    f, f_width = differencing(records, run)
    out = np.empty_like(run.path)
    phi_variance_rows(
        fixed(records.phi[rows]), integers(records.p[rows]), f, f_width, run.levels, run.path, run.psi,
        _mean_path(records, run), n_used, out, 0, n,
    )  # fmt: skip
    return out


def differencing(records: Records, run: Dynamics) -> tuple[F64, I64]:
    """Phi(L^s) (1 - L)^d (1 - L^s)^D as a recursion: what turns levels into u."""
    rows = slice(run.first, run.last)
    return recursion(
        fixed(records.phi[rows]),
        np.zeros(run.last - run.first, dtype=np.int64),
        fixed(records.seasonal_phi[rows]),
        *(integers(x[rows]) for x in (records.P, records.d, records.D, records.season_length)),
    )


def _mean_path(records: Records, run: Dynamics) -> F64:
    """(rows, 2) alpha, beta: u has mean alpha + beta k at T + k.

    CONDITIONAL: phi(L) (alpha + beta k) = const + slope (T + k), so beta = slope / phi(1) and
    alpha = (const + slope T - beta sum_i i phi_i) / phi(1). REGRESSION: the levels are free of it.
    """
    rows = slice(run.first, run.last)
    phi = records.phi[rows]
    at_one = 1.0 - _row_sum(phi)
    beta = records.slope[rows] / at_one
    alpha = (records.const[rows] + records.slope[rows] * records.nobs[rows]) / at_one - beta * mean_lag(phi)
    conditional = (records.form[rows] == Form.CONDITIONAL)[:, None]
    return np.where(conditional, np.stack([alpha, beta], axis=1), 0.0)


def _from_covariance(
    records: Records, run: Dynamics, row: int, f: F64, exog: Mapping[str, F64]
) -> F64 | None:
    """(h,) g' V g with the V of `param_cov`; None where V does not fit the nonzero coefficients."""
    v = records.param_cov[row]
    chosen = estimated(records, row)
    if v.shape != (chosen.sum(),) * 2:
        return None
    regressors = np.concatenate([_columns(records, run, row, exog), _lags_of_u(records, run, row, f)], axis=1)
    psi = run.psi[row - run.first]
    h = len(psi)
    back = np.arange(h)[:, None] - np.arange(h)
    response = np.where(back >= 0, psi[back], 0.0)
    g = response @ regressors[:, chosen]
    variance: F64 = np.einsum("hk,kl,hl->h", g, v, g)
    return np.maximum(variance, 0.0)


def estimated(records: Records, row: int) -> Bool:
    """Which of const, slope, seasonal, beta, phi were estimated: those that are not 0."""
    parts = (records.const[row : row + 1], records.slope[row : row + 1])
    coefficients: F64 = np.concatenate([*parts, records.seasonal[row], records.beta[row], records.phi[row]])
    found: Bool = coefficients != 0
    return found


def _columns(records: Records, run: Dynamics, row: int, exog: Mapping[str, F64]) -> F64:
    """(h, 2 + max s + exog) regressors of const, slope, seasonal, beta at the next h steps.

    In the REGRESSION form they are filtered by the whole recursion, past included: regressors then count
    only where they follow from the time, for the past of others is not kept.
    """
    h = run.path.shape[1]
    regression = records.form[row] == Form.REGRESSION
    width = int(run.width[row - run.first]) if regression else 0
    t = records.nobs[row] + np.arange(1 - width, h + 1)
    season = (t - 1) % max(int(records.season_length[row]), 1)
    columns = np.zeros((len(t), 2 + records.seasonal.shape[1] + len(records.exog)))
    columns[:, 0] = 1.0
    columns[:, 1] = t
    columns[:, 2 : 2 + records.seasonal.shape[1]] = season[:, None] == np.arange(records.seasonal.shape[1])
    first = 2 + records.seasonal.shape[1]
    if regression:
        when = Moments(records.freq, records.start[row : row + 1], t - 1)
        for j, term in enumerate(records.exog):
            if records.beta[row, j] != 0 and is_computed(term.name):
                columns[:, first + j] = when.values(term.name)
        return _filter(columns, run.a[row - run.first, :width])
    for j in range(len(records.exog)):
        if records.beta[row, j] != 0:
            one = exog_path(records, j, h, exog, slice(row, row + 1))
            columns[:, first + j] = one[0]
    return columns


def _lags_of_u(records: Records, run: Dynamics, row: int, f: F64) -> F64:
    """(h, max p) regressors of phi: u_{t-i} over the next h steps, forecasts where t - i is ahead."""
    i = row - run.first
    p, h = int(records.p[row]), run.path.shape[1]
    out = np.zeros((h, records.phi.shape[1]))
    if p == 0:
        return out
    width = int(run.width[i])
    x = np.concatenate([run.levels[i, :width][::-1], run.path[i]])
    u = _filter(x[:, None], f)[:, 0]  # u[p - 1] is u_T
    for lag in range(1, p + 1):
        out[:, lag - 1] = u[p - lag : p - lag + h]
    return out


def _filter(columns: F64, a: F64) -> F64:
    """(t - k, m) columns_t - sum_j a_j columns_{t-j} for the k coefficients `a`."""
    k = len(a)
    out = columns[k:].copy()
    for j in range(1, k + 1):
        out -= a[j - 1] * columns[k - j : len(columns) - j]
    return out


def _rows_in(cov: Mapping[int, F64], run: Dynamics) -> list[int]:
    """Positions of `cov` within the block, in order."""
    if not cov:
        return []
    return [row for row in range(run.first, run.last) if row in cov]
