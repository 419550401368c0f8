"""Moving fitted models on over new data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.api.fitted import Fitted
from forecast.errors import InputError, UnknownSeriesError
from forecast.models.clock import show
from forecast.models.filtering import advance
from forecast.models.frames import to_panel
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.types import I64, Status


def update(fitted: Fitted, new_df: Any) -> Fitted:  # noqa: ANN401  # a frame
    """See `Fitted.update`."""
    schema, records = fitted.schema, fitted.records[0]
    new, seen = to_panel(
        new_df, _freq(records), schema.exog,
        id_col=schema.id_col, time_col=schema.time_col, target_col=schema.target_col,
    )  # fmt: skip
    if seen.tz != schema.tz:
        have, need = seen.tz or "no time zone", schema.tz or "no time zone"
        raise InputError(
            f"column {schema.time_col!r} of the new data has {have}, the fit {need}; make them equal"
        )
    panel = follow(records, new)
    return replace(fitted, records=tuple(advance(each, panel) for each in fitted.records))


def _freq(records: Records) -> str | int:
    return int(records.freq.text) if records.freq.is_int else records.freq.text


def follow(records: Records, new: Panel) -> Panel:
    """Lay new rows on the grid that continues each record: all its series, in its order.

    Raises
    ------
    InputError, UnknownSeriesError
        See `Fitted.update`.
    """
    where = pd.Index(records.ids, dtype=object).get_indexer(pd.Index(new.ids, dtype=object))
    if (where < 0).any():
        unknown = [str(i) for i in new.ids[where < 0][:5]]
        raise UnknownSeriesError(
            f"{(where < 0).sum()} series were not fitted: {', '.join(unknown)}; fit them first"
        )
    _check_rows(new)
    expected = records.freq.times(records.start, records.nobs.astype(np.int64))
    offset, on_grid = records.freq.positions(new.start, expected[where])
    wrong = np.flatnonzero((offset < 0) | ~on_grid)
    if wrong.size:
        i = int(wrong[0])
        have, need = show(int(new.start[i]), new.freq), show(int(expected[where[i]]), new.freq)
        raise InputError(
            f"series {new.ids[i]!r} has a new row at {have}, but the next time it can take is {need} "
            f"({wrong.size} series do not follow); leave out rows that were seen already"
        )
    lengths = np.zeros(records.n_series, dtype=np.int64)
    lengths[where] = offset + new.lengths
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = _positions(indptr, where, offset, new)
    exog = {name: _scatter(column, at, indptr[-1]) for name, column in new.exog.items()}
    return Panel(_scatter(new.values, at, indptr[-1]), indptr, records.ids, expected, records.freq, exog)


def _check_rows(new: Panel) -> None:
    for status, what in (
        (Status.IRREGULAR_CLOCK, "times off the grid"),
        (Status.NOT_FINITE, "infinite values"),
    ):
        bad = np.flatnonzero(new.status == status)
        if bad.size:
            raise InputError(
                f"new rows of {bad.size} series have {what}, first {new.ids[bad[0]]!r}; mend them first"
            )


def _positions(indptr: I64, where: I64, offset: I64, new: Panel) -> I64:
    first = indptr[where] + offset
    return np.repeat(first - new.indptr[:-1], new.lengths) + np.arange(len(new.values), dtype=np.int64)


def _scatter(
    column: np.ndarray[Any, np.dtype[np.float64]], at: I64, size: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    out = np.full(int(size), np.nan)
    out[at] = column
    return out
