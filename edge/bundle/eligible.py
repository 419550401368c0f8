"""Which series can be exported; the others get a reason."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.fleet import Fleet
from edge.runtime.wire import MAX_TEXT_CHARS
from forecast.errors import ForecastError
from forecast.models.assemble import take
from forecast.models.records import Records
from forecast.models.soundness import state_sizes
from forecast.types import I64, Status


def exportable(records: Records) -> tuple[I64, NDArray[np.object_]]:
    """Return the rows that can be exported, and for all rows why not ("" where they can).

    Raises
    ------
    InputError
        Two series have the same id once it is text.
    """
    reason = np.full(records.n_series, "", dtype=np.object_)
    need, _ = state_sizes(records)
    used = np.arange(records.levels.shape[1]) < need[:, None]
    lost = (~np.isfinite(records.levels) & used).any(axis=1) | (need > records.levels.shape[1])
    reason[lost] = "no level to forecast from: it has no values"
    for row, name in enumerate(records.ids.tolist()):
        if not isinstance(name, int) and not _fits(str(name)):
            reason[row] = f"a device takes ids of 1 to {MAX_TEXT_CHARS} characters without NUL"
    failed = (records.status == Status.FAILED) & (reason == "")
    reason[failed] = "its fit failed"
    rows = np.flatnonzero(reason == "").astype(np.int64)
    for row, text in _refused(records, rows):
        reason[row] = text
    return np.flatnonzero(reason == "").astype(np.int64), reason


def _fits(name: str) -> bool:
    """Tell whether ticks can name a series so."""
    return 0 < len(name) <= MAX_TEXT_CHARS and "\0" not in name


def _refused(records: Records, rows: I64) -> list[tuple[int, str]]:
    """Find the series that `Fleet.of` refuses, by halves: mostly there is none."""
    if not len(rows):
        return []
    try:
        Fleet.of(take(records, rows))
    except ForecastError as error:
        if len(rows) == 1:
            return [(int(rows[0]), str(error))]
        middle = len(rows) // 2
        found = _refused(records, rows[:middle]) + _refused(records, rows[middle:])
        if not found:  # it is about two of them: the same id, most likely
            raise
        return found
    return []
