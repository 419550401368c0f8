"""Future regressors: aligned by name and by (unique_id, ds), never by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import ColumnError, DuplicateError, FutureExogError, InputError
from forecast.models.clock import Clock, read_clock, show
from forecast.models.columns import as_pandas, numbers, read_ids
from forecast.models.freq import Freq
from forecast.models.rows import SHOWN_KEYS
from forecast.models.schema import Schema
from forecast.types import F64, I64, Bool


def future_exog(
    ids: NDArray[np.object_],
    end: I64,
    freq: Freq,
    h: int,
    names: Sequence[str],
    X_df: object | None,
    schema: Schema,
) -> Mapping[str, F64]:
    """Return the (n, h) future values of every regressor.

    Columns and rows may come in any order; other ids, other times and other columns are not used.

    Parameters
    ----------
    ids
        (n,) unique ids.
    end
        (n,) time of the last point before the forecasts, in the integer units of `freq`.
    h
        Horizon, >= 1.
    names
        Regressors of the model.
    X_df
        Frame with the id and time columns of the training frame and one column for each regressor.
    schema
        From `to_panel`.

    Raises
    ------
    InputError
        `X_df` is given though the model has no regressors.
    FutureExogError
        `X_df` is absent, lacks a column (names the nearest), lacks keys (lists the first of them and their
        number), or holds NaN or infinite values at needed keys.
    ColumnError
        Ids or times cannot be read, or a regressor is not numeric.
    DuplicateError
        Two rows for one needed key.
    """
    if not names:
        if X_df is not None:
            raise InputError(
                "X_df is given, but the model was fitted without exog; pass X_df=None, or fit with exog=[...]"
            )
        return {}
    if X_df is None:
        raise FutureExogError(
            f"the model was fitted with exog {list(names)}; pass their future values: X_df=..."
        )
    frame = _frame(X_df, names, schema)
    clock = read_clock(frame[schema.time_col], frame[schema.id_col])
    row, step = _aligned(frame[schema.id_col], clock, ids, end, freq, h, schema)
    _check_keys(row, step, ids, end, freq, h)
    out: dict[str, F64] = {}
    for name in names:
        values = numbers(frame[name], frame[schema.id_col])
        out[name] = np.empty((len(ids), h))
        out[name][row[step >= 0], step[step >= 0]] = values[step >= 0]
        _check_values(name, ~np.isfinite(out[name]), ids, end, freq)
    return out


def _frame(X_df: object, names: Sequence[str], schema: Schema) -> pd.DataFrame:
    try:
        return as_pandas(X_df, (schema.id_col, schema.time_col, *names))
    except ColumnError as error:
        raise FutureExogError(f"X_df: {error}; it needs {[schema.id_col, schema.time_col, *names]}") from None


def _aligned(
    column: pd.Series[Any],
    clock: Clock,
    ids: NDArray[np.object_],
    end: I64,
    freq: Freq,
    h: int,
    schema: Schema,
) -> tuple[I64, I64]:
    """Series and step (from 0) of every row; step -1 where the row is not needed."""
    clock.check(freq, schema.time_col)
    if (clock.tz is None) != (schema.tz is None):
        have, need = clock.tz or "no time zone", schema.tz or "no time zone"
        raise FutureExogError(
            f"X_df column {schema.time_col!r} has {have}, the training frame {need}; make them equal"
        )
    times = clock.times
    if freq.wall and schema.tz is not None:
        times = Clock(times, clock.unit, schema.tz, clock.dtype).local(times)
    found = read_ids(column)
    series = pd.Index(ids, dtype=object).get_indexer(pd.Index(found.ids, dtype=object))
    row = np.repeat(np.asarray(series, np.int64)[found.codes], np.diff(found.starts))
    step = np.full(len(row), -1, np.int64)
    known = row >= 0
    if known.any():
        place, on = freq.positions(times[known] * clock.scale, end[row[known]])
        step[known] = np.where(on & (place >= 1) & (place <= h), place - 1, -1)
    return row, step


def _check_keys(row: I64, step: I64, ids: NDArray[np.object_], end: I64, freq: Freq, h: int) -> None:
    needed = step >= 0
    seen = np.bincount(row[needed] * h + step[needed], minlength=len(ids) * h).reshape(len(ids), h)
    if (seen > 1).any():
        keys = _keys(seen > 1, ids, end, freq)
        raise DuplicateError(
            f"X_df has several rows for {int((seen > 1).sum())} (id, time): {keys}; drop all but one"
        )
    if (seen == 0).any():
        missing = int((seen == 0).sum())
        hint = "" if (row >= 0).any() else "; no id of X_df is known: compare the dtypes of the id columns"
        raise FutureExogError(
            f"X_df lacks {missing} of the {seen.size} needed (id, time): "
            f"{_keys(seen == 0, ids, end, freq)}; add them{hint}"
        )


def _check_values(name: str, bad: Bool, ids: NDArray[np.object_], end: I64, freq: Freq) -> None:
    if bad.any():
        keys = _keys(bad, ids, end, freq)
        raise FutureExogError(
            f"X_df column {name!r} has {int(bad.sum())} NaN or infinite values, at {keys}; fill them"
        )


def _keys(where: Bool, ids: NDArray[np.object_], end: I64, freq: Freq) -> str:
    """Return the first few (id, time) of an (n, h) mask, as text."""
    rows, steps = (index[:SHOWN_KEYS] for index in np.nonzero(where))
    times = freq.times(end[rows], steps + 1)
    shown = ", ".join(f"({ids[i]!r}, {show(int(t), freq)})" for i, t in zip(rows, times, strict=True))
    return shown + (", ..." if where.sum() > SHOWN_KEYS else "")
