"""What can be set of a monitor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.errors import SettingsError
from pipelines.log.protocol import Delivery, Membership

# A window of as many steps collects what one fault of a feed sets off: detectors need a few ticks each, and
# not all of them as many.
GATE_STEPS: Final = 3

# A model that is wrong in a way that no refit mends alarms for ever, and each alarm costs a challenge: it is
# told of after 1, 2, 4, ... cool-downs. At more than so many a real change would wait too long.
MOST_COOLDOWNS: Final = 32

# Fewer series that alarm together are a coincidence, not a fleet.
FEWEST_TOGETHER: Final = 3


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """Where a monitor works, and when it speaks.

    Raises
    ------
    SettingsError
        A value is out of its range, or a topic is named twice; the message names it.
    """

    fleet: str
    membership: Membership
    """At least once: positions and events are one commit in the store, alerts may repeat."""
    ticks: str = "ticks"
    forecasts: str = "forecasts"
    alerts: str = "drift-events"
    arl0: float = 1_440_000.0
    """Ticks between two false alarms of one detector of one series."""
    cooldown_ticks: int = 48
    """After an alarm of a series no further one is told for so many of its ticks; while it goes on, for twice
    as many each time, at most `MOST_COOLDOWNS` times as many. A new model halves that, and so does a calm as
    long as the longest of them."""
    fleet_share: float = 0.2
    """Of the active series: when as many alarm within a window it is a fault of the feed."""
    gate_steps: int = GATE_STEPS
    """Length of that window, in steps of the grid."""
    hold_s: float = 20.0
    """An alarm waits for others of its window no longer than this."""
    constant_ticks: int = 48
    """Equal values in a row that are told; 0: none."""
    silent_ticks: int = 24
    """Steps that the other series move on while one does not, or its ticks without a value in a row; 0: not
    looked at."""
    archive: Path | None = None
    """Folder of archives, ``FLEET/ticks`` within it; None: ticks are not archived."""
    archive_days: float | None = None
    """Ticks older than this, by the clock of this machine, leave the archive; None: they stay."""
    commit_interval_s: float = 5.0
    commit_messages: int = 200_000
    """Messages of a partition after which a commit does not wait for the interval."""
    batch_limit: int = 10_000
    queue_limit: int = 200_000
    """Ticks of a partition that may wait in memory for the forecasts made of them."""
    idle_wait_s: float = 0.25
    patience_s: float = 60.0
    """Faults of the log are met by trying again for so long; those of the store and unknown versions are
    waited for without an end, unless `stop_at_end` is set."""
    from_latest: bool = False
    metrics_port: int | None = None
    """None: nothing is served; 0: a free one."""
    metrics_host: str = "127.0.0.1"
    stop_at_end: bool = False

    def __post_init__(self) -> None:
        if not self.fleet.strip():
            raise SettingsError(f"the fleet needs a name, got {self.fleet!r}")
        if self.archive is not None and (Path(self.fleet).name != self.fleet or self.fleet == ".."):
            raise SettingsError(f"the fleet {self.fleet!r} cannot be the name of its folder in the archive")
        if self.membership.delivery is not Delivery.AT_LEAST_ONCE:
            raise SettingsError("a monitor takes part at least once: its positions are in the store")
        topics = (self.ticks, self.forecasts, self.alerts)
        if len(set(topics)) < len(topics) or not all(name.strip() for name in topics):
            raise SettingsError(f"ticks, forecasts and alerts must be three topics, got {topics}")
        if self.archive_days is not None:
            _check("archive_days", self.archive_days, 1.0, 1e6)
        for name, low, high in _RANGES:
            _check(name, getattr(self, name), low, high)


_RANGES: Final = (
    ("arl0", 100.0, 1e9),
    ("cooldown_ticks", 0, 1_000_000),
    ("fleet_share", 1e-9, 1.0),
    ("gate_steps", 0, 1_000_000),
    ("hold_s", 0.0, 3600.0),
    ("constant_ticks", 0, 1_000_000_000),
    ("silent_ticks", 0, 1_000_000_000),
    ("commit_interval_s", 0.001, 3600.0),
    ("commit_messages", 1, 1_000_000_000),
    ("batch_limit", 1, 1_000_000),
    ("queue_limit", 1, 100_000_000),
)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not math.isfinite(value) or not low <= value <= high:
        raise SettingsError(f"{name} must lie in {low:g}..{high:g}, got {value!r}")
