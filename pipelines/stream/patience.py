"""Faults in a row: how long they are met by trying again, and how long to wait between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipelines.errors import LogError, StreamError

_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0


@dataclass(slots=True)
class Patience:
    """Faults since the last time that all was well."""

    limit_s: float
    failures: int = 0
    _since: float = 0.0
    _last: float = 0.0

    def over(self) -> None:
        """Say that all is well."""
        self.failures = 0

    def met(self, error: LogError, now: float) -> float:
        """Count a fault; return how long to wait before the next attempt, in seconds.

        Raises
        ------
        LogError
            Trying again would not help.
        StreamError
            It has been tried for `limit_s`.
        """
        if not error.retriable:
            raise error
        if not self.failures or now - self._last > self.limit_s:  # those of long ago do not count
            self._since, self.failures = now, 0
        self._last, self.failures = now, self.failures + 1
        if now - self._since > self.limit_s:
            raise StreamError(
                f"the log has failed for {now - self._since:.0f} s, last with: {error}; "
                "nothing is lost: start the worker again",
                retriable=True,
            ) from error
        return min(_FIRST_WAIT_S * 2.0 ** (self.failures - 1), _LONGEST_WAIT_S)
