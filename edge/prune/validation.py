"""The guard: rolling forecasts over the last part of every series, h = 1..horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edge.prune.history import History
from forecast.types import F64, I64

# Share of a series, at its end, on which forecasts are compared.
SHARE = 0.2
# Origins compared at most: neighbours share all but one of their errors, so more of them add little.
MOST_ORIGINS = 128
# Fewer say nothing.
LEAST_ORIGINS = 8


def first_validated(length: int, horizon: int) -> int:
    """Position of the first point that is forecast: a fifth of the series, and 8 origins, are behind it."""
    return length - max(round(SHARE * length), horizon + LEAST_ORIGINS - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Origins of S series, side by side."""

    v: F64
    """(S, O, p + horizon) p values up to the origin, then those to be forecast; 0 in padding."""
    z: tuple[F64, ...]
    """For each series (t, f) its regressors."""
    at: I64
    """(S, O) position of the first point that is forecast."""
    counts: F64
    """(S, O) 1 for a window that counts, 0 for padding."""
    growth: F64
    """(S, horizon) see `History`."""
    p: int

    def take(self, rows: I64) -> Windows:
        """Return the windows of some series."""
        z = tuple(self.z[int(row)] for row in rows)
        return Windows(self.v[rows], z, self.at[rows], self.counts[rows], self.growth[rows], self.p)


def origins(history: History, p: int, horizon: int) -> I64:
    """(o,) first points to be forecast, whose window of p + horizon points holds no gap."""
    length = len(history.v)
    first = max(first_validated(length, horizon), p)
    known = np.isfinite(history.v) & np.isfinite(history.z).all(axis=1)
    if length - first < horizon:
        return np.zeros(0, dtype=np.int64)
    whole = sliding_window_view(known[first - p :], p + horizon).all(axis=1)
    at = first + np.flatnonzero(whole)
    if len(at) > MOST_ORIGINS:
        at = at[np.linspace(0, len(at) - 1, MOST_ORIGINS).round().astype(np.int64)]
    return at.astype(np.int64)


def windows(past: list[History], starts: list[I64], p: int, horizon: int) -> Windows:
    """Lay the windows of a batch side by side; `starts` are those of `origins`."""
    most = max(len(at) for at in starts)
    v, counts = np.zeros((len(past), most, p + horizon)), np.zeros((len(past), most))
    at = np.full((len(past), most), p, dtype=np.int64)
    for i, (history, where) in enumerate(zip(past, starts, strict=True)):
        at[i, : len(where)] = where
        counts[i, : len(where)] = 1.0
        v[i, : len(where)] = history.v[where[:, None] + np.arange(-p, horizon)]
    growth = np.stack([history.growth for history in past])
    return Windows(v, tuple(history.z for history in past), at, counts, growth, p)


def loss(seen: Windows, phi: F64, b: F64) -> F64:
    """(S,) mean over h of the root mean square error of forecasts h steps ahead, units of w.

    Parameters
    ----------
    phi
        (S, p) coefficients by lag.
    b
        (S, f) coefficients of the regressors, whose future is taken as known.
    """
    p, horizon = seen.p, seen.growth.shape[1]
    drive = _drive(seen, b, horizon)
    path = seen.v.copy()
    newest_last = phi[:, None, ::-1]
    with np.errstate(over="ignore", invalid="ignore"):  # an unstable fit loses, whatever its size
        for h in range(horizon):
            back = path[:, :, h : h + p]
            path[:, :, p + h] = drive[:, :, h] + (back @ newest_last.swapaxes(1, 2))[:, :, 0]
        error = accumulated(seen.v[:, :, p:] - path[:, :, p:], seen.growth)
        square = (error**2 * seen.counts[:, :, None]).sum(axis=1) / seen.counts.sum(axis=1)[:, None]
        mean: F64 = np.sqrt(square).mean(axis=1)
    return np.where(np.isfinite(mean), mean, np.inf)


def accumulated(error: F64, growth: F64) -> F64:
    """(S, O, horizon) errors of w from those of the differenced v."""
    if not growth[:, 1:].any():
        return error
    horizon = growth.shape[1]
    back = np.arange(horizon)[:, None] - np.arange(horizon)
    weights = np.where(back >= 0, growth[:, np.maximum(back, 0)], 0.0)
    total: F64 = error @ weights.swapaxes(1, 2)
    return total


def _drive(seen: Windows, b: F64, horizon: int) -> F64:
    """(S, O, horizon) what the regressors add to v."""
    out = np.zeros((*seen.at.shape, horizon))
    ahead = np.arange(horizon)
    for i, z in enumerate(seen.z):
        if z.shape[1]:
            m = np.nan_to_num(z @ b[i])  # NaN only outside of the windows that count
            out[i] = m[np.minimum(seen.at[i][:, None] + ahead, len(m) - 1)]
    return out
