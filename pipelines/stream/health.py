"""How a worker fares, in one JSON object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# A turn of the loop takes a quarter of a second at most while nothing is wrong; a commit on a broker
# that elects a leader takes seconds.
_SILENT_S: Final = 30.0


@dataclass(slots=True)
class Health:
    """Written by the loop, read by who serves it."""

    version: str
    """Of the model in use."""
    clock: Callable[[], float] = time.monotonic
    _turned: float | None = None
    _ready: Mapping[int, int] = field(default_factory=dict)
    _restoring: frozenset[int] = frozenset()
    _lag: Mapping[int, int] = field(default_factory=dict)
    _failed: str | None = None

    def turned(self, ready: Mapping[int, int], restoring: Iterable[int], lag: Mapping[int, int]) -> None:
        """Note that the loop goes round, with which partitions, and what is left to do in each."""
        self._turned, self._ready, self._restoring, self._lag = self.clock(), ready, frozenset(restoring), lag

    def fail(self, why: str) -> None:
        """Note that the service has ended with an error."""
        self._failed = why

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and what is known."""
        silent_s = None if self._turned is None else self.clock() - self._turned
        fine = self._failed is None and silent_s is not None and silent_s < _SILENT_S
        return fine, {
            "status": "ok" if fine else "failing" if self._turned is not None else "starting",
            "version": self.version,
            "assigned": sorted(dict(self._ready)),
            "restoring": sorted(self._restoring),
            "lag": {str(number): lag for number, lag in sorted(self._lag.items())},
            "seconds_since_turn": silent_s,
            "error": self._failed,
        }
