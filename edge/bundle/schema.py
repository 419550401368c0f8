"""Writing schema.json: which series a bundle has, and what its models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edge.bundle.grid import grid_of
from edge.errors import ExportError
from edge.fleet import Fleet
from edge.runtime.errors import BundleError
from edge.runtime.schema import KIND, read_schema
from forecast.models.canonical_json import dumps
from forecast.models.computed import is_computed
from forecast.types import I64


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How model.onnx is asked; without that file `rows` is empty."""

    rows: I64
    """Row of the fleet at each position of the file."""
    n_lags: int = 0
    n_past: int = 0
    needs_t: bool = False


def write_schema(
    fleet: Fleet, layout: Layout, horizon: int, levels: Sequence[float], unit: str = ""
) -> bytes:
    """Return schema.json, as `edge.runtime.schema.Schema` describes it.

    Parameters
    ----------
    fleet
        In the order of step.onnx.
    unit
        Of y; may be empty.

    Raises
    ------
    ExportError
        A device would refuse it: too many series or regressors, lags beyond its limits.
    """
    closed = np.full(fleet.n, -1, dtype=np.int64)
    closed[layout.rows] = np.arange(len(layout.rows))
    document = {
        "kind": KIND,
        "schema_version": 1,
        "series": fleet.ids,
        "closed": closed.tolist(),
        "width": np.where(closed >= 0, fleet.width, 0).tolist(),
        "freq": asdict(grid_of(fleet.freq)),
        "exog": [{"name": name, "unit": "", "computed": is_computed(name)} for name in fleet.names],
        "unit": unit,
        "horizon": horizon,
        "levels": [int(v) if float(v).is_integer() else float(v) for v in levels],
        "n_lags": layout.n_lags,
        "n_past": layout.n_past,
        "n_step_past": fleet.max_lag,
        "needs_t": layout.needs_t,
        "L": fleet.levels.shape[1],
        "q": fleet.innovations.shape[1],
    }
    data = dumps(document)
    try:
        read_schema(data)
    except BundleError as error:
        raise ExportError(f"a device would refuse this bundle: {error}") from error
    return data
