"""Array aliases, per-series statuses, and the Protocols that several packages serve."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

F64: TypeAlias = NDArray[np.float64]
I64: TypeAlias = NDArray[np.int64]
I32: TypeAlias = NDArray[np.int32]
U8: TypeAlias = NDArray[np.uint8]
U64: TypeAlias = NDArray[np.uint64]
Bool: TypeAlias = NDArray[np.bool_]


class Status(IntEnum):
    """What became of one series; the numbers are part of the parameter record and never change.

    Below `FALLBACK` the wanted model was fitted; from there on a baseline forecasts instead.
    """

    OK = 0
    GAPS = 1
    """Missing values, treated exactly (likelihood by the Kalman filter)."""
    RESCALED = 2
    """Values so large or small that the series is kept in units of a power of two."""
    COLLINEAR_EXOG = 3
    """Regressors that are constant or linear in others were left out."""
    REPAIRED = 4
    """The AR part was pulled back inside the unit circle."""
    GUARDED = 16
    """A baseline won the rolling origin inside the training data, and is used."""
    CONSTANT = 17
    TOO_SHORT = 18
    ALL_MISSING = 19
    NOT_FINITE = 20
    """Infinite values."""
    IRREGULAR_CLOCK = 21
    """Time stamps off the grid of the frequency."""
    NOT_CONVERGED = 22
    FAILED = 23

    @property
    def fell_back(self) -> bool:
        """True when a baseline forecasts in place of the wanted model."""
        return self >= Status.GUARDED


def status_names(codes: U8) -> list[str]:
    """Return "ok", "gaps", ... for (n,) codes of `Status`."""
    names = {int(code): Status(code).name.lower() for code in np.unique(codes)}
    return [names[code] for code in codes.tolist()]


def status_counts(codes: U8) -> dict[str, int]:
    """Return how many series have each status that occurs."""
    found, counts = np.unique(codes, return_counts=True)
    return {Status(code).name.lower(): int(n) for code, n in zip(found, counts, strict=True)}


class GapImputer(Protocol):
    """Fill the gaps of one series as its model sees them; served by models and by the stream."""

    def impute(self, y: F64) -> tuple[F64, F64]:
        """Conditional mean and variance of every point given all observed ones.

        Parameters
        ----------
        y
            (t,) observations on the grid of the frequency, oldest first, NaN where missing.

        Returns
        -------
        mean, variance
            (t,) each; where `y` is observed, `mean` is `y` and `variance` is 0.
            Units of `y`, and of its square.
        """
        ...
