"""The grid of times of a bundle: which point a time is nearest to, and the times of points ahead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .errors import BundleError, ClockError
from .schema import FreqInfo

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_MS_DAY: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1)  # wall-clock arithmetic has no zone
# The years 1 to 9999, which datetime knows, less a year at both ends.
MIN_TS_MS: Final = -62_104_060_800_000
MAX_TS_MS: Final = 253_370_764_800_000


@dataclass(frozen=True, slots=True)
class Grid:
    """Points of time of one series, counted from a known one (`origin`, ms UTC; the int on an int grid)."""

    freq: FreqInfo

    def position(self, ts_ms: int, origin: int) -> int:
        """Return how many points after `origin` the grid point nearest to `ts_ms` is; halfway, the later."""
        freq = self.freq
        if freq.kind == "int":
            return _nearest(ts_ms - origin, freq.step)
        _check_range(ts_ms)
        if freq.kind == "ticks":
            return 1 if ts_ms > origin else 0
        at, start = self.wall(ts_ms), self.wall(origin)
        if freq.kind == "fixed":
            return _nearest(at - start, freq.step)
        below = (_month(at, freq.late)[0] - _month(start, freq.late)[0]) // freq.step
        candidates = range(below - 1, below + 2)
        return min(candidates, key=lambda k: (abs(self._wall_at(start, k) - at), -k))

    def time(self, origin: int, k: int) -> int:
        """Return the time `k` points after `origin`."""
        if self.freq.kind == "int":
            return origin + k * self.freq.step
        found = self._utc(self.wall_time(origin, k))
        _check_range(found)
        return found

    def wall_time(self, origin: int, k: int) -> int:
        """Return the time `k` points after `origin` by the clock that the grid counts by."""
        return self._wall_at(self.wall(origin), k)

    def wall(self, ts_ms: int) -> int:
        """Return a time in UTC by the clock that the grid counts by."""
        zone = self._zone if self.freq.wall else None
        return ts_ms if zone is None else to_zone(ts_ms, zone)

    def calendar_clock(self, wall_ms: int) -> int:
        """Return a time of the grid's clock by the clock on the wall, which calendar fields are read from."""
        if self.freq.wall or self.freq.tz is None:
            return wall_ms
        return to_zone(wall_ms, self._zone)

    @property
    def _zone(self) -> ZoneInfo | None:
        return None if self.freq.tz is None else _zone(self.freq.tz)

    def _wall_at(self, start: int, k: int) -> int:
        freq = self.freq
        if freq.kind == "fixed":
            return start + k * freq.step
        if freq.kind == "ticks":
            return start + k * freq.dt_ms
        month, in_day = _month(start, freq.late)
        return _first_day(month + k * freq.step) * _MS_DAY - freq.late * _MS_DAY + in_day

    def _utc(self, wall_ms: int) -> int:
        zone = self._zone if self.freq.wall else None
        if zone is None:
            return wall_ms
        # Of a time that occurs twice the first; one that is skipped becomes the time as far behind the gap.
        local = (_EPOCH + timedelta(milliseconds=wall_ms)).replace(tzinfo=zone)
        return _ms(local.astimezone(UTC).replace(tzinfo=None))


def to_zone(ts_ms: int, zone: ZoneInfo | None) -> int:
    """Return a time in UTC by the clock on the wall of `zone`."""
    if zone is None:
        return ts_ms
    utc = (_EPOCH + timedelta(milliseconds=ts_ms)).replace(tzinfo=UTC)
    return _ms(utc.astimezone(zone).replace(tzinfo=None))


def _check_range(ts_ms: int) -> None:
    if not MIN_TS_MS <= ts_ms <= MAX_TS_MS:
        raise ClockError(
            f"ts_ms {ts_ms} leaves the years 2 to 9998; it counts ms since 1970, UTC", "out_of_range"
        )


def _nearest(gap: int, step: int) -> int:
    return (2 * gap + step) // (2 * step)


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _month(wall_ms: int, late: int) -> tuple[int, int]:
    """Return the month since January 1970 of a month grid's point, and its time of the day, ms."""
    day, in_day = divmod(wall_ms, _MS_DAY)
    date = _EPOCH + timedelta(days=day + late)
    return (date.year - 1970) * 12 + date.month - 1, in_day


def _first_day(month: int) -> int:
    year, rest = divmod(month, 12)
    if not 1 <= year + 1970 <= 9999:
        raise ClockError("the grid leaves the years that a calendar knows", "out_of_range")
    return (datetime(1970 + year, rest + 1, 1) - _EPOCH).days  # wall-clock arithmetic has no zone


@lru_cache(maxsize=4)
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # few grids have a zone

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BundleError(
            f"the grid is in zone {name!r}, which this device does not know; install tzdata"
        ) from None
