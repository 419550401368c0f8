"""Why a tick that could be read was not forecast; why one could not, see `pipelines.errors.Reason`."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Refusal(StrEnum):
    """A reason; the value goes into dead-letter headers and never changes."""

    KEY_MISMATCH = "key_mismatch"
    """The key of the record is not the id of the series: another partition may hold its state."""
    OFF_GRID = "off_grid"
    """Farther from the grid of its series than the tolerance, or beyond the calendar."""
    TOO_EARLY = "too_early"
    """Farther ahead of the log's clock than `lead_ms`."""
    TOO_FAR_AHEAD = "too_far_ahead"
    """Regressors for a time later than those that are kept."""
    TOO_MANY_SERIES = "too_many_series"
    """Of a series that the model does not have, beyond `max_series` of them."""
    MISSING_EXOG = "missing_exog"
    """A regressor of its time is not known; the state was not moved."""
    MISSING_FUTURE = "missing_future"
    """A regressor of a later time is not known; the state was moved."""
    NOT_FINITE = "not_finite"
    """The forecast is not a number; the state was moved."""
    TOO_LARGE = "too_large"
    """The forecast takes more bytes than a message may have; the state was moved."""
    LATE = "late"
    """In the headers of the topic for late ticks."""


class Letter(NamedTuple):
    """A tick that goes to another topic than it should have."""

    tick: int
    """Position in its batch."""
    reason: str
    detail: str
