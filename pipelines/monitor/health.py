"""How a monitor fares, in one JSON object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.stream.health import Health


@dataclass(slots=True)
class MonitorHealth:
    """Written by the loop, read by who serves it."""

    fleet: str
    waits: dict[int, str] = field(default_factory=dict)
    """Why partitions wait."""
    store: str | None = None
    """What the store said last, while it does not answer."""
    _loop: Health = field(default_factory=lambda: Health(""))

    def turned(self, ready: Mapping[int, int], restoring: Iterable[int], lag: Mapping[int, int]) -> None:
        """Note that the loop goes round, with which partitions, and what is left to do in each."""
        self._loop.turned(ready, restoring, lag)

    def fail(self, why: str) -> None:
        """Note that the monitor has ended with an error."""
        self._loop.fail(why)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and what is known."""
        fine, found = self._loop.report()
        del found["version"]
        waits = {str(number): why for number, why in sorted(dict(self.waits).items())}
        stuck = bool(waits) or self.store is not None
        if fine and stuck:
            found["status"] = "waiting"
        return fine and not stuck, {**found, "fleet": self.fleet, "waiting": waits, "store": self.store}
