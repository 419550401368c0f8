"""Whether new parameters give on a device what they give here: exported to ONNX, and compared."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.errors import ForecastError
from forecast.models.assemble import take
from forecast.models.records import Records
from forecast.types import I64

if TYPE_CHECKING:
    from collections.abc import Mapping

# An export of this many series takes a few seconds; the graphs are the same for all of them, only the tables
# grow. Errors come from kinds of models and from poles near the circle, and the sample has those.
MOST_SERIES: Final = 64

# Steps that are compared: what an error does over a horizon shows well before.
_HORIZON: Final = 24
_LEVELS: Final = (80.0, 95.0)


@dataclass(frozen=True, slots=True)
class Parity:
    """What came of a comparison."""

    passed: bool
    why: str
    """A sentence for people."""
    evidence: Mapping[str, Any]
    """Plain JSON: passed, why, n_series, n_compared, n_left_out, errors by file."""


def parity(records: Records, *, most: int = MOST_SERIES) -> Parity:
    """Export series to ONNX, in memory, and hold the answers of the files to those of the library.

    Parameters
    ----------
    most
        Of more series than this a sample is compared: the ones nearest to the unit circle, and others evenly
        spread. The evidence says how many.

    Returns
    -------
    Parity
        It did not pass where an answer differs by more than a bundle may, or a series is not stationary as
        a file decodes it. Where nothing can be compared (no `onnx`, no series of a kind that devices take) it
        passed, and says so.
    """
    n = records.n_series
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        fix = "pip install 'forecast-platform[edge]'"
        return _told(True, f"not compared: {' and '.join(missing)} not installed ({fix})", n, 0, 0)
    rows = _sample(records, most)
    try:
        return _compared(take(records, rows) if len(rows) < n else records, n)
    except ForecastError as error:  # of the exporter, and of what it calls
        from edge.errors import ExportError, GateError

        if isinstance(error, ExportError) and not isinstance(error, GateError):
            return _told(True, f"not compared: {error}", n, 0, len(rows))
        return _told(False, str(error), n, len(rows), 0)


def _compared(records: Records, n: int) -> Parity:
    from edge.bundle.making import make
    from edge.bundle.order import Order
    from edge.bundle.source import source
    from edge.runtime.manifest import ModelRef

    # "latency" keeps parameters as they are: what smaller files round is the choice of who exports them.
    model = ModelRef("parity", "unregistered", None, None)
    order = Order("parity", 1, _HORIZON, _LEVELS, "latency", "off", None, model, None)
    found = source(records, None, order)
    made = make(found, order, lambda stage, done, total: None)
    left_out = records.n_series - len(found.rows)
    worst = max(made.errors.values())
    why = f"the files differ from the library by {worst:.2g} at most"
    return _told(True, why, n, len(found.rows), left_out, made.errors)


def _sample(records: Records, most: int) -> I64:
    """(<= most,) ascending rows: half of them those with the largest poles, the others evenly spread."""
    n = records.n_series
    if n <= most:
        return np.arange(n)
    near = np.argsort(-records.max_pole, kind="stable")[: most // 2]
    others = np.setdiff1d(np.arange(n), near)
    spread = others[np.linspace(0, len(others) - 1, most - len(near)).round().astype(np.int64)]
    return np.sort(np.concatenate([near, spread])).astype(np.int64)


def _told(
    passed: bool, why: str, n: int, compared: int, left_out: int, errors: Mapping[str, float] | None = None
) -> Parity:
    evidence = {
        "passed": passed, "why": why, "n_series": n, "n_compared": compared, "n_left_out": left_out,
        "errors": {name: float(error) for name, error in (errors or {}).items()},
    }  # fmt: skip
    return Parity(passed, why, evidence)
