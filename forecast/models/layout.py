"""Sorted rows onto the grid of the frequency: gaps become NaN, series that do not fit get a status."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecast.errors import FrequencyError
from forecast.kernels import runs
from forecast.kernels.calendar import NS_DAY
from forecast.models.cadence import infer_freq
from forecast.models.clock import show
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.rows import Rows
from forecast.types import F64, I64, U8, Bool, Status

# A grid may have this many points, or this many times the rows of the series, whichever is more; beyond it
# one mistyped year would make a grid that fills the memory.
MIN_GRID_LIMIT = 10_000
GRID_POINTS_PER_ROW = 50

# A grid of dates begins no earlier, ns (about 1700): int64 nanoseconds end in 1677.
_EARLIEST_NS = -270 * 365 * NS_DAY


def lay_out(rows: Rows, freq: Freq, scale: int, target: str) -> Panel:
    """Return the panel of sorted rows.

    A series off the grid (or whose grid would explode) keeps its rows in order of time, on a grid that
    ends at the anchor on or before its last row, so that its forecasts begin after what was observed.

    Parameters
    ----------
    rows
        Sorted, unique; times in wall-clock counts where `freq` is a day or longer.
    scale
        Nanoseconds in one unit of the times; 1 for ints.
    target
        Name of the target among the columns; the others are regressors.

    Raises
    ------
    FrequencyError
        Every series begins off the grid: the frequency is wrong, not the data.
    """
    counts = np.diff(rows.indptr)
    lengths, offending = freq.survey(rows.times, scale, rows.indptr)
    limit = np.maximum(MIN_GRID_LIMIT, GRID_POINTS_PER_ROW * counts)
    irregular = (offending >= 0) | (lengths < 1) | (lengths > limit)
    _check_fit(rows, freq, scale, irregular)
    notes = {
        int(i): _irregular_note(rows, freq, scale, int(i), int(offending[i]))
        for i in np.flatnonzero(irregular)
    }
    points = np.where(irregular, counts, lengths)
    start = rows.times[rows.indptr[:-1]] * scale
    if irregular.any():
        last = freq.floor(rows.times[rows.indptr[1:][irregular] - 1] * scale)
        if not freq.is_int:
            room = last // freq.span() - _EARLIEST_NS // freq.span()
            points[irregular] = np.clip(room, 1, counts[irregular])
        start[irregular] = freq.times(last, 1 - points[irregular])
        rows = _drop_oldest(rows, np.where(irregular, counts - points, 0))
    columns, indptr = _spread(rows, freq, scale, points)
    values = columns.pop(target)
    missing, infinite = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    runs.census(values, indptr, missing, infinite)
    for i in np.flatnonzero(infinite).tolist():
        found = f"{infinite[i]} infinite values are treated as missing"
        notes[i] = f"{found}; {notes[i]}" if i in notes else found
    status = _statuses(missing, infinite, irregular, points)
    return Panel(values, indptr, rows.ids, start, freq, columns, status, notes)


def _statuses(missing: I64, infinite: I64, irregular: Bool, points: I64) -> U8:
    """Status of each series; a later line overrules an earlier one."""
    status = np.full(len(points), Status.OK, np.uint8)
    status[missing > 0] = Status.GAPS
    status[irregular] = Status.IRREGULAR_CLOCK
    status[infinite > 0] = Status.NOT_FINITE
    status[missing == points] = Status.ALL_MISSING
    return status


def _check_fit(rows: Rows, freq: Freq, scale: int, irregular: Bool) -> None:
    heads = rows.times[rows.indptr[:-1]] * scale
    if not irregular.all() or freq.anchored(heads).any():
        return
    try:
        likely = infer_freq(rows.times * scale, rows.indptr, integer=False).text
        hint = f"the data look like {likely!r}"
    except FrequencyError:
        hint = "pass the frequency of the data, or move the time stamps"
    time = show(int(heads[0]), freq)
    raise FrequencyError(
        f"freq={freq.text!r} fits no series: {rows.ids[0]!r} begins at {time}, off that grid; {hint}"
    )


def _irregular_note(rows: Rows, freq: Freq, scale: int, i: int, offending: int) -> str:
    first, last = rows.indptr[i], rows.indptr[i + 1] - 1
    begin, end = (show(int(rows.times[row]) * scale, freq) for row in (first, last))
    if offending < 0:
        return (
            f"{last - first + 1} rows from {begin} to {end} leave too many gaps on the grid of {freq.text!r}"
        )
    time = show(int(rows.times[offending]) * scale, freq)
    if offending == first:
        return f"time stamp {time} is not on the grid of {freq.text!r}"
    return f"time stamp {time} is not on the grid of {freq.text!r} that begins at {begin}"


def _drop_oldest(rows: Rows, skip: I64) -> Rows:
    """Leave out the first `skip` rows of each series."""
    if not skip.any():
        return rows
    counts = np.diff(rows.indptr)
    nth = np.arange(len(rows.times)) - np.repeat(rows.indptr[:-1], counts)
    keep = nth >= np.repeat(skip, counts)
    indptr = np.concatenate([[0], np.cumsum(counts - skip)]).astype(np.int64)
    columns = {name: values[keep] for name, values in rows.columns.items()}
    return replace(rows, indptr=indptr, times=rows.times[keep], columns=columns)


def _spread(rows: Rows, freq: Freq, scale: int, points: I64) -> tuple[dict[str, F64], I64]:
    """Put every column onto the grid; NaN where there is no row."""
    counts = np.diff(rows.indptr)
    indptr = np.concatenate([[0], np.cumsum(points)]).astype(np.int64)
    gappy = points != counts
    if not gappy.any():
        return dict(rows.columns), indptr
    slot_at = np.full(len(counts), -1, np.int64)
    slot_at[gappy] = np.cumsum(counts[gappy]) - counts[gappy]
    times = rows.times[np.repeat(gappy, counts)] * scale
    firsts = rows.times[rows.indptr[:-1][gappy]] * scale
    slots, _ = freq.positions(times, np.repeat(firsts, counts[gappy]))
    columns = {}
    for name, values in rows.columns.items():
        columns[name] = np.full(indptr[-1], np.nan)
        runs.place(values, rows.indptr, slots, slot_at, indptr, columns[name])
    return columns, indptr
