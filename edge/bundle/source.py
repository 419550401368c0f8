"""What is exported: the series that can be, pruned where that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.eligible import exportable
from edge.bundle.order import Order
from edge.errors import ExportError
from edge.fleet import Fleet
from edge.prune import Pruned, prune_lags, prune_parcors
from forecast.models.assemble import take
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.types import F64, I64


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Some series of the records that were given."""

    given: Records
    rows: I64
    """Positions in `given` of the series that are exported; arrays below are in their order."""
    refused: NDArray[np.object_]
    """(len of given,) why a series is left out; "" where it is not."""
    records: Records
    fleet: Fleet
    lags_before: I64
    lags_kept: I64
    notes: NDArray[np.object_]
    """Why a series was not pruned; "" where it was, or where that was not asked for."""

    @property
    def max_pole_before(self) -> F64:
        return np.asarray(self.given.max_pole[self.rows])


def source(records: Records, panel: Panel | None, order: Order) -> Source:
    """Leave out what cannot be exported, and prune the rest.

    Parameters
    ----------
    panel
        The training data; for ``prune="lags"`` only.

    Raises
    ------
    ExportError
        No series is left, or there are no data to prune by.
    """
    rows, refused = exportable(records)
    if not len(rows):
        raise ExportError(
            f"none of {records.n_series} series can be exported; {str(records.ids[0])!r}: {refused[0]}"
        )
    some = take(records, rows)
    pruned = _pruned(some, panel, order)
    if pruned is None:
        lags = np.count_nonzero(some.phi, axis=1) + np.count_nonzero(some.seasonal_phi, axis=1)
        notes = np.full(len(rows), "", dtype=np.object_)
        return Source(records, rows, refused, some, Fleet.of(some), lags, lags, notes)
    return Source(
        records, rows, refused, pruned.records, Fleet.of(pruned.records),
        pruned.lags_before, pruned.lags_kept, pruned.reason,
    )  # fmt: skip


def _pruned(records: Records, panel: Panel | None, order: Order) -> Pruned | None:
    if order.prune == "parcor":
        return prune_parcors(records)
    if order.prune == "off":
        return None
    if panel is None:
        raise ExportError(
            'prune="lags" judges by the training data, which a stored model does not hold: give them as '
            'data=, or say prune="parcor", which needs none'
        )
    return prune_lags(records, panel, horizon=order.horizon)
