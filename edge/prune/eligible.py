"""Which series have lags to prune and the data to judge by; the others get a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.prune.history import Histories, histories
from forecast.errors import InputError
from forecast.models.assemble import take
from forecast.models.computed import is_computed, with_computed
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.types import F64, I64, Bool, Status


def lag_reasons(records: Records) -> NDArray[np.object_]:
    """(n,) why the lags of a record cannot be pruned, whatever the data; "" where they can."""
    out = np.full(records.n_series, "", dtype=np.object_)
    checks = (
        (~(records.phi != 0).any(axis=1), "it has no lags"),
        (records.P > 0, "it has a seasonal factor, whose lags are products"),
        ((records.q > 0) | (records.Q > 0), "it has a moving average"),
        (records.status >= Status.GUARDED, "a baseline forecasts it"),
    )
    for found, text in checks:
        out[found] = text
    return out


def with_data(records: Records, panel: Panel, reason: NDArray[np.object_]) -> tuple[Histories, I64]:
    """Pair the records without a reason with their data.

    A series is found by its id and cut to the points that the record has seen. One whose data are not there
    is given a `reason` (in place).

    Returns
    -------
    histories, rows
        Of the series found, and their positions in `records`.
    """
    if panel.freq != records.freq:
        raise InputError(f"the panel has frequency {panel.freq.text!r}, the records {records.freq.text!r}")
    at = {key: k for k, key in enumerate(panel.ids.tolist())}
    places = np.array([at.get(key, -1) for key in records.ids.tolist()], dtype=np.int64)
    _note(reason, places < 0, "its data are not in the panel")
    _note(reason, (places >= 0) & (panel.start[places] != records.start), "its data start at another time")
    _note(reason, panel.lengths[places] < records.nobs, "its data end before the record does")
    lacking = [j for j, t in enumerate(records.exog) if not is_computed(t.name) and t.name not in panel.exog]
    for j in lacking:
        used = records.beta[:, j] != 0
        _note(reason, used, f"regressor {records.exog[j].name!r} is not in the panel")
    rows = np.flatnonzero(reason == "")
    if not rows.size:
        rows = rows[:0]
        return Histories(records, panel, np.zeros(0)), rows
    data = panel.take(places[rows]).head(records.nobs[rows].astype(np.int64))
    some = take(records, rows)
    terms = [term for term in records.exog if is_computed(term.name)]
    blank = {records.exog[j].name: np.full(len(data.values), np.nan) for j in lacking}
    return histories(some, with_computed(replace(data, exog={**data.exog, **blank}), terms)), rows


def _note(reason: NDArray[np.object_], found: Bool, text: str) -> None:
    reason[found & (reason == "")] = text


def too_few(n_rows: int, k: int) -> str:
    """Why a regression of k coefficients has too few rows to start with; "" where it has enough."""
    # Two rows a coefficient, and ten: with fewer the fits that are compared are noise.
    need = 2 * k + 10
    return "" if n_rows >= need else f"{n_rows} complete rows before the validated part, needs {need}"


def by_shape(*shapes: I64) -> list[I64]:
    """Return the positions of series of equal shape: they are computed as one batch."""
    _, group = np.unique(np.column_stack(shapes), axis=0, return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(int(group.max(initial=-1)) + 1)]


def dense(lags: I64, coef: F64, width: int) -> F64:
    """(S, width) coefficients by lag from (S, m) of the lags (S, m)."""
    out = np.zeros((len(lags), width))
    np.put_along_axis(out, lags - 1, coef, axis=1)
    return out
