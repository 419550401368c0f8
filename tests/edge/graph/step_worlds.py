"""Runs step.onnx tick by tick beside the library, and measures how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.bundle.states import States
from edge.fleet import Fleet
from edge.graph.step import step_model
from forecast import online
from forecast.models.assemble import lagged_names
from forecast.models.computed import computed_values, is_computed
from forecast.models.deterministic import deterministic_path
from forecast.models.dynamics import dynamics
from forecast.models.forecasting import calibration, forecast
from forecast.models.intervals import innovation_variance, state_variance
from forecast.models.records import Records, Transform
from forecast.types import F64
from tests.edge.worlds import at_states
from tests.services.edge.graph_runner import open_session

LEVELS = (80.0, 95.0)


class Device:
    """step.onnx and the states that it carries on, all series at once."""

    def __init__(self, records: Records, horizon: int, levels: Sequence[float] = LEVELS) -> None:
        self.records, self.fleet, self.horizon = records, Fleet.of(records), horizon
        self.bytes = step_model(self.fleet, horizon, levels)
        self.session = open_session(self.bytes)
        self.needs = {value.name for value in self.session.get_inputs()}
        self.gives = [value.name for value in self.session.get_outputs()]
        states = States.of(self.fleet)
        self.state, self.cov, self.t = states.state, states.full_cov(), states.t.copy()

    def ask(self, y: F64, x: Mapping[str, F64], rows: Sequence[int] | None = None) -> dict[str, F64]:
        """Outputs of one call; `x` maps names to (n, times), t = 1 first. Nothing moves."""
        at = np.arange(len(self.state)) if rows is None else np.asarray(rows)
        feed = {"y": np.asarray(y, dtype=np.float64), "state": self.state[at], "cov": self.cov[at]}
        if "index" in self.needs:
            feed["index"] = at.astype(np.int64)
        if "t" in self.needs:
            feed["t"] = self.t[at]
        if "x" in self.needs:
            feed["x"] = self.window(x)[at]
        return dict(zip(self.gives, self.session.run(self.gives, feed), strict=True))

    def tick(self, y: F64, x: Mapping[str, F64]) -> dict[str, F64]:
        """Outputs of one call, whose state is kept."""
        out = self.ask(y, x)
        self.state, self.cov, self.t = out["state_out"], out["cov_out"], self.t + 1
        return out

    def window(self, x: Mapping[str, F64]) -> F64:
        """(n, n_step_past + 1 + H, K): row n_step_past is that of the tick."""
        ahead = np.arange(-self.fleet.max_lag, 1 + self.horizon)
        columns = [np.take_along_axis(x[name], self.t[:, None] + ahead, axis=1) for name in self.fleet.names]
        return np.stack(columns, axis=-1)


@dataclass
class Library:
    """The same by `online.tick` and `forecast`, one series after the other."""

    records: Records
    horizon: int

    def __post_init__(self) -> None:
        self.states = [online.init(self.records, i) for i in range(self.records.n_series)]

    def tick(self, y: F64, x: Mapping[str, F64]) -> dict[str, F64]:
        records, n = self.records, self.records.n_series
        z, imputed = np.full(n, np.nan), np.array(y, dtype=np.float64)
        for i in range(n):
            given = {name: float(x[name][i, self.states[i].t]) for name in x if not is_computed(name)}
            self.states[i], info = online.tick(records, self.states[i], i, float(y[i]), given)
            if info.z is None:
                imputed[i] = info.mean
            else:
                z[i] = info.z
        return {"z": z, "imputed": imputed} | self.forecasts(x)

    def now(self) -> Records:
        """Records whose series stand where the states say."""
        return at_states(self.records, self.states)

    def forecasts(self, x: Mapping[str, F64]) -> dict[str, F64]:
        """Mean, variance and bands from where the states stand."""
        records = self.now()
        ahead = np.arange(self.horizon)
        future = {name: np.take_along_axis(v, records.nobs[:, None] + ahead, axis=1) for name, v in x.items()}
        run = dynamics(records, deterministic_path(records, self.horizon, future), 0, records.n_series)
        variance = innovation_variance(records, run) + state_variance(records, run)
        variance *= calibration(records)[:, None] ** 2
        mean = forecast(records, self.horizon, (), future).mean
        return {"mean": mean, "variance": variance, **self._bands(records, mean, variance)}

    def _bands(self, records: Records, mean: F64, variance: F64) -> dict[str, F64]:
        from statistics import NormalDist

        reach = np.array([NormalDist().inv_cdf(0.5 + level / 200.0) for level in LEVELS])[:, None]
        log, scale = (records.transform == Transform.LOG)[:, None, None], records.scale[:, None, None]
        w = mean[:, None, :] / scale
        w = np.where(log, np.log(np.where(log, w, 1.0)), w)
        half = reach * np.sqrt(variance)[:, None, :]
        ends = {"lo": w - half, "hi": w + half}
        return {
            name: np.where(log, np.exp(np.where(log, end, 0.0)), end) * scale for name, end in ends.items()
        }


def regressors(records: Records, times: int, seed: int) -> dict[str, F64]:
    """(n, times) values of every name in `records.exog`, t = 1 first."""
    rng = np.random.default_rng(seed)
    names = dict.fromkeys(term.name for term in records.exog)
    return {name: _column(records, name, times, rng) for name in names}


def with_tail(records: Records, x: Mapping[str, F64]) -> Records:
    """Return `records` with the past that `x` gives them, up to their own last point."""
    tail = np.zeros(records.exog_tail.shape)
    back = records.nobs[:, None] - 1 - np.arange(tail.shape[2])
    for j, name in enumerate(lagged_names(records.exog)):
        tail[:, j] = np.take_along_axis(x[name], back, axis=1)
    return replace(records, exog_tail=tail)


def _column(records: Records, name: str, times: int, rng: np.random.Generator) -> F64:
    if is_computed(name):
        return computed_values(name, records.freq, records.start[:, None], np.arange(times)[None, :])
    return rng.normal(size=(records.n_series, times))


def gap(got: F64, want: F64, sd: F64) -> float:
    """Largest difference over max(|value|, sd); infinite where one is NaN and the other is not."""
    both = np.isfinite(got) & np.isfinite(want)
    same = (np.isnan(got) & np.isnan(want)) | (got == want)
    if not (both | same).all():
        return float("inf")
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(got - want) / np.maximum(np.abs(want), sd)
    return float(np.where(both & ~same, off, 0.0).max(initial=0.0))


def errors(got: Mapping[str, F64], want: Mapping[str, F64]) -> dict[str, float]:
    """Gaps of every output of a tick; the unit of what is about 0 is a standard deviation."""
    log_free = np.sqrt(np.abs(np.nan_to_num(want["variance"])))
    size = np.abs(np.nan_to_num(want["hi"] - want["lo"])).max(axis=1) / 2.0
    units = {
        "mean": size, "variance": log_free**2, "lo": size[:, None, :], "hi": size[:, None, :],
        "z": np.ones(len(size)), "imputed": size[:, 0],
    }  # fmt: skip
    return {name: gap(got[name], want[name], unit) for name, unit in units.items()}
