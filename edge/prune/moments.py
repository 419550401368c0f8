"""Regressions of many series at once, from their cross products alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.prune.history import History, complete
from forecast.types import F64, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The complete rows of one regression: regressors z, then the lags of v."""

    x: F64
    """(n, f + m)"""
    y: F64
    """(n,)"""
    time: I64
    """(n,) position of y in the series."""

    def products(self, rows: slice = slice(None)) -> F64:
        """(k + 1, k + 1) cross products of the regressors, y last."""
        x, y = self.x[rows], self.y[rows]
        k = x.shape[1]
        out = np.empty((k + 1, k + 1))
        out[:k, :k] = x.T @ x
        out[:k, k] = out[k, :k] = x.T @ y
        out[k, k] = y @ y
        return out


def regression_rows(history: History, lags: I64) -> Rows:
    """Return the rows of the regression of v on z and `lags` in which nothing is missing."""
    first = int(lags.max(initial=0))
    time = np.arange(first, len(history.v))
    back = history.v[time[:, None] - lags] if len(time) else np.zeros((0, len(lags)))
    x = np.concatenate([history.z[first:], back], axis=1)
    y = history.v[first:]
    whole = complete(x) & np.isfinite(y)
    return Rows(x[whole], y[whole], time[whole])


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """Least squares of S regressions."""

    coef: F64
    """(S, k), 0 where a regressor is out."""
    rss: F64
    """(S,) residual sum of squares."""
    sound: Bool
    """(S,) False where the regressors are linear in each other, up to rounding; the rest is void there."""


# Smallest eigenvalue of the correlation-like matrix of the regressors. Below it the normal equations, which
# square the condition of the regression, keep fewer than four digits.
_LEAST_EIGENVALUE = 1e-12


def normalised(products: F64) -> tuple[F64, F64, Bool]:
    """Return products of columns of length 1, (S, k + 1) the lengths, and (S,) whether regular."""
    length = np.sqrt(np.einsum("sii->si", products))
    fine = (np.isfinite(length) & (length > 0)).all(axis=1)
    safe = np.where(np.isfinite(length) & (length > 0), length, 1.0)
    unit = products / (safe[:, :, None] * safe[:, None, :])
    unit[~fine] = np.eye(products.shape[1])
    if products.shape[1] > 1:
        fine &= np.linalg.eigvalsh(unit[:, :-1, :-1])[:, 0] > _LEAST_EIGENVALUE
    unit[~fine] = np.eye(products.shape[1])
    return unit, safe, fine


def solve(products: F64, keep: Bool) -> Fits:
    """Fit S regressions that each leave some regressors out.

    Parameters
    ----------
    products
        (S, k + 1, k + 1) of `Rows.products`.
    keep
        (S, k) False where a regressor is left out.
    """
    unit, length, fine = normalised(products)
    k = keep.shape[1]
    a, y = unit[:, :k, :k], unit[:, :k, k] * keep
    # What is left out is replaced by equations 1 * b = 0.
    a = np.where(keep[:, :, None] & keep[:, None, :], a, np.eye(k))
    b = np.linalg.solve(a, y[:, :, None])[:, :, 0] if k else np.zeros((len(unit), 0))
    residual = np.concatenate([-b, np.ones((len(b), 1))], axis=1)
    rss = np.einsum("si,sij,sj->s", residual, unit, residual)
    sound = fine & (rss > 0.0)
    return Fits(b * length[:, -1:] / length[:, :-1], rss * length[:, -1] ** 2, sound)
