"""The array `x` of a graph: regressors by name from the caller, calendar terms from the times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def read_window(X: Given | None, exog: Sequence[ExogInfo], rows: int, least: int) -> F64:
    """Return the last `rows` values of every column, (rows, K), oldest first; computed columns are zero.

    Parameters
    ----------
    X
        Values (m,) oldest first by name, m >= `least`; names that no column has are ignored.
    rows
        Where fewer are given, the first ones are NaN.

    Raises
    ------
    RegressorError
        A column is missing, too short, or holds what is no finite number: the message names it.
    """
    out = np.full((rows, len(exog)), np.nan)
    for j, values in _by_column(X, exog):
        if len(values) < least:
            raise RegressorError(f"regressor {exog[j].name!r} has {len(values)} values, needs {least}")
        kept = min(rows, len(values))
        out[rows - kept :, j] = values[len(values) - kept :]
    return out


def read_tick(X: Given | None, exog: Sequence[ExogInfo], horizon: int) -> F64:
    """Return the values at a tick and after it, (1 + horizon, K); computed columns are zero.

    The first value by name is that of the tick, the others are those of the next points. Where they end
    before the horizon, the last one stands for the rest, as the stream does by default.

    Raises
    ------
    RegressorError
        A column is missing, empty, or holds what is no finite number.
    """
    out = np.zeros((1 + horizon, len(exog)))
    for j, values in _by_column(X, exog):
        if not len(values):
            raise RegressorError(f"regressor {exog[j].name!r} has no value for the tick")
        kept = min(len(values), 1 + horizon)
        out[:kept, j], out[kept:, j] = values[:kept], values[kept - 1]
    return out


def _by_column(X: Given | None, exog: Sequence[ExogInfo]) -> Iterator[tuple[int, F64]]:
    given = {} if X is None else X
    if not isinstance(given, Mapping):
        raise RegressorError(f"X must map names to values, got {type(given).__name__}", "wrong_type")
    missing = [column.name for column in exog if not column.computed and column.name not in given]
    if missing:
        raise RegressorError(f"the regressors {missing} are missing; given: {sorted(map(str, given))}")
    for j, column in enumerate(exog):
        if not column.computed:
            yield j, _values(column.name, given[column.name])


def _values(name: str, given: object) -> F64:
    try:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise RegressorError(f"regressor {name!r} is no number: {given!r:.80}", "wrong_type") from None
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
