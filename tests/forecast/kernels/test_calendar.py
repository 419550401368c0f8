"""Month arithmetic against the standard library."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from forecast.kernels import calendar
from tests.oracles import frames as oracle


@given(day=st.integers(-106_000, 106_000))
def test_civil_is_the_calendar(day):
    assert calendar.civil(day) == oracle.civil(day)


@given(month=st.integers(-3_500, 3_500))
def test_first_day_is_the_inverse_of_civil(month):
    assert calendar.civil(calendar.first_day(month)) == (month, 1)


def test_leap_day_and_century_by_hand():
    days = [(pd.Timestamp(d) - pd.Timestamp("1970-01-01")).days for d in ("2000-02-29", "1900-03-01")]
    assert calendar.civil(days[0]) == (361, 29)  # 30 * 12 + 1
    assert calendar.civil(days[1] - 1) == (-839, 28)  # 1900 had no leap day: -70 * 12 + 1


def test_a_month_beyond_nanoseconds_is_not_a_time():
    out = np.empty(2, np.int64)
    calendar.month_times(np.zeros(2, np.int64), np.array([1, 12 * 400]), 1, 0, out)
    assert out.tolist() == [31 * calendar.NS_DAY, calendar.NOT_A_TIME]


def test_survey_copies_nothing_from_a_neighbour_that_is_off_the_grid():
    days = np.array([0, 31, 40, 0, 31, 40, 0, 31, 59, 0, 31, 59, 0, 31, 90], dtype=np.int64)
    indptr = np.arange(0, 16, 3)
    lengths, offending = np.empty(5, np.int64), np.empty(5, np.int64)
    calendar.survey_months(days, 1, 1, 1, 0, 0, indptr, lengths, offending)
    assert offending.tolist() == [2, 5, -1, -1, -1]
    assert lengths[2:].tolist() == [3, 3, 4]
    calendar.survey_steps(days, 1, 31, indptr, lengths, offending)
    assert offending.tolist() == [2, 5, 8, 11, 14]
