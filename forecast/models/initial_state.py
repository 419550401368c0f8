r"""Where the filter starts: stationary covariances, and exact diffuse levels.

The levels that differencing leaves undetermined have a flat prior. They are carried as columns
beside the state mean (each of them moves like data do, by the same gains) and are solved for by
least squares as soon as the observations determine them.

Source: de Jong (1991), "The diffuse Kalman filter", Annals of Statistics 19, eq. 3.1-3.3;
autocovariances: Brockwell and Davis (1991), *Time Series: Theory and Methods*, eq. 3.3.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecast.kernels.companion_filter import predict_cov, update_cov
from forecast.types import F64

# Columns of the diffuse system count as independent above this share of the largest singular value:
# the system has small integer-like entries, so a true deficit shows at 1e-15.
_RANK = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """One series' equation, expanded: u_t = sum ar_j u_{t-j} + sum ma_j e_{t-j} + e_t, differenced."""

    ar: F64
    """(p + s P,) of phi(L) Phi(L^s)."""
    diff: F64
    """(d + s D,) of (1-L)^d (1-L^s)^D: y_t = sum diff_j y_{t-j} + u_t."""
    ma: F64
    """(q + s Q,)"""
    sigma2: float
    a: F64
    """(L,) of all factors together, L >= 1."""
    diffuse: bool
    """True: every level starts from a flat prior and innovations from zero, that is, the first points
    are conditioned on. False: only differencing leaves levels free."""
    mean: float = 0.0
    """Of the stationary process, where nothing is differenced."""

    @property
    def n_levels(self) -> int:
        return len(self.a)

    @property
    def size(self) -> int:
        return len(self.a) + len(self.ma)


@dataclass(slots=True)
class Start:
    """A state after the first `t0` points, with what they add to the likelihood."""

    t0: int
    levels: F64
    innov: F64
    P: F64
    known: bool
    n: int = 0
    """Observations counted: those that determined diffuse levels are left out."""
    log_f: float = 0.0
    squares: float = 0.0

    @property
    def loglik(self) -> float:
        """Gaussian log-likelihood of the points counted."""
        return -0.5 * (self.n * math.log(2 * math.pi) + self.log_f + self.squares)


def is_stationary(ar: F64) -> bool:
    """Step-down test of 1 - sum ar_j z^j."""
    phi = np.array(ar)
    while phi.size:
        k = phi[-1]
        if not abs(k) < 1.0:
            return False
        phi = (phi[:-1] + k * phi[-2::-1]) / (1.0 - k * k) if phi.size > 1 else phi[:0]
    return True


def autocovariances(ar: F64, ma: F64, n: int) -> tuple[F64, F64]:
    """Autocovariances 0..n-1 and psi weights 0..n-1 of a stationary ARMA with unit innovation variance."""
    p, q = len(ar), len(ma)
    b = np.concatenate([[1.0], ma])
    psi = np.zeros(max(n, q + 1))
    for j in range(len(psi)):
        past = psi[max(0, j - p) : j][::-1]
        psi[j] = (b[j] if j <= q else 0.0) + ar[: len(past)] @ past
    rhs = np.zeros(max(n, p + 1))
    for k in range(min(q + 1, len(rhs))):
        rhs[k] = b[k:] @ psi[: q + 1 - k]
    lhs = np.eye(p + 1)
    for k in range(p + 1):
        for i in range(1, p + 1):
            lhs[k, abs(k - i)] -= ar[i - 1]
    gamma = np.zeros(len(rhs))
    gamma[: p + 1] = np.linalg.solve(lhs, rhs[: p + 1])
    for k in range(p + 1, len(gamma)):
        gamma[k] = rhs[k] + ar @ gamma[k - 1 :: -1][:p]
    return gamma[:n], psi[:n]


def stationary_cov(ar: F64, ma: F64, n: int) -> F64:
    """(n + q, n + q) covariance of (u_t .. u_{t-n+1}, e_t .. e_{t-q+1}), unit innovation variance."""
    q = len(ma)
    gamma, psi = autocovariances(ar, ma, max(n, q, 1))
    lag = np.arange(n)[:, None] - np.arange(n)[None, :]
    cross = np.arange(q)[None, :] - np.arange(n)[:, None]
    out = np.eye(n + q)
    out[:n, :n] = gamma[np.abs(lag)]
    out[:n, n:] = np.where(cross >= 0, psi[np.maximum(cross, 0)], 0.0)
    out[n:, :n] = out[:n, n:].T
    return out


def initial(equation: Equation) -> tuple[F64, F64, F64]:
    """Mean (M,), diffuse columns (M, d + s D) and covariance (M, M) of the state before the first point.

    The differenced process is stationary and starts so; levels that differencing leaves free are columns.
    """
    L, M, pp, nd = equation.n_levels, equation.size, len(equation.ar), len(equation.diff)
    mean = np.zeros(M)
    if nd == 0:
        mean[:L] = equation.mean
        return mean, np.zeros((M, 0)), equation.sigma2 * stationary_cov(equation.ar, equation.ma, L)
    free = np.zeros((M, nd))
    free[:nd] = np.eye(nd)
    shock = np.zeros((M, pp + len(equation.ma)))  # columns: u_0 .. u_{1-pp}, then the innovations
    shock[L:, pp:] = np.eye(len(equation.ma))
    for k in range(pp):  # y_{-k} = sum diff_j y_{-k-j} + u_{-k}, solved for the oldest level
        for rows in (free, shock):
            rows[k + nd] = (rows[k] - equation.diff[:-1] @ rows[k + 1 : k + nd]) / equation.diff[-1]
        shock[k + nd, k] -= 1.0 / equation.diff[-1]
    return mean, free, equation.sigma2 * shock @ stationary_cov(equation.ar, equation.ma, pp) @ shock.T


