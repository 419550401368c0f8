"""The array `x` of a graph: regressors by name from the caller, calendar terms from the times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import RegressorError
from .grid import Grid
from .schema import ExogInfo

F64 = NDArray[np.float64]

# What a caller may give: a value, or values oldest first, by name.
Given = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1)  # by the clock on the wall


def read_columns(X: Given | None, exog: Sequence[ExogInfo], rows: int, least: int) -> F64:
    """Return the last `rows` rows of the regressors by name, (rows, K), oldest first; computed ones are zero.

    Parameters
    ----------
    X
        A number or values (m,) oldest first by name, m >= `least`; names that no column has are ignored.
    rows
        As many rows as are wanted; where fewer are given, the first ones are NaN.

    Raises
    ------
    RegressorError
        A column is missing, too short, or holds what is no finite number: the message names it.
    """
    out = np.full((rows, len(exog)), np.nan)
    missing = [column.name for column in exog if not column.computed and column.name not in (X or {})]
    if missing:
        raise RegressorError(f"the regressors {missing} are missing; given: {sorted(X or {})}")
    for j, column in enumerate(exog):
        if column.computed:
            out[:, j] = 0.0
            continue
        values = _values(column.name, (X or {})[column.name])
        if len(values) < least:
            raise RegressorError(f"regressor {column.name!r} has {len(values)} values, needs {least} or more")
        kept = min(rows, len(values))
        if kept:
            out[rows - kept :, j] = values[len(values) - kept :]
    return out


def _values(name: str, given: object) -> F64:
    try:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        raise RegressorError(
            f"regressor {name!r} holds what is no number: {given!r:.80}", "wrong_type"
        ) from None
    if values.ndim != 1 or not np.isfinite(values).all():
        raise RegressorError(f"regressor {name!r} must be finite numbers (m,), oldest first", "not_finite")
    return values


def fill_calendar(x: F64, exog: Sequence[ExogInfo], grid: Grid, origin: int, first: int) -> None:
    """Write the computed columns of `x` (rows, K), whose first row is `first` points after `origin`."""
    fields: dict[str, list[int]] = {}
    for j, column in enumerate(exog):
        if not column.computed:
            continue
        name, value = column.name.removeprefix("calendar(").removesuffix(")").split(",")
        if name not in fields:
            fields[name] = [calendar_field(name, grid, origin, first + k) for k in range(len(x))]
        x[:, j] = [found == int(value) for found in fields[name]]


def calendar_field(name: str, grid: Grid, origin: int, k: int) -> int:
    """Return the hour (0 to 23), weekday (Monday is 0) or month (1 to 12) `k` points after `origin`."""
    when = _EPOCH + timedelta(milliseconds=grid.calendar_clock(grid.wall_time(origin, k)))
    return {"hour": when.hour, "dayofweek": when.weekday(), "month": when.month}[name]
