"""Slow reference for frame -> panel: dictionaries and pandas date ranges, one series at a time."""

from __future__ import annotations

import math

import pandas as pd


def grids(df, freq):
    """{id: (times, values)} in order of appearance; times between the first and the last by `freq`."""
    series: dict = {}
    for row in df.itertuples():
        series.setdefault(row.unique_id, {})[row.ds] = row.y
    out = {}
    for unique_id, points in series.items():
        first, last = min(points), max(points)
        times = (
            range(first, last + 1, freq) if isinstance(freq, int) else pd.date_range(first, last, freq=freq)
        )
        out[unique_id] = (list(times), [points.get(t, math.nan) for t in times])
    return out


def civil(day):
    """(months since January 1970, day of the month) by the standard library."""
    import datetime as dt

    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    return (date.year - 1970) * 12 + date.month - 1, date.day
