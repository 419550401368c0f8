"""When each tick is due."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError
from forecast.types import F64, I64


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast ticks are sent; without a number as fast as the log takes them.

    Parameters
    ----------
    speed
        How many times as fast as the clock of the data: 3600 sends an hour of it in a second.
    rate
        Ticks a second.

    Raises
    ------
    InputError
        Both are given, or one is not a positive number.
    """

    speed: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.speed is not None and self.rate is not None:
            raise InputError("give a speed or a rate, not both")
        for name, value in (("speed", self.speed), ("rate", self.rate)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value!r}")

    def due(self, ts_ms: I64) -> F64 | None:
        """(n,) seconds after the first when ticks with these ascending times are due; None: at once."""
        if self.speed is not None:
            return np.asarray((ts_ms - ts_ms[:1]) / (1000.0 * self.speed), dtype=np.float64)
        if self.rate is not None:
            return np.asarray(np.arange(len(ts_ms)) / self.rate, dtype=np.float64)
        return None
