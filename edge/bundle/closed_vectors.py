"""Parity vectors of model.onnx: histories of some series, with their own past and a disturbed one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundle.references import ahead, future_of, standing_at
from edge.fleet import Fleet
from forecast.models.assemble import take
from forecast.models.computed import computed_values, is_computed
from forecast.models.deterministic import deterministic_path
from forecast.models.forecasting import to_units
from forecast.models.records import Form, Records
from forecast.types import F64, I64

# Grid points by which the disturbed histories are later than the data.
_LATER: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Closed:
    """What model.onnx holds, and how it is asked."""

    records: Records
    """Of its series, in its order, with the coefficients as the file gives them back."""
    names: tuple[str, ...]
    """Columns of `x`."""
    n_lags: int
    n_past: int
    needs_t: bool
    horizon: int
    levels: tuple[float, ...]


def decoded(records: Records, fleet: Fleet, phi: F64, seasonal_phi: F64) -> Records:
    """Return records with other coefficients; their constants follow, so that no series changes its level.

    Parameters
    ----------
    records, fleet
        The same series in the same order.
    phi, seasonal_phi
        (n, any) coefficients, as wide as the widest order or wider.
    """
    gain = (1.0 - phi.sum(axis=1)) * (1.0 - seasonal_phi.sum(axis=1))
    const = np.where(fleet.regression, records.const, records.const / fleet.gain * gain)
    return replace(
        records, phi=phi[:, : records.phi.shape[1]].copy(), const=const,
        seasonal_phi=seasonal_phi[:, : records.seasonal_phi.shape[1]].copy(),
    )  # fmt: skip


def closed_vectors(closed: Closed, rows: I64, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return inputs and references by their names in parity.npz, without the tolerance.

    Every series of `rows` comes twice: with the last values of its data, and later, with disturbed ones.
    """
    some, n = take(closed.records, rows), len(rows)
    twice = take(some, np.tile(np.arange(n), 2))
    t = twice.nobs.astype(np.int64) + np.repeat([0, _LATER], n)
    x = _regressors(closed, twice, t, seed)
    lags = _history(closed, twice)
    rng = np.random.default_rng(seed)
    spread = np.maximum(np.abs(lags[n:]).mean(axis=1, keepdims=True), 1e-6) * 0.05
    lags[n:] += spread * rng.uniform(-1, 1, lags[n:].shape)
    inputs: dict[str, NDArray[Any]] = {"index": np.tile(rows, 2), "lags": lags, "t": t, "x": x}
    found: dict[str, NDArray[Any]] = {f"closed.{name}": inputs[name] for name in asked(closed)}
    return found | {f"closed.{name}": value for name, value in answers(closed, twice, lags, t, x).items()}


def asked(closed: Closed) -> list[str]:
    """Return the names of the inputs."""
    several = ["index"] if closed.records.n_series > 1 else []
    return [*several, "lags", *(["t"] if closed.needs_t else []), *(["x"] if closed.names else [])]


def answers(closed: Closed, records: Records, lags: F64, t: I64, x: F64) -> dict[str, F64]:
    """Return what the library says of `records` after the values `lags`."""
    there = standing_at(records, lags, t, x, closed.names, closed.n_past)
    future = future_of(there, x, closed.names, closed.n_past, closed.horizon)
    found = ahead(there, closed.horizon, closed.levels, future)
    out = {"mean": found.mean, "variance": found.variance}
    return out | ({"lo": found.lo, "hi": found.hi} if closed.levels else {})


def own_history(closed: Closed) -> dict[str, NDArray[Any]]:
    """Return the inputs of a call for all series with the last values of their data, in the file's order."""
    records = closed.records
    t = records.nobs.astype(np.int64)
    x = _regressors(closed, records, t, seed=0)
    inputs: dict[str, NDArray[Any]] = {
        "index": np.arange(records.n_series),
        "lags": _history(closed, records),
        "t": t,
        "x": x,
    }
    return {name: inputs[name] for name in asked(closed)}


def _history(closed: Closed, records: Records) -> F64:
    """(n, n_lags) last values of y, newest first; a series that keeps fewer repeats its oldest one."""
    levels = records.levels[:, : closed.n_lags]
    if levels.shape[1] < closed.n_lags:
        levels = np.concatenate(
            [levels, np.repeat(levels[:, -1:], closed.n_lags - levels.shape[1], axis=1)], axis=1
        )
    known = np.maximum(1, _width(records))
    at = np.minimum(np.arange(closed.n_lags), known[:, None] - 1)
    w = np.take_along_axis(levels, at, axis=1)
    regression = (records.form == Form.REGRESSION)[:, None]
    if regression.any():
        before = replace(  # without regressors: any finite past will do
            records, nobs=(records.nobs - closed.n_lags).astype(np.int32), exog=(),
            beta=np.zeros((records.n_series, 0)), exog_tail=np.zeros((records.n_series, 0, 0)),
        )  # fmt: skip
        m = deterministic_path(before, closed.n_lags, {})[:, ::-1]
        w = np.where(regression, w + m, w)
    return np.array(to_units(records, w))


def _width(records: Records) -> I64:
    seasonal = records.season_length * (records.P + records.D)
    return np.asarray(records.p + records.d + seasonal, dtype=np.int64)


def _regressors(closed: Closed, records: Records, t: I64, seed: int) -> F64:
    """(n, n_past + horizon, K) random numbers, or what follows from the time."""
    width = closed.n_past + closed.horizon
    x = np.random.default_rng(seed + 1).standard_normal((len(t), width, len(closed.names)))
    at = t[:, None] + np.arange(-closed.n_past, closed.horizon)
    for k, name in enumerate(closed.names):
        if is_computed(name):
            x[:, :, k] = computed_values(name, records.freq, records.start[:, None], at)
    return x
