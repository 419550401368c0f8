"""The words for frequencies: pandas aliases into grids, without pandas for the common ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from forecast.errors import FrequencyError, nearest
from forecast.kernels.calendar import NS_DAY

EXAMPLES = "'MS' 'QS' 'YS' 'W-SUN' 'D' 'B' 'h' '15min', or an int for integer time stamps"

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

TICKS = {
    "D": NS_DAY,
    "h": 3_600_000_000_000,
    "min": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}

# unit: (months in a cycle, 1 when points are last days, suffix when none is given)
CALENDAR = {
    "MS": (1, 0, ""),
    "ME": (1, 1, ""),
    "QS": (3, 0, "JAN"),
    "QE": (3, 1, "DEC"),
    "YS": (12, 0, "JAN"),
    "YE": (12, 1, "DEC"),
}

# Spellings that pandas retired; each has one modern form.
RETIRED = {
    "M": "ME", "Q": "QE", "A": "YE", "Y": "YE", "AS": "YS", "BM": "BME", "BQ": "BQE", "BA": "BYE",
    "BY": "BYE", "BAS": "BYS", "CBM": "CBME", "SM": "SME", "H": "h", "BH": "bh", "T": "min", "S": "s",
    "L": "ms", "U": "us", "N": "ns", "d": "D", "w": "W", "b": "B",
}  # fmt: skip

KNOWN = (
    *TICKS,
    *CALENDAR,
    "W",
    *(f"W-{day}" for day in WEEKDAYS),
    "B",
    "C",
    "BMS",
    "BME",
    "BQS",
    "BQE",
    "SMS",
    "SME",
)

_SHAPE = re.compile(r"(\d*)([A-Za-z]+)(?:-([A-Z0-9]+))?")


class Kind(Enum):
    """How the distance of two times is counted."""

    INT = "int"
    FIXED = "fixed"
    MONTHS = "months"
    OFFSET = "offset"


@dataclass(frozen=True, slots=True)
class Grid:
    """What an alias means.

    Parameters
    ----------
    text
        The alias in its canonical spelling.
    kind
        How positions are counted.
    step
        Distance of grid points: units (INT), ns (FIXED), months (MONTHS), single offsets (OFFSET).
    wall
        True where times are counted in wall-clock time (a day or longer), False where in UTC.
    cycle, anchor, late
        MONTHS: see `forecast.kernels.calendar`. FIXED with cycle 7: the weekday, Monday is 0.
    base
        OFFSET: the pandas alias of a single step.
    """

    text: str
    kind: Kind
    step: int
    wall: bool = False
    cycle: int = 1
    anchor: int = 0
    late: int = 0
    base: str = ""


@lru_cache(maxsize=256)
def read_alias(text: str) -> Grid:
    """Return the grid that `text` names: a pandas alias, or the digits of an int step.

    Raises
    ------
    FrequencyError
        The alias is unknown or not positive; the message has the nearest known one and examples.
    """
    if text.removeprefix("-").isdecimal():
        return _positive(Grid(str(int(text)), Kind.INT, int(text)), text)
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return _positive(_from_pandas(text), text)
    count = int(shape[1] or 1)
    unit, suffix = RETIRED.get(shape[2], shape[2]), shape[3]
    if unit in TICKS and suffix is None:
        wall = unit == "D"
        grid = Grid(_spell(count, unit), Kind.FIXED, count * TICKS[unit], wall)
    elif unit == "W" and (suffix or "SUN") in WEEKDAYS:
        anchor = WEEKDAYS.index(suffix or "SUN")
        grid = Grid(_spell(count, unit, suffix or "SUN"), Kind.FIXED, count * 7 * NS_DAY, True, 7, anchor)
    elif unit in CALENDAR and (suffix is None or (suffix in MONTHS and CALENDAR[unit][0] > 1)):
        grid = _months(count, unit, suffix)
    else:
        grid = _from_pandas(_spell(count, unit, suffix or ""))
    return _positive(grid, text)


def _months(count: int, unit: str, suffix: str | None) -> Grid:
    cycle, late, default = CALENDAR[unit]
    month = suffix or default
    anchor = (MONTHS.index(month) + late) % cycle if month else 0
    return Grid(_spell(count, unit, month), Kind.MONTHS, count * cycle, True, cycle, anchor, late)


def _spell(count: int, unit: str, suffix: str = "") -> str:
    return f"{count if count != 1 else ''}{unit}{'-' if suffix else ''}{suffix}"


def _positive(grid: Grid, text: str) -> Grid:
    if grid.step < 1:
        raise FrequencyError(f"freq {text!r} must step forward; for example {EXAMPLES}")
    return grid


def _from_pandas(text: str) -> Grid:
    """Ask pandas for what is not spelled above: business calendars, sums such as "1h30min"."""
    from pandas.tseries.frequencies import to_offset  # here: half a second, and only for rare grids

    try:
        offset = to_offset(text)
    except (ValueError, TypeError):
        hint = nearest(text, KNOWN)
        raise FrequencyError(f"freq {text!r} is unknown{hint}; for example {EXAMPLES}") from None
    try:
        nanos = int(offset.nanos)
    except (ValueError, AttributeError):  # a calendar offset has no fixed length
        return Grid(offset.freqstr, Kind.OFFSET, int(offset.n), True, base=offset.base.freqstr)
    return Grid(offset.freqstr, Kind.FIXED, nanos, False)
