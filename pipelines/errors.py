"""Everything the services raise.

PipelineError
`-- WireError     a message that cannot be read, or must not be sent
"""

from __future__ import annotations

from enum import StrEnum


class PipelineError(Exception):
    """Base of every error raised by `pipelines`."""

    retriable: bool = False
    """True when the same call can succeed later without a change of input."""


class Reason(StrEnum):
    """Why a message was refused; the value goes into dead-letter headers and never changes."""

    EMPTY = "empty"
    """No bytes, or a tombstone."""
    TOO_LARGE = "too_large"
    """More bytes than a message of its kind may have."""
    MALFORMED = "malformed"
    """Not JSON in UTF-8."""
    NOT_FINITE = "not_finite"
    """NaN or infinity, which JSON does not have; a missing value is null."""
    DUPLICATE_KEY = "duplicate_key"
    UNKNOWN_VERSION = "unknown_version"
    """Of a wire version that this platform does not read."""
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    """A number beyond its field's range, a text or list too long or too short."""


class WireError(PipelineError, ValueError):
    """A message that cannot be read, or must not be sent."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail}")
