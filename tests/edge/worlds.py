"""Made-up series with all that their forecasts depend on: values, regressors, parameters, drawn by a seed.

A world knows each series before and after its origin, so that the inputs of any graph can be cut out of it,
and what the library forecasts from the same parameters stands beside what a graph says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from forecast import online
from forecast.models.assemble import lagged_names
from forecast.models.computed import computed_values, is_computed
from forecast.models.deterministic import deterministic_path
from forecast.models.dynamics import dynamics
from forecast.models.equations import recursions
from forecast.models.forecasting import calibration, forecast, mean_of, to_units
from forecast.models.intervals import innovation_variance, state_variance
from forecast.models.records import Form, Records, Transform
from forecast.types import F64

HORIZON, TICKS, MISSING = 24, 40, 0.1
LEVELS = (80.0, 95.0)
_REACH = np.array([NormalDist().inv_cdf(0.5 + level / 200.0) for level in LEVELS])


@dataclass(frozen=True, eq=False)
class World:
    """n series: `records.nobs` points up to the origin, then the ticks, then the horizon of the last one."""

    records: Records
    y: F64
    """(n, T + ticks), the same T for all; NaN only after the origin."""
    x: Mapping[str, F64]
    """By regressor, (n, T + ticks + horizon); those that follow from the time as well."""
    horizon: int = HORIZON

    @property
    def origin(self) -> int:
        return int(self.records.nobs[0])

    @property
    def n_ticks(self) -> int:
        return self.y.shape[1] - self.origin

    def lags(self, n_lags: int) -> F64:
        """(n, n_lags) values up to the origin, newest first."""
        return np.ascontiguousarray(self.y[:, self.origin - n_lags : self.origin][:, ::-1])

    def regressors(self, names: list[str], n_past: int, after: int, at: int = 0) -> F64:
        """(n, n_past + after, K): `n_past` points up to `at` ticks after the origin, `after` later ones."""
        now = self.origin + at
        rows = [self.x[name][:, now - n_past : now + after] for name in names]
        return (
            np.ascontiguousarray(np.stack(rows, axis=-1))
            if rows
            else np.zeros((len(self.y), n_past + after, 0))
        )

    def future(self, at: int = 0) -> dict[str, F64]:
        now = self.origin + at
        return {name: np.ascontiguousarray(x[:, now : now + self.horizon]) for name, x in self.x.items()}


def world(
    records: Records, names: tuple[str, ...] = (), seed: int = 0, ticks: int = TICKS, horizon: int = HORIZON
) -> World:
    """Draw values and the regressors `names`, and give `records` the state that follows from them."""
    rng = np.random.default_rng(seed)
    n, length = records.n_series, int(records.nobs[0]) + ticks
    if (records.nobs != records.nobs[0]).any():
        raise ValueError("the series of a world have one origin")
    y = np.exp(0.3 * rng.normal(size=(n, length))) * 3.0
    x = {name: rng.normal(size=(n, length + horizon)) for name in names}
    at = np.arange(length + horizon)
    for term in records.exog:
        if is_computed(term.name):
            x[term.name] = computed_values(term.name, records.freq, records.start[:, None], at[None, :])
    y[:, length - ticks :][rng.random((n, ticks)) < MISSING] = np.nan
    made = World(records, y, x, horizon)
    return replace(made, records=_with_state(made, rng))


def deterministic(records: Records, x: Mapping[str, F64], length: int) -> F64:
    """(n, length) m_t of t = 1 .. length, by the formula; NaN where a lag reaches before the first point."""
    t = np.arange(1, length + 1)
    m = records.const[:, None] + records.slope[:, None] * t
    if records.seasonal.shape[1]:
        m = m + np.take_along_axis(
            records.seasonal, (t - 1) % np.maximum(records.season_length, 1)[:, None], axis=1
        )
    for j, term in enumerate(records.exog):
        moved = np.full((records.n_series, length), np.nan)
        moved[:, term.lag :] = x[term.name][:, : length - term.lag]
        m = m + np.where(records.beta[:, j, None] == 0, 0.0, records.beta[:, j, None] * moved)
    return m


def _with_state(made: World, rng: np.random.Generator) -> Records:
    records, T = made.records, made.origin
    w = made.y[:, :T] / records.scale[:, None]
    w = np.where((records.transform == Transform.LOG)[:, None], np.log(w), w)
    regression = (records.form == Form.REGRESSION)[:, None]
    w = w - np.where(regression, deterministic(records, made.x, T), 0.0)
    width = max(1, int(recursions(records).lags.max()))
    lagged = lagged_names(records.exog)
    longest = max((term.lag for term in records.exog), default=0)
    tail = np.zeros((records.n_series, len(lagged), longest if lagged else 0))
    for j, name in enumerate(lagged):
        tail[:, j] = made.x[name][:, T - longest : T][:, ::-1]
    innovations = rng.normal(size=records.innovations.shape) * np.sqrt(records.sigma2)[:, None]
    return replace(records, levels=w[:, ::-1][:, :width].copy(), innovations=innovations, exog_tail=tail)


def closed_answer(made: World) -> dict[str, F64]:
    """Forecasts at the origin, by the names of a graph's outputs."""
    return _answer(made.records, made.future(), made.horizon)


