"""The second gate before a signature: what the files answer, against the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.check import relative_error
from edge.check.session import first_line, open_session
from edge.errors import GateError
from forecast.types import F64, I64

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

# What the graphs are held to here, on the machine that made them, in float64 against the library.
CLOSED_RTOL: Final = 1e-6
# Ticks of an integrated seasonal model lose three digits to cancellation in the worst case; the rest stays.
STEP_RTOL: Final = 1e-9
# What a device is held to: another processor rounds sums of products in another order.
DEVICE_CLOSED_RTOL: Final = 1e-5
DEVICE_STEP_RTOL: Final = 1e-8

# Series in one call of the check over all of them: a few MB of inputs.
_CHUNK: Final = 2048
_TOLD: Final = ("mean", "variance", "lo", "hi", "imputed", "z")
_BANDS: Final = ("lo", "hi")


def hold(what: str, data: bytes, inputs: Arrays, references: Arrays, rtol: float) -> float:
    """Return the largest error of a file over its references; `GateError` beyond `rtol`."""
    session, worst = open_session(data), 0.0
    n = len(next(iter(references.values())))
    for first in range(0, n, _CHUNK):
        rows = slice(first, first + _CHUNK)
        got = _run(session, what, {name: value[rows] for name, value in inputs.items()})
        some = {name: value[rows] for name, value in references.items()}
        worst = max(worst, _judged(what, got, some, rtol))
    return worst


def wide_bands(data: bytes, inputs: Arrays, references: Arrays, rtol: float) -> I64:
    """Return the rows whose means and variances a file answers within `rtol`, but not the ends of intervals.

    Under a log transform an end is an exponential: where an interval spans many decades, rounding of the
    variance is seen. Empty where any row is off in something else: that is a fault of the file.
    """
    session, found = open_session(data), []
    n = len(references["mean"])
    for first in range(0, n, _CHUNK):
        rows = slice(first, min(first + _CHUNK, n))
        got = _run(session, "model.onnx", {name: value[rows] for name, value in inputs.items()})
        some = {name: value[rows] for name, value in references.items()}
        plain = [name for name in some if name not in _BANDS]
        if max(_error(name, got[name], some) for name in plain) > rtol:
            return np.zeros(0, dtype=np.int64)
        for i in range(rows.stop - first):
            one, want = _one(got, i), _one(some, i)
            if max((_error(name, one[name], want) for name in _BANDS if name in want), default=0.0) > rtol:
                found.append(first + i)
    return np.array(found, dtype=np.int64)


def _one(arrays: Arrays, i: int) -> Arrays:
    return {name: value[i : i + 1] for name, value in arrays.items()}


def hold_ticks(what: str, data: bytes, vectors: Arrays, rtol: float) -> float:
    """Run step.onnx over the ticks of its vectors; return the largest error, `GateError` beyond `rtol`."""
    session, worst = open_session(data), 0.0
    feeds = {
        name: vectors[f"step.{name}"] for name in ("index", "state", "cov", "t") if f"step.{name}" in vectors
    }
    for k, y in enumerate(vectors["step.y"]):
        if "step.x" in vectors:
            feeds["x"] = vectors["step.x"][k]
        got = _run(session, what, {**feeds, "y": y})
        some = {name: vectors[f"step.{name}"][k] for name in _TOLD if f"step.{name}" in vectors}
        worst = max(worst, _judged(f"{what}, tick {k}", got, some, rtol))
        feeds |= {"state": got["state_out"], "cov": got["cov_out"], "t": feeds["t"] + 1}
    return worst


def steady(data: bytes, inputs: Arrays, references: Arrays, most: float) -> list[str]:
    """Return the references that a device can be held to, which measures each by its own size.

    An end of an interval may come near 0, where what is left of it is the rounding of mean and width; these
    two are held in any case.
    """
    got = _run(open_session(data), "model", inputs)
    return [k for k, want in references.items() if k not in _BANDS or relative_error(got[k], want) <= most]


def _run(session: Any, what: str, feeds: Arrays) -> dict[str, NDArray[Any]]:  # noqa: ANN401  # no types there
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    missing = sorted(set(inputs) - set(feeds))
    if missing:
        raise GateError(f"{what} also needs the inputs {missing}")
    try:
        found = session.run(outputs, {name: feeds[name] for name in inputs})
    except Exception as error:  # whatever ONNX Runtime raises
        raise GateError(f"{what} cannot run on these inputs: {first_line(error)}") from None
    return dict(zip(outputs, found, strict=True))


def _judged(what: str, got: Arrays, references: Arrays, rtol: float) -> float:
    worst = 0.0
    for name in references:
        if name not in got:
            raise GateError(f"{what} has no output {name!r}")
        error = _error(name, got[name], references)
        if not error <= rtol:
            raise GateError(
                f"{what}: {name} differs from the library by {error:.3g} of its size, allowed is {rtol:g}; "
                "nothing was signed"
            )
        worst = max(worst, error)
    return worst


def _error(name: str, got: NDArray[Any], references: Arrays) -> float:
    """Return the largest difference over the size of what it is of."""
    want = references[name]
    if name == "z":  # in standard deviations
        return _over(got, want, np.maximum(1.0, np.abs(want)))
    if name in _BANDS:  # of the whole band, of which one end may be near 0
        ends = [np.abs(references[k]) for k in _BANDS] + [np.abs(references["mean"])[:, None, :]]
        size = np.maximum(np.maximum(ends[0], ends[1]), ends[2])
        return _over(got, want, np.max(np.where(np.isfinite(size), size, 0.0), axis=-1, keepdims=True))
    return relative_error(got, want) if want.ndim > 1 else relative_error(got[:, None], want[:, None])


def _over(got: F64, want: F64, size: F64) -> float:
    odd = ~np.isfinite(want)
    if got.shape != want.shape or not np.array_equal(got[odd], want[odd], equal_nan=True):
        return float("inf")
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(odd, 0.0, np.abs(got - want))
        ratio = np.where(gap == 0, 0.0, gap / np.where(odd, 1.0, size))
    return float("inf") if np.isnan(ratio).any() else float(ratio.max(initial=0.0))
