"""What all partitions share while one model is in use: its banks, its grid, the rules."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from forecast.models.assemble import lagged_names
from forecast.online.bank import Bank
from forecast.types import F64, I64, Bool
from pipelines.kernels.admission import UNKNOWN, Rules
from pipelines.kernels.regressors import Kept
from pipelines.stream.grid import Grid
from pipelines.stream.options import ExogPolicy, StreamOptions
from pipelines.stream.served import Served
from pipelines.stream.shard import Shard, make_kept, make_series

# The bank takes no regressor whose effect is beyond 1e154, the root of the largest float.
_LARGEST = 1e153


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
    needed: Bool
    """(rows, X) by record, which of them enter its forecast."""
    tail: F64
    """(rows, X) their last values, NaN where a record has none."""

    @staticmethod
    def of(served: Served, options: StreamOptions) -> Desk:
        """Return a desk for a model; no series has a slot yet."""
        exog = served.exog_names
        # A late tick would have to move its series through regressors that are long gone.
        grace = 0 if exog else options.grace
        ahead = (options.exog_ahead or options.horizon) if exog else 0
        rules = Rules(options.gap_cap, grace, ahead, bool(exog) and options.exog is ExogPolicy.REQUIRE)
        return Desk(
            served, options, Grid.of(served.freq), Bank(served.records, options.horizon, options.levels),
            Bank(served.records, 1, ()) if grace else None, rules, exog, *_regressors(served, exog),
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Values that are kept of a series: a late tick moves it anew from the base on."""
        return max(self.options.window, self.rules.grace + 1)

    @property
    def exog_limit(self) -> float:
        """Size from which on a regressor is refused: a state it went into would not recover."""
        records, names = self.served.records, len(self.exog)
        strength = max(1.0, float(np.abs(records.beta).sum(axis=1).max())) if names else 1.0
        return _LARGEST / (max(1, names) * strength)

    @property
    def exog_tag(self) -> int:
        """Digest of the names of the regressors, 0 where there are none."""
        if not self.exog:
            return 0
        text = "\0".join(self.exog).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)

    def shard(self) -> Shard:
        """Return a shard without series."""
        return Shard(make_series(16, self.width), self.make_kept(16))

    def make_kept(self, rows: int) -> Kept:
        """Return room for the regressors of series."""
        return make_kept(rows, self.width + self.rules.ahead, len(self.exog))

    def take_on(self, shard: Shard, new: I64) -> None:
        """Begin with series (k,) that a shard has just numbered."""
        if len(new):
            self.adopt(shard, new)
            shard.strangers += int(np.count_nonzero(shard.series.slot[new] == UNKNOWN))

    def adopt(self, shard: Shard, new: I64) -> None:
        """Put series (k,) of a shard where their records end; those without one wait for their first tick."""
        records, series, kept = self.served.records, shard.series, shard.kept
        text, ends = shard.ids
        rows = self.served.find(text, ends[new], ends[new + 1])
        known = np.flatnonzero(rows >= 0)
        # A series without a record is on the grid of the first that has one.
        series.start[new] = records.start[np.maximum(rows, 0)]
        some, rows = new[known], rows[known]
        series.position[some] = series.base[some] = kept.at[some] = records.nobs[rows].astype(np.int64) - 1
        series.slot[some] = self.bank.add(rows)
        if self.base is not None:
            series.base_slot[some] = self.base.add(rows)
        if self.exog:
            kept.values[some] = np.nan
            kept.needed[some] = self.needed[rows]
            kept.values[some, kept.at[some] % kept.values.shape[1]] = self.tail[rows]

    def release(self, shard: Shard, numbers: I64) -> None:
        """Give back the slots of series."""
        for bank, slots in ((self.bank, shard.series.slot), (self.base, shard.series.base_slot)):
            taken = numbers[slots[numbers] != UNKNOWN]
            if bank is not None and len(taken):
                bank.remove(slots[taken])
                slots[taken] = UNKNOWN


def _regressors(served: Served, exog: tuple[str, ...]) -> tuple[Bool, F64]:
    records = served.records
    needed = np.zeros((records.n_series, len(exog)), dtype=np.bool_)
    tail = np.full((records.n_series, len(exog)), np.nan)
    for j, term in enumerate(records.exog):
        if term.name in exog:
            # One that enters with a lag is kept by the model, whatever its coefficient.
            needed[:, exog.index(term.name)] |= True if term.lag else records.beta[:, j] != 0.0
    for j, name in enumerate(lagged_names(records.exog)):
        if name in exog:
            tail[:, exog.index(name)] = records.exog_tail[:, j, 0]
    return needed, tail
