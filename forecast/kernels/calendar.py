"""Month arithmetic in the proleptic Gregorian calendar, and the survey of a ragged clock.

Times are int64 counts of a unit since 1970-01-01; `per_day` is how many of that unit make a day.
A month grid is described by (step, cycle, anchor, late): points are the first days (`late` = 0) or the
last days (`late` = 1) of months whose index is `anchor` modulo `cycle`, every `step` months. The last day of
a month is the day before the first of the next, so both kinds are one arithmetic on ``day + late``.
"""

from __future__ import annotations

from forecast.kernels._jit import exact_kernel
from forecast.types import I64, Bool

NS_DAY = 86_400_000_000_000

# Days from 0000-03-01 to 1970-01-01; years that begin in March have their leap day last.
_EPOCH_DAYS = 719_468
# Months from March of year 0 to January 1970.
_EPOCH_MONTHS = 1970 * 12 - 2
# The calendar repeats after 400 years.
_CYCLE_DAYS = 146_097
# Whole days that int64 nanoseconds can hold (1677-09-22 to 2262-04-10).
_LAST_NS_DAY = 106_750
NOT_A_TIME = -(2**63)


@exact_kernel
def civil(day: int) -> tuple[int, int]:
    """Return (month index since January 1970, day of the month from 1) of a day since 1970-01-01.

    Source: the 400-year cycle of the Gregorian calendar, 146,097 days, with years that start in March;
    153 days make any five months from March on.
    """
    since = day + _EPOCH_DAYS
    era = since // _CYCLE_DAYS
    doe = since - era * _CYCLE_DAYS
    year = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * year + year // 4 - year // 100)
    month = (5 * doy + 2) // 153
    return (era * 400 + year) * 12 + month - _EPOCH_MONTHS, doy - (153 * month + 2) // 5 + 1


@exact_kernel
def first_day(month: int) -> int:
    """Return the day since 1970-01-01 on which a month (0 = January 1970) begins; inverse of `civil`."""
    since = month + _EPOCH_MONTHS
    year = since // 12
    doy = (153 * (since - year * 12) + 2) // 5
    era = year // 400
    yoe = year - era * 400
    return era * _CYCLE_DAYS + yoe * 365 + yoe // 4 - yoe // 100 + doy - _EPOCH_DAYS


@exact_kernel
def month_positions(
    times: I64, first: I64, step: int, cycle: int, anchor: int, late: int, out: I64, on: Bool
) -> None:
    """Write grid positions of `times` (ns) counted from `first` (ns), and whether both are on the grid.

    All arrays are (m,). A time off the grid gets the position of the grid point before it. The time of the
    day must be that of `first`. O(m).
    """
    for i in range(times.shape[0]):
        day, day0 = times[i] // NS_DAY, first[i] // NS_DAY
        month, dom = civil(day + late)
        month0, dom0 = civil(day0 + late)
        gap = month - month0
        q = gap // step
        out[i] = q
        same_hour = times[i] - day * NS_DAY == first[i] - day0 * NS_DAY
        on[i] = dom == 1 and dom0 == 1 and q * step == gap and (month0 - anchor) % cycle == 0 and same_hour


@exact_kernel
def month_times(first: I64, positions: I64, step: int, late: int, out: I64) -> None:
    """Write the times (ns) at `positions` counted from `first` (ns, on the grid); all (m,).

    A time that int64 nanoseconds cannot hold becomes not-a-time. O(m).
    """
    for i in range(first.shape[0]):
        day = first[i] // NS_DAY
        month, _ = civil(day + late)
        ahead = first_day(month + positions[i] * step) - late
        fits = -_LAST_NS_DAY <= ahead <= _LAST_NS_DAY
        out[i] = ahead * NS_DAY + (first[i] - day * NS_DAY) if fits else NOT_A_TIME


@exact_kernel
def month_floor(times: I64, cycle: int, anchor: int, late: int, out: I64) -> None:
    """Write the last month anchor on or before each of `times` (ns), at the same time of the day; (m,)."""
    for i in range(times.shape[0]):
        day = times[i] // NS_DAY
        month, _ = civil(day + late)
        back = first_day(month - (month - anchor) % cycle) - late
        out[i] = times[i] - (day - back) * NS_DAY


@exact_kernel
def same_clock(times: I64, indptr: I64, s: int) -> bool:
    """Return whether series `s` has the very times of the one before; most panels share one clock."""
    start, size = indptr[s], indptr[s + 1] - indptr[s]
    if s == 0 or start - indptr[s - 1] != size:
        return False
    for i in range(start, start + size):  # noqa: SIM110  # a kernel has no generators
        if times[i] != times[i - size]:
            return False
    return True


@exact_kernel
def survey_months(
    times: I64,
    per_day: int,
    step: int,
    cycle: int,
    anchor: int,
    late: int,
    indptr: I64,
    lengths: I64,
    offending: I64,
) -> None:
    """Measure each series of a ragged clock against a month grid.

    Parameters
    ----------
    times
        (N,) strictly increasing within a series.
    per_day
        Units of `times` in a day.
    step, cycle, anchor, late
        The grid, see the module.
    indptr
        (n + 1,) bounds of the series; none is empty.
    lengths
        (n,) written: grid points from the first time to the last.
    offending
        (n,) written: the first row off the grid that the first time of the series spans, or -1.

    Notes
    -----
    O(N), no allocation.
    """
    for s in range(indptr.shape[0] - 1):
        start = indptr[s]
        if same_clock(times, indptr, s) and offending[s - 1] < 0:
            offending[s], lengths[s] = -1, lengths[s - 1]
            continue
        day = int(times[start] // per_day)
        hour = times[start] - day * per_day
        month0, dom = civil(day + late)
        offending[s] = -1
        lengths[s] = 1
        if dom != 1 or (month0 - anchor) % cycle != 0:
            offending[s] = start
            continue
        for i in range(start + 1, indptr[s + 1]):
            day = times[i] // per_day
            month, dom = civil(day + late)
            q = (month - month0) // step
            if dom != 1 or q * step != month - month0 or times[i] - day * per_day != hour:
                offending[s] = i
                break
            lengths[s] = q + 1


@exact_kernel
def survey_steps(times: I64, scale: int, step: int, indptr: I64, lengths: I64, offending: I64) -> None:
    """Measure each series of a ragged clock against a grid of equal steps from its first time.

    Parameters
    ----------
    times
        (N,) strictly increasing within a series.
    scale
        Units of `step` in one unit of `times`.
    step
        Distance of grid points, >= 1.
    indptr, lengths, offending
        As in `survey_months`.
    """
    for s in range(indptr.shape[0] - 1):
        start = indptr[s]
        if same_clock(times, indptr, s) and offending[s - 1] < 0:
            offending[s], lengths[s] = -1, lengths[s - 1]
            continue
        offending[s] = -1
        lengths[s] = 1
        for i in range(start + 1, indptr[s + 1]):
            gap = (times[i] - times[start]) * scale
            q = gap // step
            if q * step != gap:
                offending[s] = i
                break
            lengths[s] = q + 1
