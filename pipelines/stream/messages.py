"""Forecasts to messages: the bytes of `pipelines.wire` at seven digits, by a kernel where it can."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from forecast.types import F64, I64, U8, Bool
from pipelines.errors import Reason, WireError
from pipelines.kernels.forecast_json import Rows, Texts, put_forecasts, room_for
from pipelines.log.records import Block, Partition
from pipelines.stream.refusals import Letter, Refusal
from pipelines.wire import SIGNIFICANT_DIGITS, Forecast, Source, encode_forecast
from pipelines.wire.forecast import MAX_FORECAST_BYTES

_PREFIX = len(b'{"series_id":"')


class Author(NamedTuple):
    """What forecasts of one model have in common."""

    model: str
    version: str
    dt_ms: int
    levels: tuple[float, ...]
    ticks: Partition


class Quoted(NamedTuple):
    """Ids as JSON texts, quotes and all."""

    text: U8
    ends: I64


class Paths(NamedTuple):
    """Forecasts of m ticks of one model."""

    ticks: I64
    """(m,) positions in the batch."""
    series: I64
    """(m,)"""
    ts_ms: I64
    mean: F64
    """(m, H)"""
    lo: F64
    """(L, m, H)"""
    hi: F64
    z: F64
    imputed: I64
    offsets: I64


class Sheet(NamedTuple):
    """Messages of one model."""

    data: U8
    ticks: I64
    series: I64
    bounds: I64
    """(m, 2)"""


@dataclass(slots=True)
class Press:
    """Writes messages; keeps its working memory between batches."""

    scratch: U8 = field(default_factory=lambda: np.empty(0, dtype=np.uint8))

    def print(self, author: Author, quoted: Quoted, paths: Paths) -> tuple[Sheet, list[Letter]]:
        """Return the messages of `paths`, and which ticks have none: not finite, or too large."""
        texts = Texts(*quoted, *_constants(author))
        m = len(paths.ticks)
        mean, lo, hi = (np.ascontiguousarray(part) for part in (paths.mean, paths.lo, paths.hi))
        dt_ms = np.full(m, author.dt_ms)
        rows = Rows(
            paths.series, paths.ts_ms, dt_ms, mean, lo, hi, paths.z, paths.imputed, paths.offsets
        )  # fmt: skip
        room = room_for(texts, paths.series, paths.mean.shape[1], len(author.levels))
        if len(self.scratch) < room:
            self.scratch = np.empty(room, dtype=np.uint8)
        ends = np.empty(m, dtype=np.int64)
        put_forecasts(texts, rows, self.scratch, ends)
        bounds = np.empty((m, 2), dtype=np.int64)
        bounds[:, 1] = ends
        bounds[1:, 0] = ends[:-1]
        bounds[:1, 0] = 0
        data = self.scratch[: int(ends[-1]) if m else 0].copy()
        sheet = Sheet(data, paths.ticks, paths.series, bounds)
        good = _fits(bounds)
        return (sheet, []) if good.all() else _rest(author, quoted, paths, sheet, good)


def bind(partition: Partition, sheets: list[Sheet], quoted: Quoted, ids: Quoted) -> Block:
    """Return all messages in the order of their ticks, each with its series as key.

    Parameters
    ----------
    ids
        The ids as they are.
    """
    data = [sheet.data for sheet in sheets]
    starts = np.cumsum([0, *map(len, data)])
    values = np.concatenate([sheet.bounds + at for sheet, at in zip(sheets, starts, strict=False)])
    series = np.concatenate([sheet.series for sheet in sheets])
    if len(sheets) > 1:
        order = np.argsort(np.concatenate([sheet.ticks for sheet in sheets]), kind="stable")
        values, series = values[order], series[order]
    sizes = ids.ends[series + 1] - ids.ends[series]
    keys = np.empty_like(values)
    keys[:, 0] = values[:, 0] + _PREFIX
    keys[:, 1] = keys[:, 0] + sizes
    escaped = np.flatnonzero(quoted.ends[series + 1] - quoted.ends[series] != sizes + 2)
    if len(escaped):  # an id that is written otherwise in JSON stands nowhere in its message
        end = int(starts[-1])
        for i in escaped.tolist():
            text = ids.text[ids.ends[series[i]] : ids.ends[series[i] + 1]]
            keys[i] = end, end + len(text)
            end += len(text)
            data.append(text)
    return Block(partition, np.concatenate(data) if len(data) > 1 else data[0], keys, values)


@lru_cache(maxsize=1024)
def _constants(author: Author) -> tuple[U8, U8, U8]:
    encode = msgspec.json.encode
    model = b',"model":%b,"version":%b,"dt_ms":' % (encode(author.model), encode(author.version))
    topic, number = author.ticks
    source = b',"source":{"topic":%b,"partition":%d,"offset":' % (encode(topic), number)
    levels = b'],"level":%b,"lo":[' % encode(author.levels)
    first, second, third = (np.frombuffer(text, dtype=np.uint8).copy() for text in (model, levels, source))
    return first, second, third


def _fits(bounds: I64) -> Bool:
    size = bounds[:, 1] - bounds[:, 0]
    good: Bool = (size > 0) & (size <= MAX_FORECAST_BYTES)
    return good


def _rest(
    author: Author, quoted: Quoted, paths: Paths, sheet: Sheet, good: Bool
) -> tuple[Sheet, list[Letter]]:
    """Write what the kernel left, one by one."""
    bounds, data, letters, end = sheet.bounds.copy(), [sheet.data], [], len(sheet.data)
    good = good.copy()
    for i in np.flatnonzero(~good).tolist():
        try:
            message = _message(author, quoted, paths, i)
        except WireError as error:
            not_finite = error.reason is Reason.NOT_FINITE
            refusal = Refusal.NOT_FINITE if not_finite else Refusal.TOO_LARGE
            letters.append(Letter(int(paths.ticks[i]), refusal.value, f"forecast: {error.detail}"))
            continue
        good[i] = True
        bounds[i] = end, end + len(message)
        end += len(message)
        data.append(np.frombuffer(message, dtype=np.uint8))
    return Sheet(np.concatenate(data), sheet.ticks[good], sheet.series[good], bounds[good]), letters


def _message(author: Author, quoted: Quoted, paths: Paths, i: int) -> bytes:
    s, z = int(paths.series[i]), float(paths.z[i])
    name = msgspec.json.decode(quoted.text[quoted.ends[s] : quoted.ends[s + 1]].tobytes(), type=str)
    forecast = Forecast(
        series_id=name, ts_ms=int(paths.ts_ms[i]), model=author.model, version=author.version,
        dt_ms=author.dt_ms, mean=paths.mean[i].tolist(), level=list(author.levels),
        lo=paths.lo[:, i].tolist(), hi=paths.hi[:, i].tolist(), z=None if math.isnan(z) else z,
        imputed=int(paths.imputed[i]),
        source=Source(topic=author.ticks.topic, partition=author.ticks.number, offset=int(paths.offsets[i])),
        v=1,
    )  # fmt: skip
    return encode_forecast(forecast, SIGNIFICANT_DIGITS)
