"""Parity vectors of step.onnx: a few ticks of some series, with gaps, and what the library says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundle.references import Ahead, ahead, future_of
from edge.bundle.states import States
from edge.fleet import Fleet
from forecast.models.assemble import lagged_names, take
from forecast.models.computed import computed_values, is_computed
from forecast.models.records import Records, Transform
from forecast.online.state import Info, State, init
from forecast.online.tick import tick
from forecast.types import F64, I64, Bool

TICKS: Final = 8
# Rounding of a value this many standard deviations large is 1e-11 of one.
_SHARPEST: Final = 5e4
# Share of missing values; the first series begins with one, and two that follow each other are among them.
_MISSING: Final = 0.25


@dataclass(slots=True)
class _Run:
    """Some series on their way through the ticks."""

    records: Records
    states: list[State]

    def move(self, y: F64, exog: Sequence[Mapping[str, float]]) -> list[Info]:
        """Move every series over its tick."""
        infos = []
        for i, state in enumerate(self.states):
            self.states[i], info = tick(self.records, state, i, float(y[i]), exog[i])
            infos.append(info)
        return infos

    def standing(self) -> Records:
        """Return the records as they stand now."""
        before = self.records
        levels, innovations = np.zeros(before.levels.shape), np.zeros(before.innovations.shape)
        tail = np.zeros(before.exog_tail.shape)
        for i, state in enumerate(self.states):
            levels[i, : len(state.levels)] = state.levels
            innovations[i, : len(state.innovations)] = state.innovations
            for j, name in enumerate(lagged_names(before.exog)):
                tail[i, j] = state.exog_tail[name]
        cov = {i: np.array(s.cov) for i, s in enumerate(self.states) if s.cov is not None}
        return replace(
            before, nobs=np.array([s.t for s in self.states], dtype=np.int32), levels=levels,
            innovations=innovations, state_cov=cov, exog_tail=tail,
        )  # fmt: skip


def step_vectors(
    records: Records, fleet: Fleet, rows: I64, horizon: int, levels: Sequence[float], seed: int = 0
) -> dict[str, NDArray[Any]]:
    """Return inputs and references by their names in parity.npz, without the tolerance.

    Parameters
    ----------
    records, fleet
        The same series in the same order, which is that of step.onnx.
    rows
        (B,) those that the vectors are about.
    """
    states = States.of(fleet)
    some = take(records, rows)
    run = _Run(some, [init(some, i) for i in range(len(rows))])
    columns = _Columns.of(some, fleet, states.exog_tail[rows], horizon, seed)
    missing = _gaps(len(rows), seed)
    noise = np.random.default_rng(seed).standard_normal((TICKS, len(rows)))
    said: list[dict[str, F64]] = []
    now = ahead(some, horizon, levels, columns.future(-1))
    for k in range(TICKS):
        y = np.where(missing[k], np.nan, _drawn(some, now, noise[k]))
        infos = run.move(y, columns.at(k))
        now = ahead(run.standing(), horizon, levels, columns.future(k))
        said.append(_answers(y, infos, now, bool(len(levels))))
    if not _sharp(some):
        said = [{name: value for name, value in one.items() if name != "z"} for one in said]
    found: dict[str, NDArray[Any]] = {
        f"step.{name}": np.stack([one[name] for one in said]) for name in said[0]
    }
    found |= {"step.state": states.state[rows], "step.cov": _full(states, rows), "step.t": states.t[rows]}
    if fleet.n > 1:
        found["step.index"] = rows
    if fleet.names:
        found["step.x"] = np.stack([columns.window(k) for k in range(TICKS)])
    return found


def _sharp(records: Records) -> bool:
    """Whether innovations keep their digits: of values far from 0 the difference to a forecast does not."""
    size = np.abs(records.levels).max(axis=1, initial=0.0)
    sd = np.sqrt(np.where(records.sigma2 > 0, records.sigma2, np.inf))
    return bool((size / sd).max(initial=0.0) < _SHARPEST)


def _answers(y: F64, infos: Sequence[Info], now: Ahead, bands: bool) -> dict[str, F64]:
    z = np.array([np.nan if info.z is None else info.z for info in infos])
    mean = np.array([info.mean for info in infos])
    found = {
        "y": y, "mean": now.mean, "variance": now.variance, "z": z,
        "imputed": np.where(np.isnan(z), mean, y),
    }  # fmt: skip
    return found | ({"lo": now.lo, "hi": now.hi} if bands else {})


def _gaps(n: int, seed: int) -> Bool:
    """(TICKS, n) True where a value is missing."""
    missing: Bool = np.random.default_rng(seed + 1).random((TICKS, n)) < _MISSING
    missing[0, 0] = missing[3:5, n // 2] = True
    missing[-1] = False  # what is filled has to come back
    return missing


def _drawn(records: Records, now: Ahead, noise: F64) -> F64:
    """(n,) values about the forecast of the next step, as the model draws them."""
    sd = np.sqrt(np.nan_to_num(now.variance[:, 0]))
    log = records.transform == Transform.LOG
    shift = np.exp(np.where(log, sd * noise, 0.0))
    return np.where(log, now.mean[:, 0] * shift, now.mean[:, 0] + records.scale * sd * noise)


def _full(states: States, rows: I64) -> F64:
    size = states.state.shape[1]
    out = np.zeros((len(rows), size, size))
    place = {int(row): k for k, row in enumerate(states.cov_rows)}
    for i, row in enumerate(rows.tolist()):
        if row in place:
            out[i] = states.cov[place[row]]
    return out


@dataclass(frozen=True, slots=True)
class _Columns:
    """Regressors of all times about the ticks: (B, past + TICKS + horizon, K)."""

    records: Records
    names: tuple[str, ...]
    values: F64
    past: int
    horizon: int

    @staticmethod
    def of(records: Records, fleet: Fleet, tail: F64, horizon: int, seed: int) -> _Columns:
        """Continue `tail` (B, K, past), newest first, by what follows from the time, or at random."""
        past, n = tail.shape[2], records.n_series
        width = past + TICKS + horizon
        values = np.random.default_rng(seed + 2).standard_normal((n, width, len(fleet.names)))
        values[:, :past] = tail.transpose(0, 2, 1)[:, ::-1]
        at = records.nobs[:, None].astype(np.int64) + np.arange(-past, TICKS + horizon)
        for k, name in enumerate(fleet.names):
            if is_computed(name):
                values[:, :, k] = computed_values(name, records.freq, records.start[:, None], at)
        return _Columns(records, fleet.names, values, past, horizon)

    def window(self, k: int) -> F64:
        """(B, past + 1 + horizon, K) `x` of tick k."""
        return self.values[:, k : k + self.past + 1 + self.horizon]

    def at(self, k: int) -> list[dict[str, float]]:
        """Return the regressors of tick k by name, one mapping a series."""
        rows = self._named(self.past + k, 1)
        return [{name: float(value[i, 0]) for name, value in rows.items()} for i in range(len(self.values))]

    def future(self, k: int) -> dict[str, F64]:
        """Return the (B, horizon) regressors after tick k by name."""
        return self._named(self.past + k + 1, self.horizon)

    def _named(self, first: int, count: int) -> dict[str, F64]:
        return future_of(self.records, self.values, self.names, first, count)
