"""Faults of a feed: a series that repeats one value, or that stays away while the others move on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from forecast.types import F64, I64
from pipelines.monitor.rows import Rows

CONSTANT: Final = "feed-constant"
SILENT: Final = "feed-silent"

_CONSTANT_BIT: Final = 1
_SILENT_BIT: Final = 2


class Fault(NamedTuple):
    """A series whose feed is at fault."""

    row: int
    detector: str
    ts_ms: int
    """When it began: the first of the equal values, or the last sign of life."""
    statistic: float
    """Equal values in a row, or steps without a value."""
    threshold: float


def active(rows: Rows, messages: int) -> I64:
    """Return the series that take part at present: heard of in the last 2 n messages of n series.

    Times of the messages play no part, so that no clock can tell series dead, or alive.
    """
    n = len(rows)
    mark = rows.mark[:n]
    return np.flatnonzero((mark >= 0) & (mark > messages - 2 * n))


@dataclass(slots=True)
class Feed:
    """Looks at the ticks of one partition.

    Parameters
    ----------
    constant
        Equal values in a row that are a fault; 0: never.
    silent
        Steps that the others move on while a series does not, or its own ticks without a value in a row; 0:
        never.
    """

    constant: int
    silent: int
    healed: int = 0
    """Faults that were told and are over."""

    def look(self, rows: Rows, some: I64, ts_ms: I64, y: F64) -> list[Fault]:
        """Take ticks (k,), in the order they came, and return series that have become constant.

        What is missing neither ends a run of equal values nor is part of it.
        """
        seen = np.flatnonzero(np.isfinite(y))
        if not self.constant or not len(seen):
            return []
        order = seen[np.argsort(some[seen], kind="stable")]
        row, value, at = some[order], y[order], ts_ms[order]
        head = np.r_[True, row[1:] != row[:-1]]
        before = np.r_[np.nan, value[:-1]]
        before[head] = rows.value[row[head]]
        same = value == before
        # Of each tick the place of the last one that began a run, or of the first of its series here.
        place = np.arange(len(row))
        begins = np.maximum.accumulate(np.where(head | ~same, place, 0))
        carried = head[begins] & same[begins]
        run = place - begins + 1 + np.where(carried, rows.run[row], 0)
        start = np.where(carried, rows.run_ts[row], at[begins])
        found = self._constant(rows, row, run, start, same)
        last = np.r_[head[1:], True]
        tail = row[last]
        rows.value[tail], rows.run[tail], rows.run_ts[tail] = value[last], run[last], start[last]
        return found

    def listen(self, rows: Rows, messages: int, dt_ms: int) -> list[Fault]:
        """Return series that have become silent.

        A series is silent once the others have moved on by `silent` steps in event time, and by as many
        messages of theirs: neither one clock far ahead nor a burst of one series is enough. Or once so many
        of its ticks had no value, whatever the others do.

        Parameters
        ----------
        messages
            Observed ticks of the partition so far, see `Rows.mark`.
        """
        n = len(rows)
        alive, mark, gap, ill = rows.alive_ts[:n], rows.mark[:n], rows.gap[:n], rows.ill[:n]
        if not self.silent or not n:
            return []
        newest = int(alive.max())
        behind = (newest - alive) / dt_ms
        missed = (messages - mark) / max(len(active(rows, messages)), 1)
        quiet = (behind >= self.silent) & (missed >= self.silent)
        quiet = (mark >= 0) & (quiet | (gap >= self.silent))
        behind = np.maximum(behind, gap)
        self._heal(rows, np.flatnonzero(~quiet & (ill & _SILENT_BIT > 0)), _SILENT_BIT)
        new = np.flatnonzero(quiet & (ill & _SILENT_BIT == 0))
        rows.ill[new] |= _SILENT_BIT
        return [Fault(i, SILENT, int(alive[i]), float(behind[i]), float(self.silent)) for i in new.tolist()]

    def _constant(self, rows: Rows, row: I64, run: I64, start: I64, same: np.ndarray) -> list[Fault]:
        """Return runs that have just become too long."""
        changed = row[~same & (rows.ill[row] & _CONSTANT_BIT > 0)]
        self._heal(rows, np.unique(changed), _CONSTANT_BIT)
        found = []
        for i in np.flatnonzero(run == self.constant).tolist():
            rows.ill[row[i]] |= _CONSTANT_BIT
            found.append(Fault(int(row[i]), CONSTANT, int(start[i]), float(run[i]), float(self.constant)))
        return found

    def _heal(self, rows: Rows, some: I64, bit: int) -> None:
        rows.ill[some] &= ~np.uint8(bit)
        self.healed += len(some)
