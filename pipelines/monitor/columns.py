"""Messages of a batch of forecasts in columns; what cannot be read is counted by its reason and left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from forecast.types import F64, I64, U8
from pipelines.errors import WireError
from pipelines.log.records import Batch, Partition, split
from pipelines.logs import log
from pipelines.wire import Forecast, decode_forecast

Author = tuple[str, str]
"""Version, and alias of the model within it."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """n forecasts, in the order of the log."""

    messages: list[Forecast]
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

    def __len__(self) -> int:
        return len(self.messages)


def read_forecasts(batch: Batch, ticks: Partition, bad: Counter[str]) -> Forecasts:
    """Return the forecasts of a batch.

    Parameters
    ----------
    ticks
        The partition that belongs to the batch's.
    bad
        Gets the reasons of messages that are left out; the first of each is logged with its place.
    """
    messages: list[Forecast] = []
    for i, value in enumerate(split(batch.data, batch.values)):
        try:
            messages.append(decode_forecast(value))
        except WireError as error:
            bad[error.reason.value] += 1
            if bad[error.reason.value] == 1:  # a line for each would drown the log
                where = f"{batch.partition.topic}/{batch.partition.number}@{batch.offsets[i]}"
                log.warning("%s is no forecast, and left out: %s", where, error)
    return _columns(messages, ticks)


def _columns(messages: list[Forecast], ticks: Partition) -> Forecasts:
    ids = [message.series_id.encode() for message in messages]
    ends = np.cumsum(np.array([0, *map(len, ids)], dtype=np.int64))
    known: dict[Author, int] = {}
    author = [known.setdefault((each.version, each.model), len(known)) for each in messages]
    return Forecasts(
        messages,
        np.frombuffer(b"".join(ids) or b"\0", dtype=np.uint8),
        ends[:-1],
        ends[1:],
        np.array([each.ts_ms for each in messages], dtype=np.int64),
        np.array([each.z for each in messages], dtype=np.float64),  # None becomes NaN
        np.array([each.dt_ms for each in messages], dtype=np.int64),
        np.array([_offset(each, ticks) for each in messages], dtype=np.int64),
        np.array(author, dtype=np.int64),
        list(known),
    )


def _offset(message: Forecast, ticks: Partition) -> int:
    source = message.source
    return source.offset if source.partition == ticks.number and source.topic == ticks.topic else -1
