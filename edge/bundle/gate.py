"""The first gate before a signature: model.onnx is read back by `edge.check`, and refused for what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.check import Contents, Stability, read, stability
from edge.errors import GateError
from forecast.models.records import Records
from forecast.types import F64

# Series named in a message.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What was read back from model.onnx."""

    contents: Contents
    phi: F64
    seasonal_phi: F64
    margin: F64
    """(n,) in the order of the file."""
    max_pole: F64


def judge(data: bytes, records: Records) -> Verdict:
    """Read model.onnx back, whose series are `records`, in its order.

    Raises
    ------
    GateError
        An operator off the list, or a series that is not stationary.
    """
    contents, n = read(data), records.n_series
    if not (records.p.any() or records.P.any()):
        none = np.zeros((n, 0))
        return Verdict(contents, none, none, np.ones(n), np.zeros(n))
    found: Stability = stability(contents, np.maximum(records.season_length, 1).astype(np.int64))
    rows = [np.broadcast_to(part, (n, *part.shape[1:])) for part in (found.phi, found.seasonal_phi)]
    margin, max_pole = (np.broadcast_to(part, (n,)) for part in (found.margin, found.max_pole))
    unstable = ~((margin > 0) & (max_pole < 1))
    if unstable.any():
        names = ", ".join(repr(str(key)) for key in records.ids[unstable][:_NAMED])
        raise GateError(f"{unstable.sum()} series are not stationary as the file decodes them: {names}")
    return Verdict(contents, rows[0], rows[1], margin, max_pole)
