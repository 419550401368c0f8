"""When a cron expression fires, by looking at every minute: crontab(5) of any Unix, in words.

A minute matches where minute, hour and month match, and the day does: where both the day of the month and
that of the week are restricted (neither begins with *), either will do; else both have to.
0 and 7 are Sunday.
"""

from __future__ import annotations

from datetime import datetime, timedelta

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def number(text, names, first):
    return names.index(text.lower()) + first if text.lower() in names else int(text)


def matches(field, value, low, high, names=(), first=0):
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            begin, end = low, high
        else:
            a, dash, b = span.partition("-")
            begin = number(a, names, first)
            end = number(b, names, first) if dash else begin
        if value in range(begin, end + 1, int(step or 1)):
            return True
    return False


def fires(text, when):
    minute, hour, day, month, week = text.split()
    dow = when.isoweekday() % 7
    on_day = matches(day, when.day, 1, 31)
    on_week = matches(week, dow, 0, 6, DAYS) or (dow == 0 and matches(week, 7, 0, 6, DAYS))
    either = not day.startswith("*") and not week.startswith("*")
    return (
        matches(minute, when.minute, 0, 59)
        and matches(hour, when.hour, 0, 23)
        and matches(month, when.month, 1, 12, MONTHS, 1)
        and ((on_day or on_week) if either else (on_day and on_week))
    )


def last(text, after: datetime, until: datetime):
    """The last minute in (after, until] that matches, None where there is none."""
    when = until.replace(second=0, microsecond=0)
    while when > after:
        if fires(text, when):
            return when
        when -= timedelta(minutes=1)
    return None
