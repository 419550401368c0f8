"""What a record says about missing points: fixed-interval smoothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from forecast.kernels.companion_filter import advance_row
from forecast.kernels.companion_smoother import smooth_row
from forecast.models.assemble import take
from forecast.models.deterministic import deterministic_in_sample
from forecast.models.equations import equation, recursions
from forecast.models.filtering import observations
from forecast.models.initial_state import Equation, Start, start
from forecast.models.panel import Panel
from forecast.models.records import Form, Records, Transform
from forecast.types import F64


@dataclass(frozen=True, slots=True, eq=False)
class RecordImputer:
    """A `forecast.types.GapImputer` that fills gaps as one record sees them.

    Parameters
    ----------
    records, i
        Series `i` of these.
    first
        t of the first point that is handed in (1: the start of the record); trend, season and
        regressors count from there.
    exog
        Regressors by name, (t,) each, aligned with what is handed in.
    """

    records: Records
    i: int = 0
    first: int = 1
    exog: Mapping[str, F64] = field(default_factory=dict)

    def impute(self, y: F64) -> tuple[F64, F64]:
        """Conditional mean and variance of every point; see `GapImputer.impute`."""
        return smooth(self.records, self.i, y, self.first, self.exog)


def smooth(
    records: Records, i: int, y: F64, first: int = 1, exog: Mapping[str, F64] | None = None
) -> tuple[F64, F64]:
    """Mean and variance of every point of one series given all that is observed.

    Parameters
    ----------
    y
        (t,) observations, oldest first, NaN where missing.
    first, exog
        As in `RecordImputer`.

    Returns
    -------
    mean, variance
        (t,) each, units of y and its square; where observed, y and 0. Under a log transform they are
        the moments of the log-normal. NaN where `y` does not determine the levels of the model.
    """
    one = take(records, np.array([i]))
    begin = one.freq.times(one.start, np.array([first - 1]))
    values = np.array(y, dtype=np.float64)
    panel = Panel(values, np.array([0, len(values)]), one.ids, begin, one.freq, dict(exog or {}))
    m = deterministic_in_sample(one, panel)
    u, drive = observations(one, panel, m)
    mean, var = smooth_path(equation(one, recursions(one), 0), u, drive)
    if one.form[0] == Form.REGRESSION:
        mean += m
    seen = ~np.isnan(values)
    mean, var = _untransformed(mean, var, float(one.scale[0]), int(one.transform[0]))
    return np.where(seen, values, mean), np.where(seen, 0.0, var)


def _untransformed(mean: F64, var: F64, scale: float, transform: int) -> tuple[F64, F64]:
    if transform == Transform.LOG:
        level = np.exp(mean + 0.5 * var)
        mean, var = level, level * level * np.expm1(var)
    return mean * scale, var * scale * scale


def smooth_path(eq: Equation, u: F64, m: F64) -> tuple[F64, F64]:
    """Smoothed means and variances (t,) of what the recursion runs on."""
    state, eq = _wide_start(eq, u, m)
    mean, var = np.array(u), np.where(np.isnan(u), np.nan, 0.0)
    if state is None:
        return mean, var
    t0, L, M = state.t0, eq.n_levels, eq.size
    x, P = np.concatenate([state.levels, state.innov]), state.P.copy()
    rest, t = np.array(u[t0:]), len(u) - t0
    z, f, gains = np.empty(t), np.empty(t), np.empty((max(t, 1), M))
    predicted = np.array(m[t0:])
    advance_row(
        eq.a, eq.ma, eq.sigma2, state.levels, state.innov, state.P, state.known, rest, predicted, z, f, gains
    )
    r, N, spread = np.zeros(M), np.zeros((M, M)), np.zeros(t)
    smooth_row(eq.a, eq.ma, ~np.isnan(rest), z, f, gains, predicted, spread, r, N)
    mean[t0:], var[t0:] = np.where(np.isnan(rest), predicted, rest), spread
    x, P = x + P @ r, P - P @ N @ P
    head = slice(None, t0)
    width = min(t0, L)
    mean[t0 - width : t0] = x[:width][::-1]
    var[t0 - width : t0] = np.maximum(np.diag(P)[:width][::-1], 0.0)
    seen = ~np.isnan(u[head])
    mean[head], var[head] = np.where(seen, u[head], mean[head]), np.where(seen, 0.0, var[head])
    return mean, var


def _wide_start(eq: Equation, u: F64, m: F64) -> tuple[Start | None, Equation]:
    """Start with a state that holds every point of the head, however long that had to be."""
    state = start(eq, u, m)
    if state is None or state.t0 <= eq.n_levels:
        return state, eq
    wide = replace(eq, a=np.concatenate([eq.a, np.zeros(state.t0 - eq.n_levels)]))
    return start(wide, u, m), wide
