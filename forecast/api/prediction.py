"""Forecasts and paths as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.api.arguments import check_horizon, check_levels
from forecast.api.fitted import Fitted
from forecast.errors import InputError
from forecast.models.filtering import innovations
from forecast.models.forecasting import Forecasts, forecast
from forecast.models.future import future_exog
from forecast.models.output import to_frame
from forecast.models.records import Records
from forecast.models.simulation import Residuals, bootstrap_intervals
from forecast.models.simulation import simulate as draw
from forecast.types import F64, I64


def predict(
    fitted: Fitted,
    h: int,
    level: float | Sequence[float] | None,
    X_df: Any,  # noqa: ANN401  # a frame
    intervals: str,
    n_paths: int,
    seed: int,
) -> pd.DataFrame:
    """See `Fitted.predict`."""
    h, levels = check_horizon(h), check_levels(level)
    if intervals not in ("gaussian", "bootstrap"):
        raise InputError(f"intervals must be 'gaussian' or 'bootstrap', got {intervals!r}")
    if intervals == "bootstrap" and fitted.panel is None:
        raise InputError("bootstrapped intervals need the training data, which a loaded model does not hold")
    future = _future(fitted, h, X_df)
    columns: dict[str, F64] = {}
    for model, records in zip(fitted.models, fitted.records, strict=True):
        exog = _of(records, future)
        if intervals == "gaussian" or not levels:
            ahead = forecast(records, h, levels, exog, fitted.n_jobs)
        else:
            resid = _residuals(fitted, records)
            ahead = bootstrap_intervals(records, h, levels, resid, n_paths, seed, exog, fitted.n_jobs)
        columns |= interval_columns(model.alias, ahead)
    records = fitted.records[0]
    return to_frame(records.ids, last_times(records), records.freq, h, columns, fitted.schema)


def simulate(fitted: Fitted, h: int, n_paths: int, seed: int, X_df: Any) -> pd.DataFrame:  # noqa: ANN401  # a frame
    """See `Fitted.simulate`."""
    h = check_horizon(h)
    future = _future(fitted, h, X_df)
    records = fitted.records[0]
    frame: pd.DataFrame | None = None
    for model, each in zip(fitted.models, fitted.records, strict=True):
        paths = draw(each, h, n_paths, seed, _of(each, future), parameters=True, jobs=fitted.n_jobs)
        if frame is None:
            step = np.broadcast_to(np.arange(h), paths.shape).reshape(len(paths), -1)
            frame = _long(records, h, n_paths, fitted, step)
        frame[model.alias] = paths.ravel()
    if frame is None:
        raise InputError("there is no model to simulate")
    return frame


def _long(records: Records, h: int, n_paths: int, fitted: Fitted, step: Any) -> pd.DataFrame:  # noqa: ANN401
    one = to_frame(records.ids, last_times(records), records.freq, h, {}, fitted.schema)
    n = records.n_series
    where = (np.arange(n)[:, None] * h + step).ravel()
    frame = one.iloc[where].reset_index(drop=True)
    long: pd.DataFrame = frame.assign(path=np.tile(np.repeat(np.arange(n_paths), h), n))
    return long


def interval_columns(alias: str, ahead: Forecasts) -> dict[str, F64]:
    """Columns of one model: ``Model, Model-lo-95, Model-hi-95``, narrowest level first."""
    columns = {alias: ahead.mean}
    for i, level in enumerate(ahead.levels):
        columns[f"{alias}-lo-{level:g}"] = ahead.lo[:, i]
        columns[f"{alias}-hi-{level:g}"] = ahead.hi[:, i]
    return columns


def last_times(records: Records) -> I64:
    """(n,) time of the last point each record has seen, in the units of its freq."""
    return records.freq.times(records.start, records.nobs.astype(np.int64) - 1)


def _future(fitted: Fitted, h: int, X_df: Any) -> Mapping[str, F64]:  # noqa: ANN401  # a frame
    records, schema = fitted.records[0], fitted.schema
    return future_exog(records.ids, last_times(records), records.freq, h, schema.exog, X_df, schema)


def _of(records: Records, future: Mapping[str, F64]) -> Mapping[str, F64] | None:
    return future if records.exog else None


def _residuals(fitted: Fitted, records: Records) -> Residuals:
    if fitted.panel is None:  # checked by the caller
        raise InputError("no training data")
    resid, _ = innovations(records, fitted.panel)
    return Residuals(resid, np.asarray(fitted.panel.indptr))
