"""UTC and the wall clock of a time zone, for many times a call, by the standard library alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from forecast.types import I64
from pipelines.errors import StreamError

# Before 1900 zones had no standard time. Beyond 2200 today's rule is taken to go on.
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
# Zones that go off daylight saving for Ramadan are back after a month; nothing is known to last days only.
_STRIDE = timedelta(days=5)
_NS = 1_000_000_000


class Zone(NamedTuple):
    """When a zone changed its offset."""

    changes: I64
    """(c,) ns since 1970, UTC."""
    offsets: I64
    """(1 + c,) ns that the wall clock is ahead: before the first change, and after each."""

    def wall(self, utc: I64) -> I64:
        """Return wall-clock times, ns, of UTC ones."""
        return np.asarray(utc + self.offsets[np.searchsorted(self.changes, utc, side="right")])

    def utc(self, wall: I64) -> I64:
        """Return UTC of wall-clock times: the first of two; the end of the gap for one that was skipped."""
        if not len(self.changes):
            return np.asarray(wall - self.offsets[0])
        after = np.searchsorted(self.changes + self.offsets[:-1], wall, side="right")
        first = np.concatenate([[np.iinfo(np.int64).min], self.changes])
        return np.asarray(np.maximum(wall - self.offsets[after], first[after]))


@lru_cache(maxsize=16)
def zone_of(name: str) -> Zone:
    """Return the changes of a time zone; `StreamError` for one that this machine does not know."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise StreamError(f"this machine knows no time zone {name!r}; install the package tzdata") from None
    at, end = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)
    offset = _offset(zone, at)
    changes, offsets = [], [offset]
    while at < end:
        after = at + _STRIDE
        while (found := _offset(zone, after)) != offset:
            change = _first_with_another(zone, at, after, offset)
            offset = _offset(zone, change)
            changes.append(int(change.timestamp()) * _NS)
            offsets.append(offset)
            at = change
            if offset == found:
                break
        at = after
    return Zone(np.array(changes, dtype=np.int64), np.array(offsets, dtype=np.int64))


def _first_with_another(zone: ZoneInfo, low: datetime, high: datetime, offset: int) -> datetime:
    """Return the first second in (low, high] at which the offset is another than `offset`."""
    span = int((high - low).total_seconds())
    below, above = 0, span
    while above - below > 1:
        middle = (below + above) // 2
        if _offset(zone, low + timedelta(seconds=middle)) == offset:
            below = middle
        else:
            above = middle
    return low + timedelta(seconds=above)


def _offset(zone: ZoneInfo, at: datetime) -> int:
    ahead = at.astimezone(zone).utcoffset() or timedelta()
    return round(ahead.total_seconds()) * _NS
