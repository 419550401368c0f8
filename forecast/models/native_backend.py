"""The native backend: exact maximum likelihood of a whole panel by compiled kernels."""

from __future__ import annotations

import numpy as np

from forecast.kernels.arima_candidates import Effort, Scores, climb_rows
from forecast.kernels.arima_fit import CONSTANT, FAILED, FITTED, NOT_CONVERGED, TOO_SHORT, Fits, fit_rows
from forecast.models.arima_estimates import Estimates
from forecast.models.panel import Panel
from forecast.models.sarimax import Order, SarimaxFit
from forecast.models.threads import over_rows
from forecast.types import F64, I64, Status

_TRENDS = {"n": 0, "c": 1, "t": 2, "ct": 3}
_STATUS = {
    FITTED: Status.OK,
    TOO_SHORT: Status.TOO_SHORT,
    CONSTANT: Status.CONSTANT,
    FAILED: Status.FAILED,
    NOT_CONVERGED: Status.NOT_CONVERGED,
}


def fit_native(panel: Panel, orders: I64, trend: str, jobs: int = 1, with_cov: bool = True) -> Estimates:
    """Fit every series; results do not depend on `jobs`, nor on the other series.

    Parameters
    ----------
    orders
        (n, 7) p, d, q, P, D, Q, s.
    trend
        "n", "c", "t" or "ct".
    with_cov
        Compute covariances of the estimates, and the last innovations; and search for maxima next to
        cancellation, too. Without, a fit is up to three times as fast: to compare orders.
    """
    n, k = panel.n_series, len(panel.exog)
    code = _TRENDS[trend]
    asked = np.array([code % 2 == 1, code >= 2] + [True] * k)
    X = np.zeros((k, len(panel.values)))
    for j, column in enumerate(panel.exog.values()):
        X[j] = column
    out = _room(n, int(asked.sum()), orders, with_cov)
    values, indptr = np.array(panel.values, dtype=np.float64), np.array(panel.indptr)

    def work(first: int, last: int) -> None:
        fit_rows(values, indptr, X, code, orders, with_cov, first, last, out)

    over_rows(work, n, jobs)
    return _estimates(out, orders, asked)


def fit_series(y: F64, X: F64, order: Order, with_cov: bool = True) -> SarimaxFit | None:
    """Fit one series; None where it cannot be, or the search did not end.

    Parameters
    ----------
    y
        (t,) observations, NaN where missing.
    X
        (t, k) regressors of the mean, the constant first if there is one. A row with NaN makes its
        point missing.
    with_cov
        Compute the covariance of the estimates from the Hessian, and search thoroughly: see `fit_native`.
    """
    orders = np.array([[order.p, order.d, order.q, order.P, order.D, order.Q, order.s]])
    out = _room(1, X.shape[1], orders, with_cov)
    columns = np.array(X.T, dtype=np.float64, order="C")
    bounds = np.array([0, len(y)])
    fit_rows(np.array(y, dtype=np.float64), bounds, columns, 0, orders, with_cov, 0, 1, out)
    if out.code[0] != FITTED:
        return None
    parts = np.split(out.coefficients[0], np.cumsum([order.p, order.q, order.P]))
    used = out.used[0]
    k = int(used.sum()) + order.p
    cov = out.cov[0, :k, :k] if with_cov and k and out.cov[0, 0, 0] > 0.0 else None
    return SarimaxFit(
        order, parts[0], parts[1], parts[2], parts[3], out.beta[0], float(out.sigma2[0]),
        float(out.loglik[0]), int(out.n_used[0]), cov, used, True,
    )  # fmt: skip


def _room(n: int, k: int, orders: I64, with_cov: bool) -> Fits:
    c = int(orders[:, [0, 2, 3, 5]].sum(axis=1).max(initial=0))
    q = int((orders[:, 2] + orders[:, 6] * orders[:, 5]).max(initial=0)) if with_cov else 0
    # Memory that is never written to is never taken: the covariances of a million series cost nothing here.
    return Fits(
        np.zeros((n, c)), np.zeros((n, k)), np.full(n, np.nan), np.full(n, np.nan),
        np.zeros(n, dtype=np.int64), np.zeros((n, k), dtype=np.bool_),
        np.zeros((n, k + c, k + c)) if with_cov else np.zeros((n, 0, 0)), np.zeros((n, q)),
        np.zeros((n, q, q)), np.zeros(n, dtype=np.uint8), np.zeros(n, dtype=np.uint8),
    )  # fmt: skip


def _rows_of(out: Fits, at: slice) -> Fits:
    """Return views of some rows."""
    return Fits(
        out.coefficients[at], out.beta[at], out.sigma2[at], out.loglik[at], out.n_used[at], out.used[at],
        out.cov[at], out.innovations[at], out.innovation_cov[at], out.known[at], out.code[at],
    )  # fmt: skip


