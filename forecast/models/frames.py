"""Long frame to panel: the one conversion, and the place where input is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ColumnError, InputError, nearest
from forecast.kernels.calendar import NS_DAY
from forecast.models.cadence import common_step, infer_freq
from forecast.models.clock import Clock, read_clock
from forecast.models.columns import as_pandas, numbers, read_ids
from forecast.models.freq import Freq, parse_freq
from forecast.models.layout import lay_out
from forecast.models.panel import Panel
from forecast.models.rows import DUPLICATES, SHOWN_KEYS, Duplicates, Rows, sorted_rows, unique_rows
from forecast.models.schema import Schema
from forecast.types import F64

# Rows that are read to infer a frequency.
_INFER_ROWS = 100_000


def to_panel(
    df: object,
    freq: object = None,
    exog: Sequence[str] = (),
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    duplicates: Duplicates = "raise",
) -> tuple[Panel, Schema]:
    """Return the panel of a long frame, and what is needed to write results in the same form.

    Rows may come in any order; series keep the order of their first appearance. A time that is missing from
    the grid becomes a NaN point. Columns that are neither named nor listed in `exog` are not used.

    Parameters
    ----------
    df
        pandas DataFrame, pyarrow Table, or an object with an Arrow stream; never changed.
    freq
        See `parse_freq`; None infers it (then `Schema.freq_inferred`).
    exog
        Names of the regressors. Their values must be finite; at a grid point that the frame
        lacks they are NaN.
    id_col, time_col, target_col
        Names of the columns.
    duplicates
        Two rows for one (id, time): "raise", keep the "last" in the input, or take the
        "mean" of the observed values.

    Returns
    -------
    Panel, Schema
        Statuses: ALL_MISSING; NOT_FINITE (infinite values, NaN in the panel); IRREGULAR_CLOCK (times off the
        grid, or so far apart that the grid would explode: the rows in order of time, laid on a grid that
        ends at the last one); GAPS (some point is NaN); OK. The first that applies.

    Raises
    ------
    InputError
        The frame is empty or no frame; exog is not finite; `duplicates` is unknown.
    ColumnError
        A column is missing or of a kind that cannot be used.
    DuplicateError
        Two rows for one (id, time) under the policy "raise".
    FrequencyError
        `freq` is unknown, does not suit the time column, or fits no series at all.
    """
    if duplicates not in DUPLICATES:
        hint = nearest(str(duplicates), DUPLICATES)
        raise InputError(f"duplicates={duplicates!r} is unknown{hint}; choose 'raise', 'last' or 'mean'")
    names = _exog_names(exog, (id_col, time_col, target_col))
    grid = None if freq is None else parse_freq(freq)
    frame = as_pandas(df, (id_col, time_col, target_col, *names))
    ids = frame[id_col]
    found = read_ids(ids)
    clock = read_clock(frame[time_col], ids)
    if grid is not None:
        clock.check(grid, time_col)
    columns = {name: numbers(frame[name], ids) for name in names}
    _check_finite(columns, ids, frame[time_col])
    columns[target_col] = numbers(frame[target_col], ids)
    rows = sorted_rows(found, clock.times, columns)
    rows = unique_rows(rows, duplicates, (id_col, time_col), clock)
    grid = _infer(clock, rows) if grid is None else parse_freq(grid, clock.tz)
    if grid.wall:
        rows = replace(rows, times=clock.local(rows.times))
    schema = _schema(frame[id_col], clock, (id_col, time_col, target_col), inferred=freq is None, exog=names)
    return lay_out(rows, grid, clock.scale, target_col), schema


def _exog_names(exog: Sequence[str], taken: Sequence[str]) -> tuple[str, ...]:
    if isinstance(exog, str):
        raise InputError(f"exog={exog!r} must be a list of names; pass exog=[{exog!r}]")
    for name in exog:
        if name in taken:
            raise ColumnError(f"exog {name!r} is the id, time or target column itself; leave it out of exog")
        if list(exog).count(name) > 1:
            raise InputError(f"exog lists {name!r} twice; leave one out")
    return tuple(exog)


def _check_finite(columns: Mapping[str, F64], ids: pd.Series[Any], times: pd.Series[Any]) -> None:
    for name, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            keys = ", ".join(f"({ids.iloc[row]!r}, {times.iloc[row]})" for row in bad[:SHOWN_KEYS])
            raise InputError(
                f"exog {name!r} has {len(bad)} NaN or infinite values, at {keys}; "
                f"fill them, drop those rows, or leave {name!r} out of exog"
            )


def _schema(
    ids: pd.Series[Any], clock: Clock, names: tuple[str, str, str], *, inferred: bool, exog: tuple[str, ...]
) -> Schema:
    dtype, name = ids.dtype, str(ids.dtype)
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        name = f"string[{dtype.storage}]"  # its own name leaves out where the text lies
    categories, ordered = None, False
    if isinstance(dtype, pd.CategoricalDtype):
        categories, ordered = tuple(dtype.categories.tolist()), bool(dtype.ordered)
    return Schema(*names, name, categories, ordered, clock.dtype, clock.tz, inferred, exog)


def _infer(clock: Clock, rows: Rows) -> Freq:
    """Infer from the first rows, from all of them when those hold no two times of one series."""
    for limit in (_INFER_ROWS, len(rows.times)):
        times = rows.times[:limit]
        inner = rows.indptr[(rows.indptr > 0) & (rows.indptr < len(times))]
        indptr = np.concatenate([[0], inner, [len(times)]]).astype(np.int64)
        if common_step(times, indptr):
            break
    if clock.is_int:
        return infer_freq(times, indptr, integer=True)
    wall = clock.local(times) * clock.scale
    if common_step(wall, indptr) >= NS_DAY:
        return infer_freq(wall, indptr, integer=False, tz=clock.tz)
    return infer_freq(times * clock.scale, indptr, integer=False, tz=clock.tz)
