"""The grid of a panel: integer arithmetic on times."""

from __future__ import annotations

from dataclasses import dataclass

from forecast.types import I64, Bool


@dataclass(frozen=True, slots=True)
class Freq:
    """A regular grid of times, held as int64.

    `text` is the pandas alias ("MS", "h", "W-SUN", "15min") or the digits of an int step.
    Times of an int grid are the ints themselves; times of every other grid are nanoseconds
    since 1970, of wall-clock time in `tz` where the unit is a day or longer, of UTC where shorter.
    """

    text: str
    tz: str | None = None

    def positions(self, times: I64, first: I64) -> tuple[I64, Bool]:
        """Return grid positions of `times` counted from `first` (broadcast), and whether each is on the grid."""
        raise NotImplementedError

    def times(self, first: I64, positions: I64) -> I64:
        """Return the times at `positions` counted from `first` (broadcast)."""
        raise NotImplementedError