def _estimates(out: Fits, orders: I64, asked: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Estimates:
    n = len(orders)
    beta, used = np.zeros((n, len(asked))), np.zeros((n, len(asked)), dtype=np.bool_)
    beta[:, asked], used[:, asked] = out.beta, out.used
    p, q, P, Q = (orders[:, j] for j in (0, 2, 3, 5))
    factors, first = [], np.zeros(n, dtype=np.int64)
    for order in (p, q, P, Q):
        width = int(order.max(initial=0))
        at = np.minimum(first[:, None] + np.arange(width), max(out.coefficients.shape[1] - 1, 0))
        inside = np.arange(width) < order[:, None]
        picked = np.take_along_axis(out.coefficients, at, axis=1) if width else np.zeros((n, 0))
        factors.append(np.where(inside, picked, 0.0))
        first = first + order
    status = np.array([_STATUS[int(code)] for code in range(len(_STATUS))], dtype=np.uint8)[out.code]
    k = used.sum(axis=1)
    cov = {}
    if out.cov.shape[1]:
        has = (out.code == FITTED) & (out.cov[:, 0, 0] > 0.0) & (k + p > 0)
        cov = {i: out.cov[i, : k[i] + p[i], : k[i] + p[i]] for i in np.flatnonzero(has).tolist()}
    wide = q + orders[:, 6] * Q
    spread = {i: out.innovation_cov[i, : wide[i], : wide[i]] for i in np.flatnonzero(out.known == 2).tolist()}
    return Estimates(
        orders, factors[0], factors[1], factors[2], factors[3], beta, used, np.tile(asked, (n, 1)),
        out.sigma2, out.loglik, out.n_used, cov, status, _messages(out, orders), out.innovations, spread,
        (out.known > 0) & (out.code == FITTED),
    )  # fmt: skip


def _messages(out: Fits, orders: I64) -> dict[int, str]:
    messages = {}
    for i in np.flatnonzero(out.code != FITTED).tolist():
        order, code = Order(*orders[i].tolist()), int(out.code[i])
        messages[i] = {
            TOO_SHORT: f"{order} needs {order.lost + order.n_arma + out.beta.shape[1] + 2} observed points, "
            f"got {out.n_used[i]}; naive instead",
            CONSTANT: f"the series is constant after {order.d} and {order.D} differences; naive instead",
            FAILED: f"{order} could not be estimated; naive instead",
            NOT_CONVERGED: f"{order}: the search did not converge; naive instead",
        }[code]
    return messages


def climb(
    panel: Panel, series: I64, orders: I64, trends: I64, near: F64, needed: F64, effort: Effort,
    fits: Fits | None = None,
) -> Scores:  # fmt: skip
    """Maximise the likelihoods of m candidate models within the bound of their roots; on this thread.

    Parameters
    ----------
    panel
        The first and the last point of every series are observed, and regressors finite where it is.
    series, orders, trends
        (m,) positions in `panel`; (m, 7) p, d, q, P, D, Q, s; (m,) places in "n", "c", "t", "ct".
    near
        (m, c) points to begin at, in the layout of `Scores.point`; NaN in the first place: none.
    needed
        (m,) log-likelihoods; a candidate that will not reach its own is given up on the way.
    fits
        Written where `effort` asks for estimates; the trend is the same in all rows then.
    """
    m = len(series)
    X = np.zeros((len(panel.exog), len(panel.values)))
    for j, column in enumerate(panel.exog.values()):
        X[j] = column
    width = max(int(orders[:, [0, 2, 3, 5]].sum(axis=1).max(initial=0)), 1)
    starts = np.full((m, width), np.nan)
    starts[:, : near.shape[1]] = near[:, :width]
    out = Scores(
        np.full(m, np.nan), np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64), np.zeros((m, width)),
        np.zeros(m, dtype=np.uint8),
    )  # fmt: skip
    values, indptr = np.array(panel.values, dtype=np.float64), np.array(panel.indptr)
    nothing = _room(0, 0, orders[:0], False) if fits is None else fits
    climb_rows(values, indptr, X, series, trends, orders, starts, needed, effort, 0, m, out, nothing)
    return out


def fit_candidates(
    panel: Panel, series: I64, orders: I64, trend: str, near: F64, effort: Effort, jobs: int = 1
) -> Estimates:
    """Estimate m chosen candidates, with standard errors; see `climb`.

    A model that the bound of the roots holds is at its best within it: its gradient is not zero, and its
    standard errors are those of the likelihood's curvature there.
    """
    m, k, code = len(series), len(panel.exog), _TRENDS[trend]
    asked = np.array([code % 2 == 1, code >= 2] + [True] * k)
    out = _room(m, int(asked.sum()), orders, True)
    out.code[:] = FAILED
    codes, needed = np.full(m, code), np.full(m, -np.inf)

    def work(first: int, last: int) -> None:
        at = slice(first, last)
        climb(panel, series[at], orders[at], codes[at], near[at], needed[at], effort, _rows_of(out, at))

    over_rows(work, m, jobs)
    return _estimates(out, orders, asked)
