"""The deterministic part m_t: constant, slope, season and regressors, ahead and over the past."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from forecast.errors import FutureExogError, InputError
from forecast.models.assemble import lagged_names
from forecast.models.computed import Moments, computed_values, is_computed
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.types import F64, I64


def deterministic_path(records: Records, h: int, exog: Mapping[str, F64] | None = None) -> F64:
    """m_t of the next `h` steps, t = nobs + 1 .. nobs + h.

    Parameters
    ----------
    exog
        Future regressors by name, (n, h) each; more names than the model has are ignored.

    Returns
    -------
    (n, h) in units of w. A regressor whose coefficient is 0 does not count, even where it is NaN.

    Raises
    ------
    FutureExogError
        A regressor that the model needs is not in `exog`.
    InputError
        One has another shape.
    """
    t = records.nobs[:, None] + np.arange(1, h + 1)
    m = records.const[:, None] + records.slope[:, None] * t
    if records.seasonal.shape[1]:
        season = (t - 1) % _season(records)[:, None]
        m += np.take_along_axis(records.seasonal, season, axis=1)
    for j in range(len(records.exog)):
        beta = records.beta[:, j, None]
        m += np.where(beta == 0, 0.0, beta * exog_path(records, j, h, exog or {}))
    return m


def exog_path(records: Records, j: int, h: int, exog: Mapping[str, F64], rows: slice = slice(None)) -> F64:
    """(rows, h) term `j` of the regressors over the next `h` steps; a lagged one begins in `exog_tail`."""
    term = records.exog[j]
    if is_computed(term.name):
        ahead = records.nobs[rows, None] + np.arange(h)
        return computed_values(term.name, records.freq, records.start[rows, None], ahead)
    if term.lag >= h:  # nothing of the future enters
        return _tail(records, term.name)[rows, term.lag - h : term.lag][:, ::-1]
    if term.name not in exog:
        raise FutureExogError(f"regressor {term.name!r} has no future values; given: {sorted(exog)}")
    future = np.asarray(exog[term.name], dtype=np.float64)
    if future.shape != (records.n_series, h):
        raise InputError(f"future {term.name!r} has shape {future.shape}, needs {(records.n_series, h)}")
    if term.lag == 0:
        return future[rows]
    past = _tail(records, term.name)[rows, : term.lag][:, ::-1]
    return np.concatenate([past, future[rows, : h - term.lag]], axis=1)


def deterministic_in_sample(records: Records, panel: Panel) -> F64:
    """m_t at the points of `panel`, whose series stand in the order of `records`.

    Returns
    -------
    (N,) aligned with ``panel.values``, units of w. A lagged regressor is NaN at the first points, where
    its past is not in the panel. A panel that begins later than the record counts t from the record.
    """
    row = np.repeat(np.arange(panel.n_series), panel.lengths)
    age = np.arange(len(panel.values)) - panel.indptr[row]  # points since the start of the series
    t = age + 1 + _offset(records, panel)[row]
    m = records.const[row] + records.slope[row] * t
    if records.seasonal.shape[1]:
        m += records.seasonal[row, (t - 1) % _season(records)[row]]
    when = Moments(records.freq, records.start[row], t - 1)
    for j, term in enumerate(records.exog):
        if is_computed(term.name):
            m += records.beta[row, j] * when.values(term.name)
            continue
        if term.name not in panel.exog:
            raise InputError(f"regressor {term.name!r} is not in the panel; it has {sorted(panel.exog)}")
        beta = records.beta[row, j]
        x = lagged(panel.exog[term.name], age, term.lag)
        m += np.where(beta == 0, 0.0, beta * x)
    return m


def lagged(column: F64, age: I64, lag: int) -> F64:
    """(N,) the ragged `column` `lag` points back; NaN where `age` says the series had not begun."""
    if lag == 0:
        return column
    out = np.full(len(column), np.nan)
    out[lag:] = column[:-lag]
    out[age < lag] = np.nan
    return out


def _season(records: Records) -> I64:
    """(n,) season length; 1 where there is none, so that it divides."""
    return np.maximum(records.season_length, 1).astype(np.int64)


def _tail(records: Records, name: str) -> F64:
    return records.exog_tail[:, lagged_names(records.exog).index(name)]


def _offset(records: Records, panel: Panel) -> I64:
    """(n,) grid points between the start of the record and the start of the panel."""
    if np.array_equal(panel.start, records.start):
        return np.zeros(panel.n_series, dtype=np.int64)
    return records.freq.positions(panel.start, records.start)[0]
