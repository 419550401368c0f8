"""Ticks of one partition that wait for the forecasts made of them."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from forecast.types import F64, I64, U8
from pipelines.log.records import Batch
from pipelines.logs import log
from pipelines.stream.decode import Decoded, ReadTick, decode
from pipelines.wire import decode_tick


class Ticks(NamedTuple):
    """k ticks, in the order of the log."""

    text: U8
    """What the ids lie in."""
    first: I64
    last: I64
    """(k,) -1 where the record could not be read."""
    offset: I64
    ts_ms: I64
    y: F64
    """(k,) NaN where missing."""
    exog: F64
    """(k, names) NaN where not given."""
    names: tuple[str, ...]
    position: int
    """Where to read on after them."""


@dataclass(slots=True)
class Queue:
    """Ticks in the order of the log; they are decoded when they are taken.

    Parameters
    ----------
    bad
        Gets the reasons of records that are no ticks; the first of each is logged with its place.
    """

    bad: Counter[str]
    read: ReadTick = decode_tick
    size: int = 0
    """Ticks that wait."""
    _batches: deque[Batch] = field(default_factory=deque)
    _open: Ticks | None = None
    """Decoded, in part taken."""

    def put(self, batch: Batch) -> None:
        """Let a batch wait."""
        self._batches.append(batch)
        self.size += len(batch.offsets)

    def take(self, until: int, names: Sequence[str]) -> list[Ticks]:
        """Return the ticks of offsets below `until`, with regressors of these names."""
        found: list[Ticks] = []
        while True:
            if self._open is None:
                if not self._batches or (
                    len(self._batches[0].offsets) and self._batches[0].offsets[0] >= until
                ):
                    return found
                self._open = self._decode(self._batches.popleft(), tuple(names))
            ticks, k = self._open, int(np.searchsorted(self._open.offset, until))
            whole = k == len(ticks.offset)
            if not whole and not k:
                return found
            found.append(ticks if whole else _part(ticks, 0, k))
            self._open = None if whole else _part(ticks, k, len(ticks.offset))
            self.size -= k

    def _decode(self, batch: Batch, names: tuple[str, ...]) -> Ticks:
        decoded = decode(batch, names, math.inf, self.read)
        self._tell(batch, decoded)
        return Ticks(
            decoded.data, decoded.id_first, decoded.id_last, batch.offsets, decoded.ts_ms, decoded.value,
            decoded.exog, names, batch.position,
        )  # fmt: skip

    def _tell(self, batch: Batch, decoded: Decoded) -> None:
        for i, reason, detail in decoded.refused:
            self.bad[reason] += 1
            if self.bad[reason] == 1:  # the stream writes a dead letter for each
                where = f"{batch.partition.topic}/{batch.partition.number}@{batch.offsets[i]}"
                log.warning("%s is no tick, and left out: %s, %s", where, reason, detail)


def _part(ticks: Ticks, first: int, last: int) -> Ticks:
    cut = {
        name: getattr(ticks, name)[first:last] for name in ("first", "last", "offset", "ts_ms", "y", "exog")
    }
    position = ticks.position if last == len(ticks.offset) else int(ticks.offset[last])
    return ticks._replace(**cut, position=position)
