"""Ticks of a batch in columns, and what is none: the plain ones by a kernel, the rest by `pipelines.wire`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from forecast.types import F64, I64, U8, Bool
from pipelines.errors import Reason, WireError
from pipelines.kernels.key_table import match_keys
from pipelines.kernels.tick_json import Ticks, read_ticks
from pipelines.log.records import Batch
from pipelines.stream.keys import frozen
from pipelines.stream.refusals import Letter, Refusal
from pipelines.wire import Tick, decode_tick
from pipelines.wire.message import quoted


class Decoded(NamedTuple):
    """A batch of n records, read."""

    data: U8
    """What the ids lie in: the batch's, or that with more behind it; cannot be written."""
    id_first: I64
    """(n,) -1 where the record was refused."""
    id_last: I64
    ts_ms: I64
    value: F64
    """(n,) NaN for null."""
    exog: F64
    """(n, names) regressors by name, NaN where not given."""
    brings: Bool
    """(n,) whether it has regressors, of whatever name."""
    refused: list[Letter]
    """In order; every record is a tick or here."""


ReadTick = Callable[[bytes | None], Tick]
"""Returns the tick in a message that is not plain JSON; `WireError` for anything else."""


def decode(
    batch: Batch, exog: Sequence[str] = (), limit: float = math.inf, read: ReadTick = decode_tick
) -> Decoded:
    """Read a batch.

    A record is a tick when `pipelines.wire` takes it for one, and its key is absent or the series' id.

    Parameters
    ----------
    exog
        Regressors to be read; others are ignored.
    limit
        Size from which on nothing can follow from a regressor: such ticks are refused.
    """
    n, data = len(batch.offsets), frozen(batch.data)
    ticks = Ticks(
        np.zeros(n, dtype=np.bool_), np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64),
        np.empty(n, dtype=np.int64), np.empty(n),
    )  # fmt: skip
    firsts, lasts = np.ascontiguousarray(batch.values[:, 0]), np.ascontiguousarray(batch.values[:, 1])
    plain = read_ticks(data, firsts, lasts, ticks)
    out = Decoded(
        data, ticks.id_first, ticks.id_last, ticks.ts_ms, ticks.value,
        np.full((n, len(exog)), np.nan), np.zeros(n, dtype=np.bool_), [],
    )  # fmt: skip
    if plain < n:
        out = _read_rest(batch, ticks, out, exog, limit, read)
    good = np.empty(n, dtype=np.bool_)
    if match_keys(out.data, batch.keys, out.id_first, out.id_last, good):
        for i in np.flatnonzero(~good).tolist():
            out.refused.append(_mismatch(batch, out, i))
            out.id_first[i] = out.id_last[i] = -1
        out.refused.sort()
    return out


def _read_rest(
    batch: Batch, ticks: Ticks, out: Decoded, exog: Sequence[str], limit: float, read: ReadTick
) -> Decoded:
    """Read what the kernel left: ids that are no part of the batch's bytes go behind them."""
    more: list[bytes] = []
    end = len(out.data)
    for i in np.flatnonzero(~ticks.plain).tolist():
        try:
            tick = _checked(read(batch.value(i)), exog, limit)
        except WireError as error:
            out.refused.append(Letter(i, error.reason.value, error.detail))
            out.id_first[i] = out.id_last[i] = -1
            continue
        text = tick.series_id.encode()
        key = batch.keys[i]
        if batch.key(i) == text:
            out.id_first[i], out.id_last[i] = key
        else:
            out.id_first[i], out.id_last[i] = end, end + len(text)
            more.append(text)
            end += len(text)
        out.ts_ms[i] = tick.ts_ms
        out.value[i] = math.nan if tick.value is None else tick.value
        out.brings[i] = bool(tick.exog)
        for j, name in enumerate(exog):
            out.exog[i, j] = tick.exog.get(name, math.nan)
    if not more:
        return out
    data = np.concatenate([out.data, np.frombuffer(b"".join(more), dtype=np.uint8)])
    return out._replace(data=frozen(data))


def _checked(tick: Tick, exog: Sequence[str], limit: float) -> Tick:
    for name in exog:
        if abs(tick.exog.get(name, 0.0)) >= limit:
            raise WireError(
                Reason.OUT_OF_RANGE, f"regressor {quoted(name)} must be below {limit:.3g} in size"
            )
    return tick


def _mismatch(batch: Batch, out: Decoded, i: int) -> Letter:
    name = out.data[out.id_first[i] : out.id_last[i]].tobytes().decode()
    detail = f"series_id {name!a:.80}, key {batch.key(i)!r:.80}: records are keyed by their series"
    return Letter(i, Refusal.KEY_MISMATCH.value, detail)
