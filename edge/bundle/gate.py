"""The last word before a signature: files are read back by `edge.check`, and refused for what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.check import Contents, Stability, parity, read, relative_error, stability
from edge.check.session import open_session
from edge.errors import GateError
from forecast.models.records import Records
from forecast.types import F64

# What the graphs are held to here, on the machine that made them, in float64 against the library.
CLOSED_RTOL: Final = 1e-6
# Ticks of an integrated seasonal model lose three digits to cancellation in the worst case; the rest stays.
STEP_RTOL: Final = 1e-9
# What a device is held to: another processor rounds sums of products in another order.
DEVICE_CLOSED_RTOL: Final = 1e-5
DEVICE_STEP_RTOL: Final = 1e-8

# Series in one call of the check over all of them: a few MB of inputs.
_CHUNK: Final = 2048
_NAMED: Final = 5
_TOLD: Final = ("mean", "variance", "lo", "hi", "imputed", "z")


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


def hold(
    what: str,
    data: bytes,
    inputs: Mapping[str, NDArray[Any]],
    references: Mapping[str, NDArray[Any]],
    rtol: float,
) -> float:
    """Return the largest relative error of a file over its references; `GateError` beyond `rtol`."""
    n = len(next(iter(references.values())))
    worst = 0.0
    for first in range(0, n, _CHUNK):
        rows = slice(first, first + _CHUNK)
        some = {name: value[rows] for name, value in inputs.items()}
        found = parity(data, some, {name: value[rows] for name, value in references.items()})
        for output, error in found.items():
            if not error <= rtol:
                raise GateError(
                    f"{what}: {output} differs from the library by {error:.3g} of its size, allowed is "
                    f"{rtol:g}; nothing was signed"
                )
            worst = max(worst, error)
    return worst


def hold_ticks(what: str, data: bytes, vectors: Mapping[str, NDArray[Any]], rtol: float) -> float:
    """Run step.onnx over its ticks; return the largest relative error, `GateError` beyond `rtol`."""
    session = open_session(data)
    names = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    feeds = {name: vectors[f"step.{name}"] for name in ("index", "state", "cov", "t") if name in names}
    worst = 0.0
    for k, y in enumerate(vectors["step.y"]):
        if "x" in names:
            feeds["x"] = vectors["step.x"][k]
        got = dict(zip(outputs, session.run(outputs, {**feeds, "y": y}), strict=True))
        for name in _TOLD:
            if f"step.{name}" not in vectors:
                continue
            want = vectors[f"step.{name}"][k]
            # One number a series and tick: it is measured against itself, and z against 1.
            pair = (got[name], want) if want.ndim > 1 else (got[name][:, None], want[:, None])
            error = relative_error(*pair) if name != "z" else _absolute(*pair)
            if not error <= rtol:
                raise GateError(
                    f"{what}: {name} of tick {k} differs from the library by {error:.3g} of its size, "
                    f"allowed is {rtol:g}; nothing was signed"
                )
            worst = max(worst, error)
        feeds["state"], feeds["cov"] = got["state_out"], got["cov_out"]
        if "t" in feeds:
            feeds["t"] = feeds["t"] + 1
    return worst


def _absolute(got: NDArray[Any], want: NDArray[Any]) -> float:
    if not np.array_equal(np.isnan(got), np.isnan(want)):
        return float("inf")
    gap = np.abs(np.nan_to_num(got) - np.nan_to_num(want)) / np.maximum(1.0, np.abs(np.nan_to_num(want)))
    return float(gap.max(initial=0.0))
