r"""What a change of the coefficients costs: the analytic rise of forecast errors.

The forecast h steps ahead is W_h' x with x the last L values, W_h the first row of the h-th power of the
companion matrix. Coefficients that are off by a little forecast with W_h + d_h instead, and then

.. math:: RMSE_h^2 = s^2_h + d_h' \Gamma d_h, \quad s^2_h = \sum_{j<h} \psi_j^2

with Gamma the autocovariance of x, all in units of the innovation variance. The rise is the mean over
h = 1..H of RMSE_h / s_h, less 1. No simulation, no noise. Of an integrated model, Gamma is that of the
differenced series, and d and psi are summed up again: the rise is that of the levels' forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.quantize.polynomial import predictors, step_down
from forecast.types import F64, I64

# A pole moves by as much; the last one stands for a polynomial that no factor of ours can have.
_SHRINK: Final = tuple(1.0 - 10.0**-e for e in (12, 10, 8, 7, 6, 5, 4, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The forecasts of n unquantised models of one shape, and the metric that judges others by them."""

    a: F64
    """(n, L) coefficients of the stationary recursion."""
    weights: F64
    """(n, H, L) forecast weights, on the differenced scale."""
    root: F64
    """(n, L, L) lower triangular S with Gamma = S S', in units of the innovation variance."""
    psi: F64
    """(n, H) psi weights of the levels."""
    spread: F64
    """(n, H) s_h squared, of the levels."""
    undo: F64 | None
    """(H, H) matrix that sums differences up again; None where nothing was differenced."""

    @classmethod
    def of(cls, a: F64, horizon: int, undo: F64 | None = None) -> Target:
        """Prepare n stationary recursions `a` (n, L); `undo` is `summation` of their differencing."""
        weights = forecast_weights(a, horizon)
        psi = np.ones((len(a), horizon))
        psi[:, 1:] = weights[:, :-1, 0] if a.shape[1] else 0.0
        if undo is not None:
            psi = psi @ undo.T
        return cls(a, weights, covariance_root(a), psi, np.cumsum(psi**2, axis=1), undo)

    def take(self, rows: I64) -> Target:
        """Return the models at positions `rows`."""
        parts = (self.a, self.weights, self.root, self.psi, self.spread)
        a, weights, root, psi, spread = (part[rows] for part in parts)
        return Target(a, weights, root, psi, spread, self.undo)

    def rise(self, a: F64) -> F64:
        """Return (n, ...) rises for candidates `a` (n, ..., L)."""
        n, L = self.a.shape
        flat = a.reshape(n, int(np.prod(a.shape[1:-1])), L)
        off = np.empty((n, flat.shape[1], self.weights.shape[1], L))
        for i in range(flat.shape[1]):
            off[:, i] = forecast_weights(flat[:, i], self.weights.shape[1])
        off -= self.weights[:, None]
        if self.undo is not None:
            off = self.undo @ off
        shape = off.shape
        off = (off.reshape(n, shape[1] * shape[2], L) @ self.root).reshape(shape)
        extra = np.einsum("nkhl,nkhl->nkh", off, off) / self.spread[:, None]
        # sqrt(1 + x) - 1 without its cancellation.
        rise: F64 = (extra / (1.0 + np.sqrt(1.0 + extra))).mean(axis=2)
        return rise.reshape(a.shape[:-1])

    def curvature(self, slope: F64) -> F64:
        r"""Return (n, m, m) G with rise ~ u' G u for coefficients a + slope' u; `slope` is (n, m, L).

        Notes
        -----
        With C the companion matrix, W_(h+1) = W_h C, hence dW_(h+1) = dW_h C + psi_h da.
        """
        n, m, L = slope.shape
        H = self.weights.shape[1]
        moved = np.empty((n, m, H, L))
        moved[:, :, 0] = slope
        for h in range(1, H):
            before = moved[:, :, h - 1]
            moved[:, :, h] = before[:, :, :1] * self.a[:, None] + self.weights[:, h - 1, :1, None] * slope
            moved[:, :, h, :-1] += before[:, :, 1:]
        if self.undo is not None:
            moved = self.undo @ moved
        shape = moved.shape
        moved = (moved.reshape(n, m * H, L) @ self.root).reshape(shape)
        moved *= np.sqrt(0.5 / H / self.spread)[:, None, :, None]
        flat = moved.reshape(n, m, H * L)
        return flat @ flat.transpose(0, 2, 1)


def forecast_weights(a: F64, horizon: int) -> F64:
    """Return (n, H, L): row h - 1 multiplies the last L values, newest first, for the forecast h ahead."""
    n, L = a.shape
    w = np.zeros((n, horizon, L))
    w[:, :1] = a[:, None]
    for h in range(1, horizon if L else 0):
        w[:, h] = w[:, h - 1, :1] * a
        w[:, h, :-1] += w[:, h - 1, 1:]
    return w


def covariance_root(a: F64) -> F64:
    """Return (n, L, L) lower triangular S with S S' the autocovariance of n stationary recursions (n, L).

    Notes
    -----
    The backward prediction errors b = B x are uncorrelated, with variances v_m = 1 / prod_(j>m) (1 - k_j^2),
    and B holds the predictors of every lower order: S = B^-1 diag(sqrt(v)). No autocovariance is summed, so
    nothing cancels near a unit root.
    """
    n, L = a.shape
    k = _inside(a)
    back = predictors(k)
    root = np.zeros((n, L, L))
    for m in range(L):
        # x_m = b_m + its prediction from the m newer values, x_(m-1) first.
        root[:, m] = (back[:, m, :m][:, None, ::-1] @ root[:, :m])[:, 0]
        root[:, m, m] = 1.0
    gain = np.cumprod(((1.0 - k) * (1.0 + k))[:, ::-1], axis=1)[:, ::-1]
    scaled: F64 = root / np.sqrt(gain)[:, None]
    return scaled


def _inside(a: F64) -> F64:
    """Return the partial autocorrelations of products (n, L) whose factors are stationary.

    Near two unit roots at once the step-down of a product can meet abs(k) >= 1 by rounding alone. Such a
    polynomial is pulled in, a_i r^i, by the least of a few r that settles it.
    """
    k = step_down(a)
    lag = np.arange(1, a.shape[1] + 1)
    for shrink in _SHRINK:
        lost = np.flatnonzero(~(np.abs(k) < 1.0).all(axis=1))
        if not len(lost):
            break
        k[lost] = step_down(a[lost] * shrink**lag)
    return k


def summation(d: int, seasonal_d: int, s: int, horizon: int) -> F64 | None:
    """Return the (H, H) matrix of 1 / ((1 - L)^d (1 - L^s)^D), None where d = D = 0."""
    if d + seasonal_d == 0:
        return None
    path = np.eye(horizon)
    for stride, times in ((1, d), (s, seasonal_d)):
        for _ in range(times):
            for h in range(stride, horizon):
                path[h] += path[h - stride]
    return path
