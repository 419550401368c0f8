"""What became of ticks, in numbers."""

from __future__ import annotations

from typing import NamedTuple


class Counts(NamedTuple):
    """Ticks by what became of them.

    Every tick is one of `forecasts`, `duplicate`, `late`, `dead`, `warming`, `replayed` and `null_ahead`,
    so these add up to `ticks`. The others tell more about some of them.
    """

    ticks: int = 0
    forecasts: int = 0
    duplicate: int = 0
    """At the time of their series' last: dropped."""
    late: int = 0
    """Behind it, and not to be taken in: to the topic for late ticks."""
    dead: int = 0
    """Not readable, or not to be forecast: to the topic for dead letters."""
    warming: int = 0
    """Of an unknown series that has too few values yet: taken in, not forecast."""
    replayed: int = 0
    """Taken in before a restart: skipped."""
    null_ahead: int = 0
    """Regressors of a later time: kept until then."""
    imputed: int = 0
    """Grid points without a value that the model filled."""
    patched: int = 0
    """Late ones that were taken in, and forecast."""
    resets: int = 0
    """States that began anew after a gap too long to fill."""

    def plus(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(*map(sum, zip(self, other, strict=True)))
