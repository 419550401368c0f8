"""Panel and forecasts to long frames, with the types of the caller's frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.models.clock import stamps
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.schema import Schema
from forecast.types import F64, I64


def id_column(ids: NDArray[np.object_], counts: int | I64, schema: Schema) -> pd.Series[Any]:
    """Return each id `counts` times (one number, or one for each id), in the dtype of the caller's column."""
    rows = np.repeat(np.arange(len(ids)), counts)
    if schema.id_dtype == "category":
        dtype = pd.CategoricalDtype(pd.Index(_categories(ids, schema)), ordered=schema.ordered)
        return pd.Series(pd.Categorical(list(ids), dtype=dtype).take(rows))
    if schema.id_dtype == "object":
        return pd.Series(ids[rows], dtype=object)
    try:
        once = pd.array(list(ids), dtype=schema.id_dtype)  # type: ignore[call-overload]  # a name, known at run time
    except (TypeError, ValueError):  # a dtype of another pandas, or ids that came later and do not fit
        return pd.Series(ids[rows], dtype=object)
    return pd.Series(once.take(rows))


def _categories(ids: NDArray[np.object_], schema: Schema) -> list[Any]:
    """Return the caller's categories, and after them ids that came later."""
    return list(dict.fromkeys([*(schema.categories or ()), *ids]))


def to_frame(
    ids: NDArray[np.object_],
    end: I64,
    freq: Freq,
    h: int,
    columns: Mapping[str, F64],
    schema: Schema,
) -> pd.DataFrame:
    """Return the long frame of forecasts: h rows for each series, in the order of `ids`.

    Parameters
    ----------
    ids
        (n,) unique ids.
    end
        (n,) time of the last point before the forecasts, in the integer units of `freq`.
    h
        Horizon, >= 1.
    columns
        (n, h) arrays by the name of their column.
    schema
        Names and dtypes of the caller's frame. The columns are id, time, then those of `columns`.

    Raises
    ------
    InputError
        An array is not (n, h).
    """
    times = freq.times(end[:, None], np.arange(1, h + 1, dtype=np.int64)[None, :])
    if (np.diff(times, axis=1, prepend=end[:, None]) <= 0).any():
        raise InputError(
            f"h={h} reaches beyond the last time that can be written (2262-04-11 for dates); lower h"
        )
    frame = {schema.id_col: id_column(ids, h, schema), schema.time_col: stamps(times.ravel(), freq, schema)}
    for name, values in columns.items():
        if values.shape != (len(ids), h):
            raise InputError(f"column {name!r} has shape {values.shape}, needs ({len(ids)}, {h})")
        frame[name] = pd.Series(values.ravel(), copy=False)
    return pd.DataFrame(frame, copy=False)


def panel_to_frame(panel: Panel, schema: Schema, columns: Mapping[str, F64] | None = None) -> pd.DataFrame:
    """Return the long frame of a panel: every grid point, gaps as NaN; the inverse of `to_panel`.

    Parameters
    ----------
    panel
        Series to write.
    schema
        From `to_panel`.
    columns
        (N,) arrays aligned with ``panel.values``, by column name; by default target and regressors.
    """
    lengths = panel.lengths
    nth = np.arange(len(panel.values), dtype=np.int64) - np.repeat(panel.indptr[:-1], lengths)
    times = panel.freq.times(np.repeat(panel.start, lengths), nth)
    if columns is None:
        columns = {schema.target_col: panel.values, **panel.exog}  # noqa: PD011  # an array of ours
    frame = {
        schema.id_col: id_column(panel.ids, lengths, schema),
        schema.time_col: stamps(times, panel.freq, schema),
        **{name: pd.Series(values.copy(), copy=False) for name, values in columns.items()},
    }
    return pd.DataFrame(frame, copy=False)
