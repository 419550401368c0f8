"""Which series of a panel a model can be fitted to, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.models.panel import Panel
from forecast.models.scaling import in_units, survey, units
from forecast.types import F64, I64, U8, Bool, Status

# Three equal second differences in a row: fewer happen by chance in short series of whole numbers.
_SHORTEST_LINE = 5
# a + b t in float64 is off by about one rounding, and a second difference holds four such values.
_ROUNDING = 8 * 2.0**-52


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


def triage(panel: Panel, min_observed: int = 3, jobs: int = 1) -> Triage:
    """Look at every series once.

    Parameters
    ----------
    min_observed
        Fewer observed points than this cannot carry the model.
    """
    observed, low, high = survey(panel, jobs)
    scale = units(low, high)
    values = in_units(panel, scale)
    found = Triage(values, scale, panel.status.copy(), observed, dict(panel.notes))
    scaled = np.flatnonzero((scale != 1.0) & (found.status < Status.GUARDED))
    for row in scaled:
        found.status[row] = Status.RESCALED
        found.messages[int(row)] = f"values of size {high[row]:.3g}: kept in units of {scale[row]:.6g}"
    fine = found.status < Status.GUARDED
    few = fine & (observed < min_observed)
    found.reject(
        np.flatnonzero(few), Status.TOO_SHORT, f"fewer than {min_observed} observed points; naive instead"
    )
    same = fine & (low == high) & (observed > 1)
    found.reject(np.flatnonzero(same), Status.CONSTANT, "every observed value is the same; naive instead")
    lines = np.flatnonzero(fine & ~same & exact_lines(values, panel.indptr))
    found.reject(lines, Status.CONSTANT, "every step is the same: the line is carried on (drift)")
    empty = np.flatnonzero((observed == 0) & (panel.status != Status.NOT_FINITE))
    found.reject(empty, Status.ALL_MISSING, "no observed value: nothing to forecast")
    return found


def exact_lines(values: F64, indptr: I64) -> Bool:
    """(n,) True for series that rise or fall by the same step at every point, up to rounding.

    Such a series has a unit root and no innovations: no autoregression can be estimated from it.
    """
    first, last = indptr[:-1], indptr[1:] - 1
    found = np.diff(indptr) >= _SHORTEST_LINE
    for k in range(_SHORTEST_LINE - 2):  # nearly all others are out after a look at their first points
        rows = np.flatnonzero(found)
        found[rows] = _straight(values, first[rows] + k, _ends(values, first[rows], last[rows]))
    for row in np.flatnonzero(found):
        inner = np.arange(first[row], last[row] - 1)
        size = _ends(values, first[row], last[row])
        found[row] = bool(_straight(values, inner, size).all()) and values[first[row]] != values[last[row]]
    return found


def _ends(values: F64, first: I64, last: I64) -> F64:
    """Size of the largest value, if it is a line."""
    return np.maximum(np.abs(values[first]), np.abs(values[last]))


def _straight(values: F64, at: I64, size: F64) -> Bool:
    """Whether three successive values from each position `at` lie on a line, up to the rounding of `size`."""
    with np.errstate(over="ignore", invalid="ignore"):
        second = values[at] - 2.0 * values[at + 1] + values[at + 2]
        straight: Bool = np.abs(second) <= _ROUNDING * size
    return straight
