"""The frequency of data that come without one."""

from __future__ import annotations

import numpy as np

from forecast.errors import FrequencyError
from forecast.kernels.calendar import NS_DAY
from forecast.models.alias import EXAMPLES, MONTHS, WEEKDAYS
from forecast.models.freq import Freq, spell_ns
from forecast.types import I64

# Shorter distances than this cannot be months.
_SHORTEST_MONTH = 28 * NS_DAY
# pandas names these month steps; any other number is a multiple of months.
_QUARTER, _YEAR = 3, 12


def common_step(times: I64, indptr: I64) -> int:
    """Return the most common distance of neighbours in a series, the least of several; 0 if there is none.

    Parameters
    ----------
    times
        (N,) increasing within a series.
    indptr
        (n + 1,) bounds of the series.
    """
    steps = np.diff(times)
    inside = np.ones(len(steps), dtype=np.bool_)
    inside[indptr[1:-1] - 1] = False
    steps = steps[inside & (steps > 0)]
    if len(steps) == 0:
        return 0
    sizes, counts = np.unique(steps, return_counts=True)
    return int(sizes[counts.argmax()])


def infer_freq(times: I64, indptr: I64, *, integer: bool, tz: str | None = None) -> Freq:
    """Return the frequency by which most neighbours lie apart.

    Ints: the most common step. Datetimes: that step, read as months, quarters or years where every time is
    the first (or the last) day of a month, as weeks where all share a weekday, as business days where
    no day is a Saturday or Sunday and a weekend is skipped.

    Parameters
    ----------
    times
        (N,) increasing within a series; ints, or ns since 1970 (wall-clock time for steps of a day or more).
    indptr
        (n + 1,) bounds of the series.
    integer
        Whether times are plain ints.
    tz
        Time zone of the data.

    Raises
    ------
    FrequencyError
        No series has two times, or the step is of the size of a month but no month boundary is met.
    """
    step = common_step(times, indptr)
    if step == 0:
        raise FrequencyError(f"freq cannot be inferred: no series has two time stamps; pass it: {EXAMPLES}")
    if integer:
        return Freq(str(step))
    if step >= _SHORTEST_MONTH and step % (7 * NS_DAY):
        return Freq(_month_alias(times, indptr), tz)
    days = times // NS_DAY
    weekdays = np.unique((days + 3) % 7)  # 1970-01-01 was a Thursday
    if step % (7 * NS_DAY) == 0 and len(weekdays) == 1:
        weeks = step // (7 * NS_DAY)
        return Freq(f"{weeks if weeks > 1 else ''}W-{WEEKDAYS[weekdays[0]]}", tz)
    if step == NS_DAY and weekdays[-1] < 5 and _skips(times, indptr, 3 * NS_DAY):
        return Freq("B", tz)
    return Freq(spell_ns(step), tz)


def _skips(times: I64, indptr: I64, step: int) -> bool:
    """Whether the distance `step` occurs within a series."""
    hits = np.flatnonzero(np.diff(times) == step) + 1
    return len(np.setdiff1d(hits, indptr)) > 0


def _month_alias(times: I64, indptr: I64) -> str:
    days = np.asarray(times // NS_DAY, dtype=np.int64).view("M8[D]")
    for late, kind in ((0, "S"), (1, "E")):
        shifted = days + late
        months = shifted.astype("M8[M]")
        if (months.astype("M8[D]") == shifted).all():
            return _spell_months(months.astype(np.int64), indptr, late, kind)
    odd = days[days.astype("M8[M]").astype("M8[D]") != days][0]
    raise FrequencyError(
        f"freq cannot be inferred: steps are about a month, yet {odd} is neither the first nor the last day "
        "of one; move the time stamps to month starts, df['ds'].dt.to_period('M').dt.to_timestamp(), "
        "and pass freq='MS'"
    )


def _spell_months(months: I64, indptr: I64, late: int, kind: str) -> str:
    step = common_step(months, indptr)
    if step % _YEAR == 0 and len(np.unique(months % _YEAR)) == 1:
        count, unit, cycle = step // _YEAR, "Y", _YEAR
    elif step % _QUARTER == 0 and len(np.unique(months % _QUARTER)) == 1:
        count, unit, cycle = step // _QUARTER, "Q", _QUARTER
    else:
        return f"{step if step > 1 else ''}M{kind}"
    anchor = (int(months[0]) - late) % cycle
    if unit == "Q" and late:
        anchor += 9  # pandas writes quarter ends by the last month of the year: QE-DEC, not QE-MAR
    return f"{count if count > 1 else ''}{unit}{kind}-{MONTHS[anchor]}"
