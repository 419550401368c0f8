"""Faults in a row that are waited out: how long to wait before the next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0


@dataclass(slots=True)
class Waits:
    """Faults of the store in a row, and unknown versions: how long to wait before the next attempt."""

    until_s: float = 0.0
    failures: int = 0
    since_s: float = 0.0

    def met(self, now_s: float) -> float:
        """Count a fault; return how long to wait, in seconds."""
        if not self.failures:
            self.since_s = now_s
        self.failures += 1
        wait_s = min(_FIRST_WAIT_S * 2.0 ** min(self.failures - 1, 16), _LONGEST_WAIT_S)
        self.until_s = now_s + wait_s
        return wait_s

    def over(self) -> None:
        """Say that all is well."""
        self.failures, self.until_s = 0, 0.0
