"""What became of every series, as a frame and as parity_report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecast.models.canonical_json import dumps
from forecast.types import F64, I64

if TYPE_CHECKING:
    import pandas as pd

    from edge.bundle.gate import Verdict
    from edge.bundle.graphs import ClosedForm
    from edge.bundle.source import Source


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One row a series, in the order of the records; arrays are (n,)."""

    ids: list[Any]
    status: NDArray[np.object_]
    """"exported", "step only" (it has a moving average), or "left out"."""
    reason: NDArray[np.object_]
    """Why it was left out, or why its lags were not pruned; may be empty."""
    bits: I64
    """Of a stored coefficient; 64 where it is a float, as in step.onnx; 0: left out."""
    lags_before: I64
    lags_kept: I64
    max_pole_before: F64
    max_pole_after: F64
    """Of the poles as model.onnx decodes them, read back from its bytes; of "step only" the record's."""
    margin: F64
    """min(1 - abs(k)) of the same."""
    rmse_rise: F64
    """Mean rise of the forecast RMSE over the horizon by quantisation, a ratio."""

    @property
    def exported(self) -> NDArray[np.bool_]:
        return np.asarray(self.status != LEFT_OUT, dtype=np.bool_)

    def frame(self) -> pd.DataFrame:
        """Return the table for people."""
        import pandas as pd

        columns = ("status", "bits", "lags_before", "lags_kept", "max_pole_before", "max_pole_after")
        names = (*columns, "margin", "rmse_rise", "reason")
        return pd.DataFrame({"unique_id": self.ids, **{name: getattr(self, name) for name in names}})

    def report(self, tolerances: Mapping[str, float], measured: Mapping[str, float]) -> bytes:
        """Return parity_report.json: the exported series, in the bundle's order, and what was measured."""
        rows = np.flatnonzero(self.exported).tolist()
        series = [
            {
                "id": str(self.ids[i]), "bits": int(self.bits[i]), "lags_kept": int(self.lags_kept[i]),
                "max_pole_before": _number(self.max_pole_before[i]), "margin": _number(self.margin[i]),
                "max_pole_after": _number(self.max_pole_after[i]), "rmse_rise": _number(self.rmse_rise[i]),
            }
            for i in rows
        ]  # fmt: skip
        document = {
            "kind": "forecast.edge-parity", "schema_version": 1, "series": series,
            "tolerances": dict(tolerances), "measured": dict(measured),
        }  # fmt: skip
        return dumps(document)


LEFT_OUT = "left out"
EXPORTED = "exported"
STEP_ONLY = "step only"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def table_of(found: Source, closed: ClosedForm | None, verdict: Verdict | None) -> Table:
    """Return the table of an export, over all series that were given."""
    n, at = found.given.n_series, found.rows
    table = Table(
        ids=list(found.given.ids.tolist()),
        status=np.full(n, LEFT_OUT, dtype=np.object_), reason=found.refused.copy(),
        bits=np.zeros(n, dtype=np.int64), lags_before=np.zeros(n, dtype=np.int64),
        lags_kept=np.zeros(n, dtype=np.int64), max_pole_before=found.given.max_pole.copy(),
        max_pole_after=np.full(n, np.nan), margin=np.full(n, np.nan), rmse_rise=np.full(n, np.nan),
    )  # fmt: skip
    table.status[at], table.reason[at] = STEP_ONLY, found.notes
    table.lags_before[at], table.lags_kept[at] = found.lags_before, found.lags_kept
    # step.onnx has the record's own coefficients in float64.
    table.max_pole_after[at], table.margin[at] = found.records.max_pole, found.records.margin
    table.bits[at], table.rmse_rise[at] = 64, 0.0
    if closed is not None and verdict is not None:
        there = at[closed.rows]
        table.status[there], table.bits[there] = EXPORTED, closed.bits
        table.max_pole_after[there], table.margin[there] = verdict.max_pole, verdict.margin
        table.rmse_rise[there] = closed.rise
    return table
