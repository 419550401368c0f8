"""The certificate of a file, from its bytes alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.check.decoded import decode
from edge.check.poles import F64, largest_pole, margin
from edge.check.reading import Contents, read


@dataclass(frozen=True, slots=True, eq=False)
class Stability:
    """What the decoded polynomials of n series are; arrays are read-only."""

    phi: F64
    """(n, p) as decoded by the graph."""
    seasonal_phi: F64
    """(n, P)"""
    margin: F64
    """(n,) min(1 - abs(k)) over both factors, by the step-down; <= 0 or NaN where not stationary."""
    max_pole: F64
    """(n,) largest modulus of the poles of both factors, by eigenvalues; those of Phi(L^s) are counted in L^s
    unless the season length was given."""

    def __post_init__(self) -> None:
        for array in (self.phi, self.seasonal_phi, self.margin, self.max_pole):
            array.flags.writeable = False

    @property
    def stable(self) -> NDArray[np.bool_]:
        """(n,) True where step-down and eigenvalues both say so."""
        return (self.margin > 0.0) & (self.max_pole < 1.0)


def stability(data: bytes | Contents, season_length: NDArray[np.integer] | None = None) -> Stability:
    """Decode every series of a `model.onnx` and judge its AR part.

    Parameters
    ----------
    data
        The bytes of the file, or what `read` made of them.
    season_length
        (n,) s of each series in file order, which the graph need not say; poles of Phi(L^s) are s-th roots.

    Raises
    ------
    GateError
        The file is not what a bundle may hold, or has no decoded polynomial.
    """
    found = decode(data if isinstance(data, Contents) else read(data))
    pole = largest_pole(found.seasonal_phi)
    if season_length is not None:
        pole = pole ** (1.0 / np.maximum(season_length, 1))
    return Stability(
        found.phi, found.seasonal_phi,
        np.minimum(margin(found.phi), margin(found.seasonal_phi)),
        np.maximum(largest_pole(found.phi), pole),
    )  # fmt: skip
