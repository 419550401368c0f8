"""The reference backend: exact maximum likelihood by statsmodels' SARIMAX, one series at a time.

Everything that imports statsmodels for ARIMA is here, and imports it inside functions: it takes
more than a second. Its warnings never leave `quiet`; what matters of them becomes `SarimaxFit.converged`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.linalg import LinAlgError

from forecast.models.sarimax import Order, SarimaxFit, differenced, independent, profiled, standardised
from forecast.types import F64

if TYPE_CHECKING:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

# Gradient of the mean log-likelihood at which the search stops. At statsmodels' default of 1e-5 flat
# directions (a mean beside a slow AR) are left 1e-3 short in log-likelihood; at 1e-8 below 1e-6.
_GRADIENT = 1e-8
# ... or change of it, in units of rounding: 1e4 is 2e-12.
_CHANGE = 1e4
_MAX_ITERATIONS = 500


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of statsmodels and numpy; enter it once, outside of threads (it is process-wide)."""
    with warnings.catch_warnings():
        import statsmodels.tsa.statespace.sarimax  # noqa: F401  # its import puts filters in front: before ours

        warnings.simplefilter("ignore")
        yield


def fit_sarimax(y: F64, X: F64, order: Order, with_cov: bool = True) -> SarimaxFit | None:
    """Fit one series; None where statsmodels cannot.

    Parameters
    ----------
    y
        (t,) observations, NaN where missing (exact: the likelihood of what is observed).
    X
        (t, k) regressors of the mean, the constant first if there is one. A row with NaN makes its
        point missing.
    with_cov
        Compute the covariance of the estimates from the Hessian.
    """
    hole = ~np.all(np.isfinite(X), axis=1)
    y, X = np.where(hole, np.nan, y), np.where(hole[:, None], 0.0, X)
    used = independent(X, order)
    Z, T = standardised(np.ascontiguousarray(X[:, used]), order)
    unit = _unit(y, order)
    found = _search(y / unit, Z, order, with_cov)
    if found is None:
        return None
    params, cov, converged = found
    k = Z.shape[1]
    beta = np.zeros(X.shape[1])
    beta[used] = unit * (T @ params[:k])
    phi, theta, seasonal_phi, seasonal_theta = np.split(params[k:-1], np.cumsum([order.p, order.q, order.P]))
    if cov is not None:
        to_raw = np.eye(k + order.p)
        to_raw[:k, :k] = unit * T
        cov = to_raw @ cov[: k + order.p, : k + order.p] @ to_raw.T
        cov = 0.5 * (cov + cov.T)  # rounding aside it is symmetric; stored records keep one half
    fit = SarimaxFit(
        order, phi, theta, seasonal_phi, seasonal_theta, beta, np.nan, np.nan, 0, cov, used, converged
    )
    return profiled(fit, y, X)


def _unit(y: F64, order: Order) -> float:
    """Root mean square of the differenced series around its mean: what SARIMAX should see as 1."""
    w = differenced(y, order)
    w = w[~np.isnan(w)]
    size = float(np.sqrt(np.mean((w - w.mean()) ** 2))) if w.size > 1 else 0.0
    seen = y[~np.isnan(y)]
    return size if size > 0 else max(float(np.std(seen)), float(np.finfo(float).tiny))


def _search(y: F64, Z: F64, order: Order, with_cov: bool) -> tuple[F64, F64 | None, bool] | None:
    """Parameters (beta, phi, theta, Phi, Theta, sigma2), their covariance, and whether the search ended."""
    try:
        model = _model(y, Z, order)
        params, converged = _climb(model)
        cov = _hessian_cov(model, params) if with_cov else None
    except (LinAlgError, ValueError, IndexError, FloatingPointError, ZeroDivisionError):
        return None
    return (params, cov, converged) if np.isfinite(params).all() else None


def _model(y: F64, Z: F64, order: Order) -> SARIMAX:
    """Set the model up; a series without gaps is differenced first (the same likelihood, fewer states)."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    d, D = order.d, order.D
    if order.lost and not np.isnan(y).any():
        y, Z, d, D = differenced(y, order), differenced(Z, order), 0, 0
    s = order.s if order.P or D or order.Q else 0
    return SARIMAX(
        y, exog=Z if Z.shape[1] else None, order=(order.p, d, order.q), trend="n",
        seasonal_order=(order.P, D, order.Q, s), use_exact_diffuse=bool(d + D),
    )  # fmt: skip


def _climb(model: SARIMAX) -> tuple[F64, bool]:
    """Maximise; a search that does not end is moved on by a simplex and tried once more."""
    options = {"disp": False, "cov_type": "none", "pgtol": _GRADIENT, "factr": _CHANGE}
    result = model.fit(maxiter=_MAX_ITERATIONS, **options)
    if result.mle_retvals["converged"] and np.isfinite(result.llf):
        return np.asarray(result.params), True
    moved = model.fit(start_params=result.params, method="nm", maxiter=2000, disp=False, cov_type="none")
    again = model.fit(start_params=moved.params, maxiter=_MAX_ITERATIONS, **options)
    # The line search may give up at the optimum itself for want of digits: no gain is an end, too.
    still = abs(again.llf - moved.llf) < 1e-6 * max(1.0, abs(moved.llf))
    ended = again.mle_retvals["converged"] or (still and moved.mle_retvals["converged"])
    return np.asarray(again.params), bool(ended)


def _hessian_cov(model: SARIMAX, params: F64) -> F64 | None:
    cov = np.asarray(model.smooth(params, cov_type="approx").cov_params(), dtype=np.float64)
    if not np.isfinite(cov).all() or (np.diag(cov) < 0).any():
        return None
    return cov
