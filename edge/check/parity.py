"""Whether a file answers what it should, on given inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.check.session import first_line, open_session
from edge.errors import GateError


def parity(
    data: bytes, inputs: Mapping[str, NDArray[Any]], references: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """Run a model and return, by output, the largest relative error over its rows.

    Parameters
    ----------
    inputs
        Every input of the model; others are ignored.
    references
        What the outputs should be; those not named are not compared.

    Raises
    ------
    GateError
        An input or output is missing, or the model cannot run on these shapes.
    """
    session = open_session(data)
    names = [value.name for value in session.get_inputs()]
    missing = sorted(set(names) - set(inputs))
    if missing:
        raise GateError(f"the model also needs the inputs {missing}")
    absent = sorted(set(references) - {value.name for value in session.get_outputs()})
    if absent:
        raise GateError(f"the model has no outputs {absent}")
    try:
        found = session.run(list(references), {name: inputs[name] for name in names})
    except Exception as error:  # whatever ONNX Runtime raises
        raise GateError(f"the model cannot run on these inputs: {first_line(error)}") from None
    return {name: relative_error(got, references[name]) for name, got in zip(references, found, strict=True)}


def relative_error(got: NDArray[Any], want: NDArray[Any]) -> float:
    """Return the largest difference in a row of the last axis, over the largest reference of that row.

    What is not finite has to be the same on both sides; a row of zeros has to be met exactly. Infinite where
    shapes, or what is not finite, differ.
    """
    if got.shape != want.shape:
        return float("inf")
    if not got.size:
        return 0.0
    odd = ~np.isfinite(want)
    if not np.array_equal(np.where(odd, got, 0.0), np.where(odd, want, 0.0), equal_nan=True):
        return float("inf")
    gap = np.abs(np.where(odd, 0.0, got) - np.where(odd, 0.0, want)).max(axis=-1, initial=0.0)
    size = np.abs(np.where(odd, 0.0, want)).max(axis=-1, initial=0.0)
    if np.isnan(gap).any():
        return float("inf")
    return float(np.where(gap > 0.0, gap / np.where(size > 0.0, size, np.finfo(np.float64).tiny), 0.0).max())
