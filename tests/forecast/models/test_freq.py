"""The grid of a frequency against pandas date ranges."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import FrequencyError
from forecast.models.cadence import infer_freq
from forecast.models.freq import Freq, default_season_length, parse_freq

ALIASES = [
    "MS",
    "ME",
    "2MS",
    "QS-OCT",
    "QE-DEC",
    "QE-JAN",
    "2QS-JAN",
    "YS-JAN",
    "YE-JUN",
    "W-SUN",
    "2W-WED",
    "D",
    "3D",
    "h",
    "15min",
    "B",
    "2B",
    "SMS-15",
    "BME",
    "BQS-JAN",
]


def ns(index):
    return index.as_unit("ns").asi8


@given(alias=st.sampled_from(ALIASES), day=st.integers(-20_000, 40_000), n=st.integers(2, 30))
def test_times_and_positions_are_those_of_pandas(alias, day, n):
    grid = ns(pd.date_range(pd.Timestamp(day, unit="D"), periods=n, freq=alias))
    freq, steps = Freq(alias), np.arange(n)
    np.testing.assert_array_equal(freq.times(grid[:1], steps), grid)
    place, on = freq.positions(grid, grid[:1])
    assert on.all()
    np.testing.assert_array_equal(place, steps)
    np.testing.assert_array_equal(freq.times(grid[-1:], -steps), grid[::-1])
    np.testing.assert_array_equal(freq.floor(grid), grid)
    assert freq.survey(grid, 1, np.array([0, n]))[0].tolist() == [n]
    _, off = freq.positions(grid + 1, grid[:1])
    assert not off.any()


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("M", "ME"),
        ("Q", "QE-DEC"),
        ("H", "h"),
        ("T", "min"),
        ("A", "YE-DEC"),
        ("AS-OCT", "YS-OCT"),
        ("W", "W-SUN"),
        (3, "3"),
        ("07", "7"),
        (timedelta(hours=2), "2h"),
        (pd.offsets.MonthBegin(2), "2MS"),
        ("1h30min", "90min"),
        (np.int64(1), "1"),
        (pd.Timedelta("15min"), "15min"),
        (Freq("QS"), "QS-JAN"),
        ("01D", "D"),
    ],
)
def test_spellings_become_the_modern_one(given_, text):
    assert parse_freq(given_).text == text


@pytest.mark.parametrize("bad", ["MX", "monthly", "", "0D", "-1h", 0, -1, True, 1.5, "QS-XXX"])
def test_an_unknown_frequency_names_itself_and_examples(bad):
    with pytest.raises(FrequencyError, match="'15min'") as caught:
        parse_freq(bad)
    assert str(bad) in str(caught.value)


def test_an_unknown_frequency_names_the_nearest():
    with pytest.raises(FrequencyError, match="did you mean 'W-SUN'"):
        parse_freq("W-SUM")


def test_floor_is_the_anchor_before_at_the_same_hour():
    at = ns(pd.DatetimeIndex(["2024-02-15 06:00"]))
    floors = {a: str(pd.Timestamp(int(Freq(a).floor(at)[0]))) for a in ("MS", "ME", "W-SUN", "QE-DEC", "B")}
    assert floors == {
        "MS": "2024-02-01 06:00:00",
        "ME": "2024-01-31 06:00:00",
        "W-SUN": "2024-02-11 06:00:00",
        "QE-DEC": "2023-12-31 06:00:00",
        "B": "2024-02-15 06:00:00",
    }


@pytest.mark.parametrize(
    "alias",
    [a for a in ALIASES if a not in ("2B", "SMS-15", "BME", "BQS-JAN", "2QS-JAN", "QS-OCT", "QE-JAN")],
)
def test_the_frequency_is_found_in_the_data(alias):
    times = ns(pd.date_range("2001-01-01", periods=40, freq=alias))
    keep = np.r_[0:20, 22:40]  # a gap changes nothing
    assert infer_freq(times[keep], np.array([0, len(keep)]), integer=False).text == alias


def test_quarters_of_another_year_end_are_the_same_grid():
    times = ns(pd.date_range("2001-01-01", periods=40, freq="QE-JAN"))
    found = infer_freq(times, np.array([0, 40]), integer=False)
    assert found.text == "QE-OCT"
    np.testing.assert_array_equal(found.times(times[:1], np.arange(40)), times)


def test_int_steps_are_inferred_and_single_points_are_not():
    assert infer_freq(np.array([0, 5, 10, 0, 20]), np.array([0, 3, 5]), integer=True).text == "5"
    with pytest.raises(FrequencyError, match="no series has two"):
        infer_freq(np.array([0, 5]), np.array([0, 1, 2]), integer=True)
    with pytest.raises(FrequencyError, match="month starts"):
        infer_freq(ns(pd.date_range("2020-01-15", periods=5, freq="31D")), np.array([0, 5]), integer=False)


@pytest.mark.parametrize(
    ("alias", "season"),
    [
        ("h", 24),
        ("2h", 12),
        ("5h", 1),
        ("15min", 96),
        ("30min", 48),
        ("min", 60),
        ("5min", 12),
        ("s", 60),
        ("D", 7),
        ("2D", 1),
        ("W", 1),
        ("MS", 12),
        ("2ME", 6),
        ("5MS", 1),
        ("QS", 4),
        ("YE", 1),
        ("B", 5),
        ("BQE", 4),
        ("1", 1),
    ],
)
def test_default_season_is_the_documented_table(alias, season):
    assert default_season_length(Freq(alias)) == season


def test_common_grids_need_no_pandas():
    code = (
        "import sys; from forecast.models.freq import Freq; Freq('MS').times(0, 3); "
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