def step_answers(made: World) -> dict[str, F64]:
    """Outputs of every tick, stacked as (ticks, n, ...), by `online.tick`: one series, one tick at a time."""
    records, n = made.records, made.records.n_series
    states = [online.init(records, i) for i in range(n)]
    found: dict[str, list[F64]] = {name: [] for name in ("mean", "variance", "lo", "hi", "imputed", "z")}
    for k in range(made.n_ticks):
        y = made.y[:, made.origin + k]
        z, imputed = np.full(n, np.nan), y.copy()
        for i in range(n):
            given = {
                name: float(x[i, made.origin + k]) for name, x in made.x.items() if not is_computed(name)
            }
            states[i], info = online.tick(records, states[i], i, float(y[i]), given)
            if info.z is None:
                imputed[i] = info.mean
            else:
                z[i] = info.z
        answer = _answer(at_states(records, states), made.future(k + 1), made.horizon)
        for name in ("mean", "variance", "lo", "hi"):
            found[name].append(answer[name])
        found["z"].append(z)
        found["imputed"].append(imputed)
    return {name: np.stack(values) for name, values in found.items()}


def at_states(records: Records, states: list[online.State]) -> Records:
    """Records whose series stand where `states` say."""
    levels, innovations = np.zeros(records.levels.shape), np.zeros(records.innovations.shape)
    tail = np.zeros(records.exog_tail.shape)
    for i, state in enumerate(states):
        levels[i, : len(state.levels)] = state.levels
        innovations[i, : len(state.innovations)] = state.innovations
        for j, name in enumerate(lagged_names(records.exog)):
            tail[i, j] = state.exog_tail[name]
    return replace(
        records, levels=levels, innovations=innovations, exog_tail=tail,
        nobs=np.array([state.t for state in states], dtype=np.int32),
        state_cov={i: np.array(state.cov) for i, state in enumerate(states) if state.cov is not None},
    )  # fmt: skip


def _answer(records: Records, future: Mapping[str, F64], horizon: int) -> dict[str, F64]:
    m = deterministic_path(records, horizon, future)
    run = dynamics(records, m, 0, records.n_series)
    variance = innovation_variance(records, run) + state_variance(records, run)
    variance *= calibration(records)[:, None] ** 2
    middle = mean_of(records, run, m)[:, None]
    half = _REACH[:, None] * np.sqrt(variance)[:, None]
    mean = forecast(records, horizon, (), future).mean
    lo, hi = to_units(records, middle - half), to_units(records, middle + half)
    return {"mean": mean, "variance": variance, "lo": lo, "hi": hi}
