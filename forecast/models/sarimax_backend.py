"""The reference backend: exact maximum likelihood by statsmodels' SARIMAX, one series at a time.

Everything that imports statsmodels for ARIMA is here, and imports it inside functions: it takes
more than a second. Its warnings never leave `quiet`; what matters of them becomes `SarimaxFit.converged`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.linalg import LinAlgError

from forecast.models.filtering import run
from forecast.models.initial_state import Equation
from forecast.types import F64, Bool

if TYPE_CHECKING:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

# Gradient of the mean log-likelihood at which the search stops. At statsmodels' default of 1e-5 flat
# directions (a mean beside a slow AR) are left 1e-3 short in log-likelihood; at 1e-8 below 1e-6.
_GRADIENT = 1e-8
# ... or change of it, in units of rounding: 1e4 is 2e-12.
_CHANGE = 1e4
_MAX_ITERATIONS = 500
# A column is left out when what the others leave of it is smaller than this share of it: least
# squares has lost all but a few digits of its coefficient there.
_COLLINEAR = 1e-8


@dataclass(frozen=True, slots=True)
class Order:
    """(p, d, q)(P, D, Q)s."""

    p: int = 0
    d: int = 0
    q: int = 0
    P: int = 0
    D: int = 0
    Q: int = 0
    s: int = 1

    @property
    def lost(self) -> int:
        """Points that differencing uses up."""
        return self.d + self.s * self.D

    @property
    def n_arma(self) -> int:
        return self.p + self.q + self.P + self.Q

    def __str__(self) -> str:
        season = f"({self.P},{self.D},{self.Q}){self.s}" if self.s > 1 else ""
        return f"({self.p},{self.d},{self.q}){season}"


@dataclass(frozen=True, slots=True, eq=False)
class SarimaxFit:
    """Maximum likelihood estimates of a regression with ARIMA errors."""

    order: Order
    phi: F64
    theta: F64
    seasonal_phi: F64
    seasonal_theta: F64
    beta: F64
    """(k,) of the columns of the design; 0 for those left out."""
    sigma2: float
    loglik: float
    n_used: int
    cov: F64 | None
    """(k', k') of the estimated beta, then of phi; None where the Hessian has no inverse."""
    used: Bool
    """(k,) columns that were not collinear."""
    converged: bool

    @property
    def n_params(self) -> int:
        return self.order.n_arma + int(self.used.sum()) + 1

    def criterion(self, name: str) -> float:
        """-2 loglik + penalty by "aic", "aicc", "bic" or "hqic"; infinite where AICc has no meaning."""
        k, n = self.n_params, self.n_used
        if name == "aicc":
            penalty = 2.0 * k + (2.0 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf)
        else:
            log_n = float(np.log(max(n, 2)))
            penalty = k * {"aic": 2.0, "bic": log_n, "hqic": 2.0 * float(np.log(max(log_n, 1.0)))}[name]
        return -2.0 * self.loglik + penalty


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of statsmodels and numpy; enter it once, outside of threads (it is process-wide)."""
    with warnings.catch_warnings():
        import statsmodels.tsa.statespace.sarimax  # noqa: F401  # its import puts filters in front: before ours

        warnings.simplefilter("ignore")
        yield


def differenced(x: F64, order: Order) -> F64:
    """(t - d - s D, ...) differences along the first axis."""
    for _ in range(order.d):
        x = x[1:] - x[:-1]
    for _ in range(order.D):
        x = x[order.s :] - x[: -order.s]
    return x


def independent(X: F64, order: Order) -> Bool:
    """(k,) columns that are not constant, nor linear in earlier ones, once differenced."""
    W = differenced(X, order)
    used, kept = np.zeros(X.shape[1], dtype=np.bool_), np.zeros((len(W), 0))
    for j in range(X.shape[1]):
        column = W[:, j]
        rest = column - kept @ (kept.T @ column)
        rest = rest - kept @ (kept.T @ rest)
        size = float(np.linalg.norm(rest))
        if size > _COLLINEAR * max(float(np.linalg.norm(column)), 1e-4 * float(np.linalg.norm(X[:, j]))):
            used[j], kept = True, np.column_stack([kept, rest / size])
    return used


def standardised(X: F64, order: Order) -> tuple[F64, F64]:
    """Columns of like size, and T with X T = Z: a coefficient b of Z is T b of X.

    Where the first column is the constant (nothing differenced), the others are centred on it.
    """
    k = X.shape[1]
    T = np.eye(k)
    W = differenced(X, order)
    constant = order.lost == 0 and k > 0 and bool((X[:, 0] == 1.0).all())
    for j in range(1 if constant else 0, k):
        centre = float(X[:, j].mean()) if constant else 0.0
        size = float(np.sqrt(np.mean((W[:, j] - centre) ** 2)))
        T[j, j] = 1.0 / size
        if constant:
            T[0, j] = -centre / size
    return X @ T, T


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


def profiled(fit: SarimaxFit, y: F64, X: F64) -> SarimaxFit | None:
    """Replace variance and log-likelihood by the exact ones at the other parameters."""
    u = y - X @ fit.beta
    state = run(unit_equation(fit), u, np.zeros(len(u)), np.empty(len(u)), np.empty(len(u)))
    if state is None or state.n < 1 or not np.isfinite(state.squares):
        return None
    sigma2 = state.squares / state.n
    if not sigma2 > 0:
        return None
    loglik = -0.5 * (state.n * (np.log(2 * np.pi * sigma2) + 1.0) + state.log_f)
    return replace(fit, sigma2=float(sigma2), loglik=float(loglik), n_used=state.n)


def unit_equation(fit: SarimaxFit) -> Equation:
    """Equation of y - X beta with unit innovation variance."""
    o = fit.order
    ar = _lag_polynomial(fit.phi, fit.seasonal_phi, o.s, -1.0)
    ma = _lag_polynomial(fit.theta, fit.seasonal_theta, o.s, 1.0)
    diff = np.ones(1)
    for stride, times in ((1, o.d), (o.s, o.D)):
        for _ in range(times):
            diff = np.convolve(diff, np.concatenate([[1.0], np.zeros(stride - 1), [-1.0]]))
    full = -np.convolve(ar, diff)[1:]
    return Equation(-ar[1:], -diff[1:], ma[1:].copy(), 1.0, full if full.size else np.zeros(1), False)


def _lag_polynomial(coefficients: F64, seasonal: F64, s: int, sign: float) -> F64:
    factor = np.zeros(1 + s * len(seasonal))
    factor[0] = 1.0
    factor[s::s] = sign * seasonal
    return np.convolve(np.concatenate([[1.0], sign * coefficients]), factor)


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
