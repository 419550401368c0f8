"""Time stamps of a frame as integers, and integers as time stamps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ColumnError, FrequencyError
from forecast.kernels.calendar import NOT_A_TIME, NS_DAY
from forecast.models.freq import Freq
from forecast.models.schema import Schema
from forecast.types import I64

_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

# A date with a time of day, and then an offset from UTC.
_ZONED = re.compile(r"\d[T ]\d.*?(Z|[+-]\d{2}(?::?\d{2})?)$")


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """The time column of a frame.

    Parameters
    ----------
    times
        (N,) plain ints, or counts of `unit` since 1970 in UTC (in local time where `tz` is None).
    unit
        "s", "ms", "us", "ns", or "" for plain ints.
    tz
        Time zone by name; None for naive stamps and ints.
    dtype
        pandas name of the dtype, without the zone.
    """

    times: I64
    unit: str
    tz: str | None
    dtype: str

    @property
    def is_int(self) -> bool:
        """True for plain ints."""
        return self.unit == ""

    @property
    def scale(self) -> int:
        """Nanoseconds in one unit of `times`; 1 for ints."""
        return _NS.get(self.unit, 1)

    def check(self, freq: Freq, column: str) -> None:
        """Raise FrequencyError when one of frame and frequency counts ints and the other dates."""
        if freq.is_int and not self.is_int:
            fix = "pass a pandas alias such as 'MS' or 'D'"
            raise FrequencyError(f"freq={freq.text} is an int step, but {column!r} holds {self.dtype}; {fix}")
        if self.is_int and not freq.is_int:
            fix = f"pass an int step such as freq=1, or convert with pd.to_datetime(df[{column!r}])"
            raise FrequencyError(
                f"freq={freq.text!r} needs datetimes, but {column!r} holds {self.dtype}; {fix}"
            )

    def local(self, times: I64) -> I64:
        """Return UTC counts of `unit` as wall-clock counts of the zone."""
        return times if self.tz is None else _to_wall(times, self.unit, self.tz)


def read_clock(column: pd.Series[Any], ids: pd.Series[Any]) -> Clock:
    """Return the time column as integers.

    Raises
    ------
    ColumnError
        Missing or unreadable time stamps, mixed time zones, a dtype that is no time; names the first bad row.
    """
    name = str(column.name)
    plain = _plain_dates(column, ids)
    if pd.api.types.is_integer_dtype(plain.dtype):
        _no_missing(plain, ids)
        return Clock(np.ascontiguousarray(plain.to_numpy(dtype=np.int64)), "", None, str(plain.dtype))
    if not pd.api.types.is_datetime64_any_dtype(plain.dtype):
        fix = f"convert with df[{name!r}] = pd.to_datetime(df[{name!r}])"
        if isinstance(plain.dtype, pd.PeriodDtype):
            fix = f"convert with df[{name!r}] = df[{name!r}].dt.to_timestamp()"
        raise ColumnError(f"column {name!r} holds {plain.dtype}, needs datetimes or ints; {fix}")
    _no_missing(plain, ids)
    index = pd.DatetimeIndex(plain)
    clock = Clock(np.ascontiguousarray(index.asi8), index.unit, *_zone(index, name))
    limit = np.int64(2**63 - 1) // clock.scale
    far = np.flatnonzero((clock.times > limit) | (clock.times < -limit))
    if len(far):
        what = f"{plain.iloc[far[0]]} at row {far[0]} (series {ids.iloc[far[0]]!r})"
        raise ColumnError(f"column {name!r} leaves the years 1678 to 2261: {what}; drop or correct such rows")
    return clock


def stamps(times: I64, freq: Freq, schema: Schema) -> pd.Series[Any]:
    """Return times of the grid as a column like that of the caller's frame: dtype, unit and time zone.

    Parameters
    ----------
    times
        (m,) in the integer units of `freq`; not-a-time becomes NaT. Wall-clock times that a zone skips
        become the first time after the gap, those that occur twice the first of both.
    """
    if freq.is_int:
        return pd.Series(times.astype(np.int64)).astype(pd.api.types.pandas_dtype(schema.time_dtype))
    unit = re.sub(r".*\[(\w+)\](\[pyarrow\])?$", r"\1", schema.time_dtype)
    index = pd.DatetimeIndex(times.view("M8[ns]")).as_unit(unit)  # type: ignore[arg-type]  # one of s, ms, us, ns
    if schema.tz is not None and freq.wall:
        first = np.ones(len(index), dtype=np.bool_)
        index = index.tz_localize(schema.tz, ambiguous=first, nonexistent="shift_forward")
    elif schema.tz is not None:
        index = index.tz_localize("UTC").tz_convert(schema.tz)
    return pd.Series(index, copy=False)


def show(time: int, freq: Freq) -> str:
    """Return one time of the grid as text for a message."""
    if freq.is_int:
        return str(time)
    text = str(pd.Timestamp(time)) if time != NOT_A_TIME else "NaT"
    return text.removesuffix(" 00:00:00")


def _no_missing(column: pd.Series[Any], ids: pd.Series[Any]) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        name = str(column.name)
        raise ColumnError(
            f"column {name!r} has {int(missing.sum())} missing time stamps, the first at row {row} "
            f"(series {ids.iloc[row]!r}); drop them with df.dropna(subset=[{name!r}])"
        )


def _zone(index: pd.DatetimeIndex, name: str) -> tuple[str | None, str]:
    dtype = f"datetime64[{index.unit}]"
    if index.tz is None:
        return None, dtype
    zone = str(index.tz)
    try:
        pd.DatetimeTZDtype("ns", zone)
    except (TypeError, ValueError, KeyError):
        fix = f"name it: df[{name!r}] = df[{name!r}].dt.tz_convert('Europe/Berlin')"
        raise ColumnError(f"column {name!r} has a time zone without a name, {zone}; {fix}") from None
    return zone, dtype


def _plain_dates(column: pd.Series[Any], ids: pd.Series[Any]) -> pd.Series[Any]:
    """Turn text, objects and Arrow dates into a datetime column; leave the others."""
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype):
        kind = dtype.kind
        if kind == "M" or str(dtype).startswith("date"):
            return pd.Series(pd.DatetimeIndex(column), name=column.name)
        return _parsed(column, ids) if kind in "OU" else column
    if isinstance(dtype, pd.StringDtype):
        return _parsed(column, ids)
    if pd.api.types.is_object_dtype(dtype):
        _one_zone_of_objects(column)
        found = column.dropna()
        if found.map(type).isin((int, np.int64)).all():
            return column if len(found) < len(column) else column.astype("int64")
        return _parsed(column, ids)
    return column


def _one_zone_of_objects(column: pd.Series[Any]) -> None:
    zones = dict.fromkeys(
        str(z) if (z := getattr(t, "tzinfo", None)) else "none" for t in column if hasattr(t, "tzinfo")
    )
    if len(zones) > 1:
        _mixed(column, list(zones))


def _mixed(column: pd.Series[Any], zones: list[str]) -> None:
    name, shown = str(column.name), ", ".join(map(repr, zones[:4]))
    fix = (
        f"bring all to one: df[{name!r}] = pd.to_datetime(df[{name!r}], utc=True).dt.tz_convert({zones[0]!r})"
    )
    if "none" in zones:
        fix = f"'none' has no zone: give every stamp one, then pd.to_datetime(df[{name!r}], utc=True)"
    raise ColumnError(f"column {name!r} mixes time zones ({shown}); {fix}")


def _parsed(column: pd.Series[Any], ids: pd.Series[Any]) -> pd.Series[Any]:
    """Parse ISO 8601 text or date objects; every value must parse, and all must share one zone."""
    text = column.map(lambda value: value if isinstance(value, str) else None).dropna().astype(object)
    if len(text):
        hits = [_ZONED.search(value) for value in text]
        zones = dict.fromkeys(hit[1] if hit else "none" for hit in hits)
        if len(zones) > 1:
            _mixed(column, list(zones))
    values = column.astype(object)
    parsed = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    bad = (parsed.isna() & values.notna()).to_numpy()
    number = values.map(lambda value: isinstance(value, (int, float)) and value == value)
    bad = bad | number.to_numpy(dtype=np.bool_)
    if bad.any():
        row, name = int(bad.argmax()), str(column.name)
        raise ColumnError(
            f"column {name!r} holds {values.iloc[row]!r} at row {row} (series {ids.iloc[row]!r}), which is "
            f"no ISO 8601 date; convert with df[{name!r}] = pd.to_datetime(df[{name!r}], format=...)"
        )
    return pd.to_datetime(values, format="ISO8601")


def _to_wall(times: I64, unit: str, tz: str) -> I64:
    """UTC counts as wall-clock counts.

    Where a zone skips midnight, the day begins at the end of the gap; such a stamp stands for midnight.
    """
    utc = pd.DatetimeIndex(times.view(f"M8[{unit}]")).tz_localize("UTC")
    wall = np.array(utc.tz_convert(tz).tz_localize(None).asi8)
    day = NS_DAY // _NS[unit]
    if len(wall) == 0 or wall[0] % day:
        return wall
    late = np.flatnonzero(wall % day)
    if len(late):
        before = utc[late] - pd.Timedelta(1, unit=unit)  # type: ignore[arg-type]  # one of s, ms, us, ns
        eve = before.tz_convert(tz).tz_localize(None).as_unit(unit).asi8 + 1  # type: ignore[arg-type]  # likewise
        skipped = (eve % day == 0) & (eve < wall[late])
        wall[late[skipped]] = eve[skipped]
    return wall
