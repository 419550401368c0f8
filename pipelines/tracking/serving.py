"""Answer a frame of questions from a fitted model: what the logged model does, without MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from forecast.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from forecast.api.fitted import Fitted
    from forecast.models.records import Records


def answer(fitted: Fitted, asked: pd.DataFrame, h: int, level: Sequence[float]) -> pd.DataFrame:
    """Forecast the series that a frame names.

    Parameters
    ----------
    asked
        The id column, one row a series, and maybe `h`, that series' own horizon. For a model with
        regressors: ids, times and regressors, h rows a series.
    h
        Horizon where `asked` holds none.
    level
        Coverage of intervals in percent; may be empty.

    Returns
    -------
    DataFrame
        As `Fitted.predict`, series in the order of `asked`.

    Raises
    ------
    InputError
        No id column, an unknown id, an id twice, a horizon below 1.
    """
    schema = fitted.schema
    if schema.id_col not in asked:
        raise InputError(f"the frame needs a column {schema.id_col!r}")
    ids = asked[schema.id_col]
    future = asked.drop(columns="h", errors="ignore") if schema.exog else None
    own = asked["h"].astype("int64").to_numpy() if "h" in asked and not schema.exog else None
    some = only(fitted, list(ids.drop_duplicates() if schema.exog else ids))
    steps = h if own is None or not len(own) else int(own.max())
    frame = some.predict(steps, level=list(level) or None, X_df=future)
    if own is None:
        return frame
    if len(own) and own.min() < 1:
        raise InputError(f"h must be 1 or more, got {own.min()}")
    step = frame.groupby(schema.id_col, sort=False, observed=True).cumcount().to_numpy()
    return frame[step < own.repeat(steps)].reset_index(drop=True)


def only(fitted: Fitted, ids: list[str | int]) -> Fitted:
    """Return the model of some series, in the given order."""
    import numpy as np

    from forecast.models.assemble import take

    if len(set(ids)) < len(ids):
        raise InputError("a series is asked for twice")

    def rows(records: Records) -> Records:
        where = {key: row for row, key in enumerate(records.ids)}
        unknown = [key for key in ids if key not in where]
        if unknown:
            raise InputError(f"the model has no series {unknown[0]!r} ({len(unknown)} unknown)")
        return take(records, np.array([where[key] for key in ids], dtype=np.int64))

    return replace(fitted, records=tuple(rows(records) for records in fitted.records), panel=None)
