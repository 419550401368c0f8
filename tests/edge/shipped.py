"""A bundle as a device gets it, what is asked of it there, and what the library says to that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import edge
import forecast as fc
from edge.bundle.device_app import device_app
from edge.bundle.keys import write_key
from forecast import online
from forecast.models.forecasting import forecast
from forecast.models.records import Records
from forecast.types import F64
from tests.edge.worlds import at_states

HORIZON, TICKS, HOURS = 12, 6, 600
IDS = ("north", "south", "café")
BEGIN = pd.Timestamp("2026-01-05")
# The last points of the last series are not known: its state has a covariance.
UNKNOWN = 2
# Which tick of a series is missing.
MISSING = 2
_HOUR_MS = 3_600_000


@dataclass(frozen=True, eq=False)
class Shipped:
    """Files for a device, and lines for its commands with the answers."""

    archive: Path
    folder: Path
    keys: Path
    app: Path
    ids: tuple[str, ...]
    ticks: list[dict[str, Any]]
    """Tick v1, all series at one time after the other."""
    step_means: list[F64]
    z: list[float | None]
    requests: list[dict[str, Any]]
    closed_means: list[F64]
    """Of the model before it was quantised."""


def ship(folder: Path) -> Shipped:
    """Fit hourly series with effects of the weekday, and export them."""
    values = _values()
    frame = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": _times(HOURS), "y": y[:HOURS]})
        for name, y in zip(IDS, values, strict=True)
    )
    fitted = fc.fit(frame, fc.AR(lags=3, calendar=("dayofweek",)), freq="h")
    _, private, trusted = write_key(folder / "keys")
    made = edge.export(
        fitted, folder / "shop", horizon=HORIZON, name="shop", bundle_version=1, level=(80, 95),
        sign_key=private, prune="off",
    )  # fmt: skip
    (folder / "forecast-edge.pyz").write_bytes(device_app())
    records = fitted.records[0]
    ticks, means, z = _ticks(records, values)
    ahead = forecast(records, HORIZON, ())
    known = [_request(name, y) for name, y in zip(IDS, values, strict=True)][:-1]
    return Shipped(
        made.archive, made.path, trusted, folder / "forecast-edge.pyz", IDS, ticks, means, z, known,
        list(ahead.mean[:-1]),
    )  # fmt: skip


def _values() -> F64:
    """(series, hours) AR(1) about 20, and two units more on Sundays."""
    rng = np.random.default_rng(5)
    y = rng.normal(size=(len(IDS), HOURS + TICKS))
    for t in range(1, y.shape[1]):
        y[:, t] += 0.7 * y[:, t - 1]
    y += 20.0 + 2.0 * (_times(y.shape[1]).day_of_week == 6)
    y[-1, HOURS - UNKNOWN : HOURS] = np.nan
    y[:, HOURS + MISSING] = np.nan
    return y


def _times(n: int) -> pd.DatetimeIndex:
    return pd.date_range(BEGIN, periods=n, freq="h")


def _at(hour: int) -> int:
    return int(BEGIN.timestamp() * 1000) + hour * _HOUR_MS


def _ticks(records: Records, values: F64) -> tuple[list[dict[str, Any]], list[F64], list[float | None]]:
    states = [online.init(records, i) for i in range(len(IDS))]
    ticks: list[dict[str, Any]] = []
    means: list[F64] = []
    z: list[float | None] = []
    for hour in range(HOURS, HOURS + TICKS):
        y = values[:, hour]
        for i, name in enumerate(IDS):
            states[i], info = online.tick(records, states[i], i, float(y[i]))
            value = None if np.isnan(y[i]) else float(y[i])
            ticks.append({"series_id": name, "ts_ms": _at(hour), "value": value, "v": 1})
            z.append(info.z)
        means += list(forecast(at_states(records, states), HORIZON, ()).mean)
    return ticks, means, z


def _request(name: str, y: F64) -> dict[str, Any]:
    return {"series_id": name, "history": y[HOURS - 30 : HOURS].tolist(), "ts_ms": _at(HOURS - 1), "v": 1}
