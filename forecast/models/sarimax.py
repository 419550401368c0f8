"""Regression with SARIMA errors: orders, estimates, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecast.models.filtering import run
from forecast.models.initial_state import Equation
from forecast.types import F64, Bool

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
