"""What all partitions share while one model is in use: its banks, its grid, the rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.online.bank import Bank
from forecast.types import F64, I64
from pipelines.kernels.admission import UNKNOWN, Rules
from pipelines.stream.grid import Grid
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import Served
from pipelines.stream.shard import Shard


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """A model at work."""

    served: Served
    options: StreamOptions
    grid: Grid
    bank: Bank
    base: Bank | None
    """States that stand behind by the grace; None without grace."""
    rules: Rules
    exog: tuple[str, ...]
    """Regressors that ticks must bring."""

    @property
    def width(self) -> int:
        """Values that are kept of a series: a late tick moves it anew from the base on."""
        return max(self.options.window, self.rules.grace + 1)

    def adopt(self, shard: Shard, new: I64) -> None:
        """Put series (k,) of a shard where their records end; those without one wait for their first tick."""
        records, series = self.served.records, shard.series
        text, ends = shard.ids
        rows = self.served.find(text, ends[new], ends[new + 1])
        known = np.flatnonzero(rows >= 0)
        # A series without a record is on the grid of the first that has one.
        series.start[new] = records.start[np.maximum(rows, 0)]
        some, rows = new[known], rows[known]
        series.position[some] = series.base[some] = records.nobs[rows].astype(np.int64) - 1
        series.slot[some] = self.bank.add(rows)
        if self.base is not None:
            series.base_slot[some] = self.base.add(rows)

    def release(self, shard: Shard) -> None:
        """Give back the slots of a shard."""
        for bank, slots in ((self.bank, shard.series.slot), (self.base, shard.series.base_slot)):
            taken = np.flatnonzero(slots[: shard.count] != UNKNOWN)
            if bank is not None and len(taken):
                bank.remove(slots[taken])
                slots[taken] = UNKNOWN

    @property
    def exog_tag(self) -> int:
        return 0

    def dump_exog(self, shard: Shard, numbers: I64) -> tuple[F64, I64]:
        return np.empty(0), np.zeros(1 + len(numbers), dtype=np.int64)

    def load_exog(self, shard: Shard, numbers: I64, data: tuple[F64, I64], tags: I64) -> None:
        pass

    def advance(self, bank: Bank, slots: I64, values: F64, counts: I64, shard: Shard, numbers: I64) -> None:
        bank.advance(slots, values, counts)
