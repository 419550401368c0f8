"""Cron expressions: five fields, in UTC, as the cron of every Unix reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_EVERY: Final = "*"

# How far back the last fire time is looked for: the first stretch that has one is enough, and a stretch is
# walked in well under a second even where it fires every minute. 29 February comes every 8 years at most.
_LOOKS_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366 * 8 + 2))


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression; see `parse_cron`."""

    text: str
    _clocks: Sequence[Any]

    def last(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last fire time in (after, until], None where there is none."""
        for stretch in _LOOKS_BACK:
            begin = max(after + timedelta(microseconds=1), until - stretch)
            found = max(
                (when for clock in self._clocks for when in _fires(clock, begin, until)), default=None
            )
            if found is not None or until - stretch <= after:
                return found
        return None

    def next(self, after: datetime) -> datetime | None:
        """Return the first fire time after `after`; None: never again."""
        begin = after + timedelta(microseconds=1)
        found = [
            when for clock in self._clocks if (when := clock.get_next_fire_time(None, begin)) is not None
        ]
        return min(found, default=None)


def parse_cron(fleet: str, text: str) -> Cron:
    """Return the schedule of a fleet.

    Where both the day of the month and that of the week are restricted it fires on either, as cron does;
    0 and 7 are Sunday.

    Raises
    ------
    SettingsError
        The expression has not five fields, a field makes no sense, it never fires, or APScheduler, which
        computes the times, is not installed.
    """
    fields = text.split()
    if len(fields) != 5:
        raise _wrong(fleet, text, f"it has {len(fields)} fields, a cron expression has 5, like '0 3 * * *'")
    minute, hour, day, month, week = fields
    try:
        names = _week_days(week)
        # A field that begins with * does not restrict: then the other one decides alone, in cron too.
        either = not day.startswith(_EVERY) and not week.startswith(_EVERY)
        days = [(day, _EVERY), (_EVERY, names)] if either else [(day, names)]
        clocks = tuple(_clock(minute, hour, month, *each) for each in days)
    except ValueError as error:
        raise _wrong(fleet, text, str(error)) from None
    cron = Cron(text, clocks)
    if cron.next(datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise _wrong(fleet, text, "there is no such day")
    return cron


def _clock(minute: str, hour: str, month: str, day: str, week: str) -> Any:  # noqa: ANN401  # no types
    try:
        from apscheduler.triggers.cron import CronTrigger
    except ImportError as error:
        fix = "pip install 'forecast-platform[schedule]'"
        raise SettingsError(
            f"schedules need APScheduler, which cannot be imported ({error}): {fix}"
        ) from None
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=week, timezone=UTC)


def _fires(clock: Any, begin: datetime, until: datetime) -> Iterator[datetime]:  # noqa: ANN401  # no types
    when = clock.get_next_fire_time(None, begin)
    while when is not None and when <= until:
        yield when
        when = clock.get_next_fire_time(None, when + timedelta(microseconds=1))


def _week_days(field: str) -> str:
    """Return the days of the week by name: the library counts from Monday, cron from Sunday."""
    days: set[int] = set()
    for part in field.lower().split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == _EVERY:
            low, high = 0, 6
        else:
            low = _week_day(first)
            # As in cron "3/2" means nothing; "3" alone is one day.
            high = _week_day(last) if dash else low
            if dash and high == 0 < low:  # fri-sun
                high = 7
            if slash and not dash:
                raise ValueError(f"the day of the week {part!r} has a step and no range")
        every = int(step) if step.isascii() and step.isdecimal() else 0 if slash else 1
        if not 1 <= every <= 7:
            raise ValueError(f"the step of the day of the week {part!r} must be 1 to 7")
        if low > high:
            raise ValueError(f"the days of the week {part!r} run backwards")
        days |= {number % 7 for number in range(low, high + 1, every)}
    return _EVERY if len(days) == 7 else ",".join(_DAYS[number] for number in sorted(days))


def _week_day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isascii() and text.isdecimal() and int(text) <= 7:
        return int(text)
    raise ValueError(f"the day of the week {text!r} must be 0 to 7 (0 and 7: Sunday), or sun to sat")


def _wrong(fleet: str, text: str, why: str) -> SettingsError:
    return SettingsError(f"settings: schedules: fleet {fleet!r}: {text!r} is no schedule: {why}")
