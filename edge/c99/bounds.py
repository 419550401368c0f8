"""How far floating-point and fixed-point forecasts may be from exact ones: the bounds a header states."""

from __future__ import annotations

import numpy as np

from edge.c99.equations import Equations, lag_weights
from edge.psi import psi_weights
from forecast.types import F64

# Room that a header leaves for values larger than those that the model has seen last.
_ROOM = 8.0
_SIGMAS = 6.0
# Its exponential is the end of float64: no promise at all.
_LARGEST_LOG = 709.0


def limits(eq: Equations) -> F64:
    """(n,) size of y (of log y) up to which the stated errors hold: eight times what was last seen."""
    fleet = eq.fleet
    level = np.abs(np.where(np.isfinite(fleet.levels), fleet.levels, 0.0)).max(axis=1)
    spread = _SIGMAS * np.sqrt(np.nan_to_num(eq.variance[:, -1]))
    size = np.maximum(level + deterministic_size(eq), np.abs(eq.mean)) + spread
    return np.where(size > 0, size, 1.0) * _ROOM


def deterministic_size(eq: Equations) -> F64:
    """(n,) size of m_t about now, supplied regressors left out."""
    fleet = eq.fleet
    size = np.abs(eq.drive) + np.abs(fleet.slope) * (fleet.nobs + eq.horizon)
    if eq.season.shape[1]:
        size = size + np.abs(eq.season).max(axis=1)
    return np.asarray(size, dtype=np.float64)


def rounding(eq: Equations, limit: F64, unit: float) -> F64:
    """(n,) largest error of a mean, units of w, for arithmetic of relative precision `unit`.

    Exact identity: the error e_k of step k obeys e_k = sum a_i e_{k-i} + r_k, where r_k is what the step
    rounds. So the errors are those of the lags times the weights of the lags, plus psi weights times r. A sum
    of L products is within (L + 2) units of the sum of their sizes (Higham 2002, 3.1); a coefficient adds
    one, a lag two.
    """
    weights = np.abs(lag_weights(eq.a, eq.horizon)).sum(axis=2)
    psi = np.abs(psi_weights(eq.a, eq.b, eq.horizon))
    size = path_size(eq, limit, weights, psi)
    terms = eq.n_lags + eq.n_shocks
    shocks = np.abs(eq.b).sum(axis=1)
    local = unit * (terms + 6) * ((np.abs(eq.a).sum(axis=1) + shocks + 1.0) * size)
    total = local * psi.sum(axis=1) + unit * 3.0 * limit * weights.max(axis=1, initial=1.0)
    return np.asarray(total + 4.0 * unit * (size + limit), dtype=np.float64)


def path_size(eq: Equations, limit: F64, weights: F64, psi: F64) -> F64:
    """(n,) what no lag and no exact forecast exceeds, taken less of the mean or the newest value."""
    from_lags = 2.0 * limit * np.maximum(weights.max(axis=1, initial=1.0), 1.0)
    return np.asarray(from_lags + deterministic_size(eq) * psi.sum(axis=1), dtype=np.float64)


def share(eq: Equations, error: F64, limit: F64, unit: float) -> float:
    """Return the largest error as a share: of the limit, or of y itself under a logarithm."""
    # log and exp are within two units of their value; what they are given counts in `rounding`.
    relative = np.where(eq.fleet.log, np.expm1(np.minimum(error, _LARGEST_LOG)) + 4.0 * unit, error / limit)
    return float(relative.max(initial=0.0))
