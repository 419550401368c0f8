"""What the library answers to the inputs of the graphs, in float64: the references of the parity vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from forecast.models.assemble import lagged_names
from forecast.models.computed import is_computed
from forecast.models.deterministic import deterministic_path
from forecast.models.dynamics import Dynamics, dynamics
from forecast.models.forecasting import calibration, mean_of, to_units, widen
from forecast.models.intervals import innovation_variance, state_variance
from forecast.models.records import Form, Records, Transform
from forecast.types import F64, I64

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """Forecasts of n series, h steps ahead, as both graphs give them."""

    mean: F64
    """(n, h) units of y; under LOG the median."""
    variance: F64
    """(n, h) of the forecast error, units of w squared, calibrated."""
    lo: F64
    """(n, levels, h) units of y."""
    hi: F64


def ahead(records: Records, h: int, levels: Sequence[float], exog: Mapping[str, F64]) -> Ahead:
    """Forecast from where the records stand; the variance is that of innovations and state, not of estimates.

    Parameters
    ----------
    exog
        Future regressors by name, (n, h) each.
    """
    n = records.n_series
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        m = deterministic_path(records, h, exog)
        run: Dynamics = dynamics(records, m, 0, n)
        center = mean_of(records, run, m)
        variance = innovation_variance(records, run) + state_variance(records, run)
        sd = np.sqrt(variance)[:, None, :]
        reach = np.array([_NORMAL.inv_cdf(0.5 + float(level) / 200.0) for level in levels])[None, :, None]
        middle, half = center[:, None, :], reach * sd
        lo, hi = widen(records, center, middle - half, middle + half)
        return Ahead(to_units(records, center), variance * calibration(records)[:, None] ** 2, lo, hi)


def standing_at(records: Records, lags: F64, t: I64, x: F64, names: Sequence[str], n_past: int) -> Records:
    """Return records that stand after given values of y, as graph A is asked.

    Parameters
    ----------
    lags
        (n, n_lags) y, newest first.
    t
        (n,) points up to the origin.
    x
        (n, n_past + h, len(names)) regressors, oldest first.
    names
        Of the columns of `x`.
    """
    width = lags.shape[1]
    w = transformed(records, lags)
    before = replace(
        records, nobs=(t - width).astype(np.int32), exog_tail=_tail(records, x, names, n_past - width)
    )
    past = future_of(records, x, names, n_past - width, width)
    regression = (records.form == Form.REGRESSION)[:, None]
    m = deterministic_path(before, width, past)[:, ::-1]
    levels = np.where(regression, w - m, w)
    return replace(
        records, nobs=t.astype(np.int32), levels=levels, innovations=np.zeros_like(records.innovations),
        state_cov={}, exog_tail=_tail(records, x, names, n_past),
    )  # fmt: skip


def future_of(records: Records, x: F64, names: Sequence[str], first: int, count: int) -> dict[str, F64]:
    """Return rows first..first + count of `x` by name, (n, count) each; rows before the first are zero.

    What the library computes is left out; a regressor that no series uses is no column of `x`, and 0 here.
    """
    rows = _padded(x, first)[:, max(first, 0) : max(first, 0) + count]
    asked = dict.fromkeys(term.name for term in records.exog if not is_computed(term.name))
    none = np.zeros(rows.shape[:2])
    return {name: rows[:, :, list(names).index(name)] if name in names else none for name in asked}


def transformed(records: Records, y: F64) -> F64:
    """Return w of values y (n, any), NaN where y has no logarithm under LOG."""
    w = y / records.scale[:, None]
    log = (records.transform == Transform.LOG)[:, None]
    return np.where(log, np.log(np.where(log & (w > 0), w, np.nan)), w)


def _tail(records: Records, x: F64, names: Sequence[str], origin: int) -> F64:
    """(n, lagged names, max lag) the rows of `x` before `origin`, newest first."""
    lagged = lagged_names(records.exog)
    depth = max((term.lag for term in records.exog), default=0)
    out = np.zeros((len(x), len(lagged), depth))
    for j, name in enumerate(lagged):
        if name not in names or depth == 0:
            continue
        column, at = _padded(x, origin - depth)[:, :, list(names).index(name)], max(origin, depth)
        out[:, j] = column[:, at - depth : at][:, ::-1]
    return out


def _padded(x: F64, first: int) -> F64:
    """Put zeros before the first row of `x`, so that row `first` is there."""
    if first >= 0:
        return x
    return np.concatenate([np.zeros((len(x), -first, x.shape[2])), x], axis=1)
