"""Which series of a panel a model can be fitted to, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.kernels.summary import summarise
from forecast.models.panel import Panel
from forecast.models.scaling import rescale
from forecast.types import F64, I64, U8, Status


@dataclass(frozen=True, slots=True, eq=False)
class Triage:
    """Values in safe units, and a status a series."""

    values: F64
    """(N,) in units of `scale`."""
    scale: F64
    status: U8
    observed: I64
    messages: dict[int, str]

    def complete(self, panel: Panel) -> I64:
        """Rows to fit that have no gap."""
        return np.flatnonzero((self.status < Status.GUARDED) & (self.observed == panel.lengths))

    def gapped(self, panel: Panel) -> I64:
        """Rows to fit that have gaps."""
        return np.flatnonzero((self.status < Status.GUARDED) & (self.observed < panel.lengths))

    def hopeless(self) -> I64:
        """Rows that a baseline has to forecast."""
        return np.flatnonzero(self.status >= Status.GUARDED)

    def reject(self, rows: I64, status: Status, message: str) -> None:
        """Give `rows` up, with the reason."""
        self.status[rows] = status
        for row in rows:
            self.messages[int(row)] = message


def triage(panel: Panel, min_observed: int = 3) -> Triage:
    """Look at every series once.

    Parameters
    ----------
    min_observed
        Fewer observed points than this cannot carry the model.
    """
    values, scale = rescale(panel)
    n = panel.n_series
    observed, low, high = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
    summarise(values, panel.indptr, observed, low, high)
    found = Triage(values, scale, panel.status.copy(), observed, dict(panel.notes))
    scaled = np.flatnonzero((scale != 1.0) & (found.status < Status.GUARDED))
    for row in scaled:
        found.status[row] = Status.RESCALED
        found.messages[int(row)] = (
            f"values of size {high[row] * scale[row]:.3g}: kept in units of {scale[row]:.6g}"
        )
    fine = found.status < Status.GUARDED
    few = fine & (observed < min_observed)
    found.reject(
        np.flatnonzero(few), Status.TOO_SHORT, f"fewer than {min_observed} observed points; naive instead"
    )
    same = fine & (low == high) & (observed > 1)
    found.reject(np.flatnonzero(same), Status.CONSTANT, "every observed value is the same; naive instead")
    found.reject(
        np.flatnonzero(fine & (observed == 0)), Status.ALL_MISSING, "no observed value: nothing to forecast"
    )
    return found
