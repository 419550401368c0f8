"""The topics of a stream."""

from __future__ import annotations

from typing import NamedTuple


class Topics(NamedTuple):
    """Where the engine reads and writes; what a partition leads to goes to partitions of its number."""

    ticks: str = "ticks"
    forecasts: str = "forecasts"
    state: str = "forecasts-state"
    """Compact: the last record of every series is its state."""
    late: str = "ticks-late"
    """Ticks older than what their series can still take in."""
    dead: str = "ticks-dead"
    """What could not be read or forecast, with the reason in its headers."""


def topics_for(ticks: str, forecasts: str) -> Topics:
    """Return topics whose names follow from those of ticks and forecasts."""
    return Topics(ticks, forecasts, f"{forecasts}-state", f"{ticks}-late", f"{ticks}-dead")
