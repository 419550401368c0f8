"""Grids against pandas."""

import numpy as np
import pandas as pd
import pytest

from edge.runtime.errors import BundleError, ClockError
from edge.runtime.grid import Grid
from edge.runtime.regressors import calendar_field
from edge.runtime.schema import FreqInfo

HOUR, DAY = 3_600_000, 86_400_000


def grid(text, kind, step, late=0, wall=False, tz=None):
    return Grid(FreqInfo(text, tz, kind, step, late, wall, 1))


GRIDS = [
    ("h", grid("h", "fixed", HOUR), "2024-02-28 22:00", None),
    ("15min", grid("15min", "fixed", HOUR // 4), "2024-02-28 23:45", None),
    ("h", grid("h", "fixed", HOUR, tz="Europe/Berlin"), "2024-03-30 22:00", "Europe/Berlin"),
    ("D", grid("D", "fixed", DAY, wall=True), "2024-02-27", None),
    ("D", grid("D", "fixed", DAY, wall=True, tz="Europe/Berlin"), "2024-03-28", "Europe/Berlin"),
    ("D", grid("D", "fixed", DAY, wall=True, tz="America/New_York"), "2024-10-31", "America/New_York"),
    ("W-SUN", grid("W-SUN", "fixed", 7 * DAY, wall=True), "2024-02-25", None),
    ("MS", grid("MS", "months", 1, wall=True), "2023-11-01", None),
    ("ME", grid("ME", "months", 1, 1, wall=True), "2023-11-30", None),
    ("QS-JAN", grid("QS-JAN", "months", 3, wall=True), "1969-10-01", None),
    ("QE-DEC", grid("QE-DEC", "months", 3, 1, wall=True), "1969-12-31", None),
    ("YE-DEC", grid("YE-DEC", "months", 12, 1, wall=True), "2023-12-31", None),
    ("MS", grid("MS", "months", 1, wall=True, tz="Australia/Sydney"), "2024-01-01", "Australia/Sydney"),
    ("2MS", grid("2MS", "months", 2, wall=True), "2024-01-01 06:00", None),
]


def ms(stamps):
    return (stamps.tz_convert("UTC").tz_localize(None) if stamps.tz else stamps).as_unit("ms").asi8.tolist()


@pytest.mark.parametrize(("text", "ours", "start", "tz"), GRIDS, ids=[f"{g[0]} {g[3]} {g[2]}" for g in GRIDS])
def test_times_and_positions_are_those_of_pandas(text, ours, start, tz):
    stamps = pd.date_range(start, periods=60, freq=text, tz=tz)
    times = ms(stamps)
    for origin in (0, 17, 59):
        assert [ours.time(times[origin], k - origin) for k in range(60)] == times
        assert [ours.position(at, times[origin]) for at in times] == list(range(-origin, 60 - origin))
    for k in range(59):
        third = (times[k + 1] - times[k]) // 3
        assert ours.position(times[k] + third, times[0]) == k
        assert ours.position(times[k + 1] - third, times[0]) == k + 1
    for name, field in (("hour", "hour"), ("dayofweek", "day_of_week"), ("month", "month")):
        want = getattr(stamps, field).tolist()
        assert [calendar_field(name, ours, times[5], k - 5) for k in range(60)] == want


def test_the_int_grid():
    ours = grid("10", "int", 10)
    assert [ours.position(at, 100) for at in (100, 104, 105, 114, 95, 94)] == [0, 0, 1, 1, 0, -1]
    assert ours.time(100, 3) == 130


def test_a_grid_that_cannot_be_computed_takes_every_tick_as_the_next_point():
    ours = Grid(FreqInfo("B", None, "ticks", 1, 0, True, DAY))
    assert [ours.position(at, 1000) for at in (999, 1000, 1001, 10**12)] == [0, 0, 1, 1]
    assert ours.time(1000, 2) == 1000 + 2 * DAY


def test_a_zone_that_the_device_does_not_know():
    with pytest.raises(BundleError, match="tzdata"):
        grid("D", "fixed", DAY, wall=True, tz="Nowhere/Else").time(0, 1)


@pytest.mark.parametrize("ts", [2**62, -(2**62), 253_402_300_800_000])
def test_times_beyond_the_calendar(ts):
    for ours in (grid("h", "fixed", HOUR), grid("MS", "months", 1)):
        with pytest.raises(ClockError):
            ours.position(ts, 0)
    with pytest.raises(ClockError):
        grid("MS", "months", 1).time(0, 10**6)
    with pytest.raises(ClockError):
        grid("h", "fixed", HOUR).time(0, 10**9)


def test_a_late_hour_of_a_day_that_is_short(tmp_path):
    """The clock goes forward on 2024-03-31: that day has 23 hours, and is one step all the same."""
    ours = grid("D", "fixed", DAY, wall=True, tz="Europe/Berlin")
    noon = int(pd.Timestamp("2024-03-31", tz="Europe/Berlin").timestamp() * 1000)
    assert ours.time(noon, 1) - noon == 23 * HOUR
    assert np.sign(ours.position(noon + 23 * HOUR, noon)) == 1
