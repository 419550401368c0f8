"""What a bundle answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """The path of one series; entry k of every row is for the k + 1-th point after the origin."""

    series_id: str | int
    ts_ms: int | None
    """Time of the origin, ms UTC; None where a history came without times."""
    levels: tuple[float, ...]
    """Nominal coverages in percent."""
    mean: F64
    """(H,) units of y; the median under a log transform."""
    variance: F64
    """(H,) of the forecast error, units of the transformed and scaled y squared."""
    lo: F64
    """(levels, H) units of y."""
    hi: F64
    z: float | None = None
    """Standardised innovation of the tick; None where it was missing, or there was none."""
    imputed: float | None = None
    """The value of the tick, or its forecast where it was missing; None where there was no tick."""
    gap: int = 0
    """Points filled since the last observed one, the tick included; 0 where it was observed."""


def path(
    series_id: str | int, ts_ms: int | None, levels: tuple[float, ...], found: Mapping[str, NDArray[Any]]
) -> Forecast:
    """Return the first row of what a graph gave.

    Raises
    ------
    RequestError
        It is not finite.
    """
    mean, variance = found["mean"][0], found["variance"][0]
    none = np.zeros((0, len(mean)))
    lo, hi = (found[name][0] if name in found else none for name in ("lo", "hi"))
    if not all(np.isfinite(part).all() for part in (mean, variance, lo, hi)):
        raise RequestError(
            f"the forecast of series {series_id!r} is not finite: its last values are beyond what the model "
            "can take (under a log transform they have to be positive)",
            "not_finite",
        )
    return Forecast(series_id, ts_ms, levels, mean, variance, lo, hi)
