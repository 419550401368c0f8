"""Messages of a batch of forecasts in columns; what cannot be read is counted by its reason and left out."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from forecast.types import F64, I64, U8
from pipelines.consumer.columns import Shape, shape_of
from pipelines.errors import WireError
from pipelines.log.records import Batch, Partition, split
from pipelines.logs import log
from pipelines.wire import Forecast, decode_forecast

Author = tuple[str, str]
"""Version, and alias of the model within it."""


class Shaped(NamedTuple):
    """Paths of k forecasts with one horizon H and the same L levels."""

    shape: Shape
    at: I64
    """(k,) positions among the forecasts."""
    mean: F64
    """(k, H)"""
    lo: F64
    """(L, k, H)"""
    hi: F64


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """n forecasts, in the order of the log."""

    text: U8
    """The ids, one behind the other."""
    first: I64
    last: I64
    """(n,) where each id lies in `text`."""
    ts_ms: I64
    z: F64
    """(n,) NaN where the tick was imputed."""
    dt_ms: I64
    source: I64
    """(n,) offset of the tick that led to it; -1 for one of another partition."""
    author: I64
    """(n,) positions in `authors`."""
    authors: list[Author]
    paths: list[Shaped]

    def __len__(self) -> int:
        return len(self.ts_ms)

    def id(self, i: int) -> str:
        """Return the series of forecast i."""
        return self.text[self.first[i] : self.last[i]].tobytes().decode()


@dataclass(slots=True)
class _Paths:
    """Paths of one shape as they come.

    Plain numbers: messages that were kept would be looked through by the collector of garbage, again and
    again.
    """

    at: list[int] = field(default_factory=list)
    mean: array[float] = field(default_factory=lambda: array("d"))
    lo: array[float] = field(default_factory=lambda: array("d"))
    hi: array[float] = field(default_factory=lambda: array("d"))

    def put(self, i: int, message: Forecast) -> None:
        self.at.append(i)
        self.mean.extend(message.mean)
        for row in message.lo:
            self.lo.extend(row)
        for row in message.hi:
            self.hi.extend(row)

    def columns(self, shape: Shape) -> Shaped:
        k, (horizon, levels) = len(self.at), shape
        bounds = k, len(levels), horizon
        return Shaped(
            shape,
            np.array(self.at, dtype=np.int64),
            np.frombuffer(self.mean).reshape(k, horizon),
            np.frombuffer(self.lo).reshape(bounds).swapaxes(0, 1),
            np.frombuffer(self.hi).reshape(bounds).swapaxes(0, 1),
        )


@dataclass(slots=True)
class _Columns:
    """Messages as they come."""

    ids: list[bytes] = field(default_factory=list)
    ts_ms: list[int] = field(default_factory=list)
    z: list[float | None] = field(default_factory=list)
    dt_ms: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    author: list[int] = field(default_factory=list)
    authors: dict[Author, int] = field(default_factory=dict)
    paths: dict[Shape, _Paths] = field(default_factory=dict)

    def put(self, message: Forecast, ticks: Partition) -> None:
        source = message.source
        ours = source.partition == ticks.number and source.topic == ticks.topic
        shape = shape_of(message)
        if shape not in self.paths:
            self.paths[shape] = _Paths()
        self.paths[shape].put(len(self.ids), message)
        self.ids.append(message.series_id.encode())
        self.ts_ms.append(message.ts_ms)
        self.z.append(message.z)
        self.dt_ms.append(message.dt_ms)
        self.source.append(source.offset if ours else -1)
        self.author.append(self.authors.setdefault((message.version, message.model), len(self.authors)))

    def columns(self) -> Forecasts:
        ends = np.cumsum(np.array([0, *map(len, self.ids)], dtype=np.int64))
        ints = (np.array(each, dtype=np.int64) for each in (self.ts_ms, self.dt_ms, self.source, self.author))
        ts_ms, dt_ms, source, author = ints
        return Forecasts(
            np.frombuffer(b"".join(self.ids) or b"\0", dtype=np.uint8), ends[:-1], ends[1:], ts_ms,
            np.array(self.z, dtype=np.float64),  # None becomes NaN
            dt_ms, source, author, list(self.authors),
            [paths.columns(shape) for shape, paths in self.paths.items() if shape[0]],
        )  # fmt: skip


def read_forecasts(batch: Batch, ticks: Partition, bad: Counter[str]) -> Forecasts:
    """Return the forecasts of a batch.

    Parameters
    ----------
    ticks
        The partition that belongs to the batch's.
    bad
        Gets the reasons of messages that are left out; the first of each is logged with its place.
    """
    found = _Columns()
    for i, value in enumerate(split(batch.data, batch.values)):
        try:
            found.put(decode_forecast(value), ticks)
        except WireError as error:
            bad[error.reason.value] += 1
            if bad[error.reason.value] == 1:  # a line for each would drown the log
                where = f"{batch.partition.topic}/{batch.partition.number}@{batch.offsets[i]}"
                log.warning("%s is no forecast, and left out: %s", where, error)
    return found.columns()
