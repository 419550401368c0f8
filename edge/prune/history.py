"""The past of a series as its AR part sees it: transformed, free of the mean function, differenced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.models.deterministic import deterministic_in_sample, lagged
from forecast.models.filtering import transformed
from forecast.models.panel import Panel
from forecast.models.records import Form, Records
from forecast.types import F64, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """One series: v_t = sum_j b_j z_{j,t} + sum_i phi_i v_{t-i} + e_t."""

    v: F64
    """(t,) oldest first, NaN where missing (and at the first points, which differencing uses up);
    less `center` where the equation has a constant."""
    z: F64
    """(t, f) regressors of the equation: constant, slope, seasonal effects, exogenous terms."""
    b: F64
    """(f,) their coefficients in the record; that of the constant speaks of the centred v."""
    center: float
    lags: I64
    """(m,) lags whose coefficient is not 0, ascending."""
    phi: F64
    """(m,) their coefficients in the record."""
    growth: F64
    """(horizon,) weights of 1 / (1-L)^d (1-L^s)^D: errors of v add up to errors of w by them."""


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Records and their data, a series as the panel has it."""

    records: Records
    panel: Panel
    values: F64
    """(N,) w, or w - m of a REGRESSION."""

    def of(self, i: int, horizon: int) -> History:
        """Return the history of record `i`, which has at least one lag."""
        records, at = self.records, slice(self.panel.indptr[i], self.panel.indptr[i + 1])
        s = max(int(records.season_length[i]), 1)
        d, D = int(records.d[i]), int(records.D[i])
        v = differenced(self.values[at], d, D, s)
        lags = np.flatnonzero(records.phi[i]) + 1
        phi = records.phi[i, lags - 1]
        z, b = self._regressors(i, at)
        center = 0.0
        if records.form[i] == Form.CONDITIONAL and records.const[i] != 0.0:
            center = float(np.nanmean(v)) if np.isfinite(v).any() else 0.0
            b = b.copy()
            b[0] -= center * (1.0 - phi.sum())
        return History(v - center, z, b, center, lags, phi, accumulation(d, D, s, horizon))

    def _regressors(self, i: int, at: slice) -> tuple[F64, F64]:
        records, length = self.records, at.stop - at.start
        if records.form[i] == Form.REGRESSION:
            return np.zeros((length, 0)), np.zeros(0)
        t = np.arange(1.0, length + 1.0)
        columns, b = [], []
        if records.const[i] != 0.0:
            columns.append(np.ones(length))
            b.append(records.const[i])
        if records.slope[i] != 0.0:
            columns.append(t)
            b.append(records.slope[i])
        season = (t - 1.0) % max(int(records.season_length[i]), 1)
        for k in np.flatnonzero(records.seasonal[i]).tolist():
            columns.append((season == k).astype(np.float64))
            b.append(records.seasonal[i, k])
        for j in np.flatnonzero(records.beta[i]).tolist():
            term = records.exog[j]
            columns.append(lagged(self.panel.exog[term.name][at], np.arange(length), term.lag))
            b.append(records.beta[i, j])
        return (np.stack(columns, axis=1) if columns else np.zeros((length, 0))), np.array(b)


def histories(records: Records, panel: Panel) -> Histories:
    """Pair records with their data.

    Parameters
    ----------
    panel
        The series of `records` in their order, each from t = 1 to t = nobs, with the computed regressors.
    """
    values = transformed(records, panel)
    regression = records.form == Form.REGRESSION
    if regression.any():
        inside = np.repeat(regression, panel.lengths)
        values = np.where(inside, values - deterministic_in_sample(records, panel), values)
    return Histories(records, panel, values)


def differenced(v: F64, d: int, D: int, s: int) -> F64:
    """(t,) (1-L)^d (1-L^s)^D v; NaN at the first d + s D points."""
    out = v
    for stride in [1] * d + [s] * D:
        ahead = np.full(len(out), np.nan)
        ahead[stride:] = out[stride:] - out[:-stride]
        out = ahead
    return out


def accumulation(d: int, D: int, s: int, horizon: int) -> F64:
    """(horizon,) first weights of 1 / ((1-L)^d (1-L^s)^D)."""
    out = np.zeros(horizon)
    out[0] = 1.0
    for stride in [1] * d + [s] * D:
        for k in range(stride, horizon):
            out[k] += out[k - stride]
    return out


def complete(matrix: F64) -> Bool:
    """(n,) which rows hold no NaN."""
    found: Bool = np.all(np.isfinite(matrix), axis=1)
    return found
