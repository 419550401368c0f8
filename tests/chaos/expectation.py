"""What a stream must have made of its ticks, by the library alone.

Nothing of the service is imported: the meaning of a tick is written down here a second time, and the numbers
come from `forecast`'s `load`, `update`, `predict` and `online.tick`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import forecast as fc
from forecast import online
from tests.chaos.records import Record

Place = tuple[int, int]
"""Partition and offset of a tick."""


class Kind(StrEnum):
    """What becomes of a tick."""

    FORECAST = "forecast"
    DUPLICATE = "duplicate"
    LATE = "late"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that is forecast."""

    place: Place
    series: str
    ts_ms: int
    value: float
    """NaN: null."""
    position: int
    """On the grid of its series, from 0 at the start of the record."""
    imputed: int
    """Grid points filled since the last observed one; 0 where this one was observed."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The forecast of a tick."""

    tick: Tick
    mean: np.ndarray[Any, Any]
    """(H,)"""
    lo: np.ndarray[Any, Any]
    """(L, H)"""
    hi: np.ndarray[Any, Any]
    z: float
    """NaN where the tick is null."""


def sort_out(fitted: fc.Fitted, ticks: list[Record], dt_ms: int) -> tuple[dict[Place, Kind], list[Tick]]:
    """Return what becomes of each record, and the ticks that are forecast, in the order of their offsets."""
    records = fitted.records[0]
    start = {str(key): int(at) // 1_000_000 for key, at in zip(records.ids, records.start, strict=True)}
    last = {str(key): int(nobs) - 1 for key, nobs in zip(records.ids, records.nobs, strict=True)}
    observed = dict(last)
    kinds: dict[Place, Kind] = {}
    found: list[Tick] = []
    for record in ticks:
        place = (record.partition, record.offset)
        read = _parse(record)
        if read is None:
            kinds[place] = Kind.DEAD
            continue
        series, ts_ms, value = read
        position, rest = divmod(ts_ms - start[series], dt_ms)
        if rest:
            raise ValueError(f"{series}: the tick at {ts_ms} is off the grid")
        if position <= last[series]:
            kinds[place] = Kind.DUPLICATE if position == last[series] else Kind.LATE
            continue
        last[series] = position
        if not np.isnan(value):
            observed[series] = position
        kinds[place] = Kind.FORECAST
        found.append(Tick(place, series, ts_ms, value, position, position - observed[series]))
    return kinds, found


def _parse(record: Record) -> tuple[str, int, float] | None:
    """Return series, time and value of a tick, None where it is none."""
    try:
        message = json.loads(record.value or b"")
        value = np.nan if message["value"] is None else float(message["value"])
        return str(message["series_id"]), int(message["ts_ms"]), value
    except (ValueError, KeyError, TypeError):
        return None


def outcomes(
    model: Path, fitted: fc.Fitted, ticks: list[Tick], horizon: int, levels: list[float], dt_ms: int
) -> dict[Place, Outcome]:
    """Return the forecast of every tick, by `update` and `predict` over all series at once."""
    surprises = _surprises(fitted, ticks)
    alias = fitted.models[0].alias
    rows = {str(key): i for i, key in enumerate(fitted.records[0].ids)}
    queues: dict[str, list[Tick]] = {}
    for tick in ticks:
        queues.setdefault(tick.series, []).append(tick)
    found = {}
    moved = fc.load(model)
    for step in range(max(map(len, queues.values()), default=0)):
        now = [queue[step] for queue in queues.values() if step < len(queue)]
        moved = moved.update(
            pd.DataFrame(
                {
                    "unique_id": [tick.series for tick in now],
                    "ds": pd.to_datetime([tick.ts_ms for tick in now], unit="ms"),
                    "y": [tick.value for tick in now],
                }
            )
        )
        frame = moved.predict(horizon, level=levels or None)
        mean = frame[alias].to_numpy().reshape(-1, horizon)
        bounds = {
            side: np.array([frame[f"{alias}-{side}-{level:g}"] for level in levels]).reshape(
                len(levels), -1, horizon
            )
            for side in ("lo", "hi")
        }
        for tick in now:
            i = rows[tick.series]
            found[tick.place] = Outcome(
                tick,
                mean[i].copy(),
                bounds["lo"][:, i].copy(),
                bounds["hi"][:, i].copy(),
                surprises[tick.place],
            )
    return found


def _surprises(fitted: fc.Fitted, ticks: list[Tick]) -> dict[Place, float]:
    """Return the standardised innovation of every tick, by the pure step of the library."""
    records = fitted.records[0]
    rows = {str(key): i for i, key in enumerate(records.ids)}
    states = {key: online.init(records, i) for key, i in rows.items()}
    found = {}
    for tick in ticks:
        state, i = states[tick.series], rows[tick.series]
        while state.t < tick.position:
            state, _ = online.tick(records, state, i, np.nan)
        state, info = online.tick(records, state, i, tick.value)
        states[tick.series] = state
        found[tick.place] = np.nan if info.z is None else info.z
    return found