def start(equation: Equation, y: F64, m: F64) -> Start | None:
    """State after the shortest head of `y` that determines the diffuse levels; None if none does.

    Parameters
    ----------
    y, m
        (t,) observations, NaN where missing, and the deterministic part of the recursion, not NaN
        (in the conditioned head of a `diffuse` start it is not used).
    """
    if equation.diffuse or not is_stationary(equation.ar):
        head = _conditioned(equation, y)
    else:
        head = _Head(equation, 0, *initial(equation))
    if head is None:
        return None
    while not head.determined():
        if head.t >= len(y):
            return None
        head.step(y[head.t], m[head.t])
    return head.collapse()


def _conditioned(equation: Equation, y: F64) -> _Head | None:
    """Return the head that conditions on the first points: those that are missing are the diffuse levels."""
    k, M = len(equation.ar) + len(equation.diff), equation.size
    if len(y) < k:
        return None
    first = y[:k][::-1]
    mean = np.zeros(M)
    mean[:k] = np.where(np.isnan(first), 0.0, first)
    cov = np.zeros((M, M))
    cov[equation.n_levels :, equation.n_levels :] = equation.sigma2 * np.eye(len(equation.ma))
    return _Head(equation, k, mean, np.eye(M)[:, np.flatnonzero(np.isnan(first))], cov)


class _Head:
    """The filter with columns for the diffuse levels."""

    def __init__(self, equation: Equation, t: int, mean: F64, free: F64, cov: F64) -> None:
        self.equation, self.t = equation, t
        self.x, self.P = np.column_stack([mean, free]), np.ascontiguousarray(cov)
        self.raw = free[: equation.n_levels].copy()
        self.errors: list[F64] = []
        self.raw_rows: list[F64] = []
        self.variances: list[float] = []

    def step(self, y: float, m: float) -> None:
        """Move on by one point; `x[:, 0]` is the mean with all diffuse levels at zero."""
        equation, L = self.equation, self.equation.n_levels
        self.t += 1
        new = np.concatenate([equation.a, equation.ma]) @ self.x
        new[0] += m
        self.x[1:] = self.x[:-1].copy()
        self.x[0] = new
        self.x[L : L + 1] = 0.0
        self.raw = np.vstack([equation.a @ self.raw, self.raw[:-1]])
        g = np.zeros(equation.size)
        predict_cov(equation.a, equation.ma, equation.sigma2, self.P, g)
        if np.isnan(y):
            return
        error = -new
        error[0] += y
        self.errors.append(error)
        self.raw_rows.append(self.raw[0])
        self.variances.append(g[0])
        if g[0] > 0:
            self.x += np.outer(g / g[0], error)
            update_cov(equation.sigma2, self.P, g)

    def determined(self) -> bool:
        """Whether what is not determined has no part in the state."""
        free = self.x[:, 1:]
        if free.shape[1] == 0:
            return True
        if len(self.errors) < free.shape[1] and free.any(axis=0).all():
            return False
        return float(np.abs(free @ self._least_squares()[3].T).max(initial=0.0)) <= _RANK

    def _least_squares(self) -> tuple[F64, F64, F64, F64]:
        """Weighted errors, their fit, V' with singular values taken out, and the null space."""
        k = self.x.shape[1] - 1
        if not self.errors:
            return np.zeros(0), np.zeros((0, 0)), np.zeros((0, k)), np.eye(k)
        errors, f = np.array(self.errors), np.array(self.variances)
        weight = 1.0 / np.sqrt(np.where(f > 0, f, 1.0))
        v, V = errors[:, 0] * weight, -errors[:, 1:] * weight[:, None]
        U, s, Wt = np.linalg.svd(V, full_matrices=True)
        rank = int((s > _RANK * s[0]).sum())
        return v, U[:, :rank], Wt[:rank] / s[:rank, None], Wt[rank:]

    def collapse(self) -> Start:
        """Solve for the diffuse levels and give the state their mean and covariance."""
        L = self.equation.n_levels
        v, U, half, _ = self._least_squares()
        fit = U.T @ v
        mean = self.x[:, 0] + self.x[:, 1:] @ (half.T @ fit)
        spread = half @ self.x[:, 1:].T
        P = self.P + spread.T @ spread
        n = len(v) - len(half)
        squares = float(v @ v - fit @ fit)
        # |V'V|^(-1/2) over the kept directions: the rows of `half` are orthogonal, of length 1 / s.
        logdet = float(np.log(np.linalg.norm(half, axis=1)).sum())
        log_f = float(np.log(np.maximum(self.variances, np.finfo(float).tiny)).sum())
        log_f -= 2.0 * (logdet + _log_volume(self.raw_rows))
        return Start(self.t, mean[:L].copy(), mean[L:].copy(), P, not P.any(), n, log_f, squares)


def _log_volume(rows: list[F64]) -> float:
    """Log determinant of the first independent rows, in order."""
    basis: list[F64] = []
    total = 0.0
    for row in rows:
        rest = row - sum((b * (b @ row) for b in basis), np.zeros(len(row)))
        size = float(np.linalg.norm(rest))
        if size > _RANK * max(1.0, float(np.linalg.norm(row))):
            basis.append(rest / size)
            total += math.log(size)
    return total
