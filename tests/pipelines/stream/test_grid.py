"""Positions against pandas, which the stream itself does not import."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.models.freq import Freq
from pipelines.errors import StreamError
from pipelines.kernels.admission import FAR
from pipelines.stream.grid import Grid
from pipelines.stream.zone import zone_of
from pipelines.wire.message import MAX_TS_MS

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "UTC",
]


def position(grid, ts_ms, start, tolerance=0.5):
    times = grid.times(np.array([ts_ms]))
    return int(grid.positions(times, np.array([0]), np.array([[start]]), tolerance)[0])


@pytest.mark.parametrize("zone", ZONES)
@given(st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=30))
def test_the_wall_clock_is_that_of_pandas(zone, seconds):
    utc = np.array(seconds) * 10**9
    index = pd.DatetimeIndex(utc.view("M8[ns]")).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    np.testing.assert_array_equal(zone_of(zone).wall(utc), index.asi8)
    first = np.ones(len(index), dtype=bool)
    back = index.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").asi8
    np.testing.assert_array_equal(zone_of(zone).utc(index.asi8), back)


@pytest.mark.parametrize("zone", ZONES)
def test_around_every_change(zone):
    for change in zone_of(zone).changes[-120:].tolist():
        wall = pd.DatetimeIndex(
            np.arange(change - 3 * 10**9 * 3600, change + 10**13, 1800 * 10**9).view("M8[ns]")
        )
        first = np.ones(len(wall), dtype=bool)
        back = wall.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").asi8
        np.testing.assert_array_equal(zone_of(zone).utc(wall.asi8), back)


def test_an_unknown_zone():
    with pytest.raises(StreamError, match="Nowhere"):
        zone_of("Nowhere/Land")


FREQS = ["h", "15min", "D", "W-SUN", "MS", "ME", "QS-JAN", "YE-DEC", "B"]


@pytest.mark.parametrize("text", FREQS)
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_points_of_the_grid_and_times_near_them_have_its_position(text, tz):
    index = pd.date_range("2023-01-01 06:00", periods=60, freq=text)
    grid = Grid.of(Freq(text, tz))
    start, at = int(index.as_unit("ns").asi8[0]), np.arange(60)
    ts_ms = grid.ts_ms(np.full(60, start), at)
    if tz is not None:
        utc = pd.DatetimeIndex(ts_ms.view("M8[ms]")).tz_localize("UTC")
        if grid.freq.wall:
            assert (utc.tz_convert(tz).tz_localize(None) == index).all()
    for i in range(0, 60, 7):
        for off in (0, 60_000, -60_000):
            assert position(grid, int(ts_ms[i]) + off, start) == i
        assert position(grid, int(ts_ms[i]), start, 0.01) == i
    if text != "15min":
        assert position(grid, int(ts_ms[20]) + 900_000, start, 1e-6) == FAR


@pytest.mark.parametrize("text", FREQS)
@pytest.mark.parametrize(
    "ts_ms", [-9_223_372_036_854, 9_223_372_036_854, -9_000_000_000_000, 9_150_000_000_000]
)
def test_the_ends_of_the_calendar(text, ts_ms):
    start = int(pd.date_range("2023-01-01", periods=1, freq=text).as_unit("ns").asi8[0])
    found = position(Grid.of(Freq(text)), ts_ms, start)
    assert found == FAR or (found < 0) == (ts_ms < 0)


@given(
    st.integers(-MAX_TS_MS, MAX_TS_MS), st.integers(-(10**12), 10**12), st.integers(1, 10**6),
    st.floats(0.01, 0.5),
)  # fmt: skip
def test_even_grids(ts, start, step, tolerance):
    place, rest = divmod(ts - start, step)
    if 2 * rest > step:
        place, rest = place + 1, step - rest
    held = abs(start + place * step) <= MAX_TS_MS
    want = place if rest <= tolerance * step and held else FAR
    assert position(Grid.of(Freq(str(step))), ts, start, tolerance) == want


@pytest.mark.parametrize("text", [*FREQS, "30min"])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_point_lies_beyond_the_times_of_messages(text, sign):
    start = np.array([pd.Timestamp("2023-01-01").value])
    grid = Grid.of(Freq(text))
    for back in range(0, 40 * 86_400_000, 76_543_210):
        ts_ms = sign * (MAX_TS_MS - back)
        found = position(grid, ts_ms, int(start[0]))
        if found != FAR:
            there = int(grid.ts_ms(start, np.array([found]))[0])
            assert abs(there) <= MAX_TS_MS
            assert abs(there - ts_ms) < 366 * 86_400_000
