"""Everything this library raises.

ForecastError
|-- InputError               the caller's data or arguments cannot be used
|   |-- ColumnError          a column is missing, or of a kind that cannot be used
|   |-- DuplicateError       one series has two rows for one time stamp
|   |-- FrequencyError       the frequency is unknown, or cannot be inferred
|   |-- FutureExogError      the future frame lacks a regressor or a (unique_id, ds)
|   `-- UnknownSeriesError   a series that the model was not fitted on
|-- ModelError               the data are fine, the model is not
|   `-- NonStationaryError
`-- ArtifactError            a stored model is corrupt, foreign, or of a newer schema

InferredFrequency is a warning, for people at a notebook: the frequency was not given.

A single bad series never raises: it gets a status (`forecast.types.Status`) and a fallback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ForecastError(Exception):
    """Base of every error raised by `forecast`; catch this one to catch all."""

    retriable: bool = False
    """True when the same call can succeed later without a change of input."""


class InputError(ForecastError, ValueError):
    """The caller's data or arguments cannot be used."""


class ColumnError(InputError):
    """A column is missing, or holds what cannot be used."""


class DuplicateError(InputError):
    """One series has two rows for one time stamp."""


class FrequencyError(InputError):
    """The frequency is unknown, or cannot be inferred."""


class FutureExogError(InputError):
    """The future frame lacks a regressor, or rows for some (unique_id, ds)."""


class UnknownSeriesError(InputError):
    """A series that the model was not fitted on."""


class ModelError(ForecastError):
    """The data are fine, the model is not."""


class NonStationaryError(ModelError):
    """A root of the lag polynomial lies on or inside the unit circle."""

    def __init__(self, min_root: float) -> None:
        self.min_root = min_root
        super().__init__(
            f"smallest root modulus is {min_root:.6f}, must exceed 1; "
            "difference the series once more or lower the order"
        )


class InferredFrequency(UserWarning):
    """`freq` was left out; the one found in the data is in the message."""


class ArtifactError(ForecastError):
    """A stored model is corrupt, foreign, or of a newer schema."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, or the list of what is known."""
    choices = sorted(known)
    close = get_close_matches(name, choices, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(choices)}" if choices else ""
