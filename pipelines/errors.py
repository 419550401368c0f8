"""Everything the services raise.

PipelineError
|-- SettingsError the settings cannot be used
|-- TrainError    a training job cannot go on
|-- HistoryError  archived ticks cannot be read or written
|-- WireError     a message that cannot be read, or must not be sent
|-- LogError      the log (Kafka, or the embedded one) cannot be read or written
|   |-- FencedError   another worker has taken this one's place
|   `-- AbortedError  the transaction is gone, and all that was written in it
|-- StreamError   the stream service cannot go on
|-- TrackingError a job that could not be logged to MLflow, or not in time
|-- PromotionError a version that must not serve
`-- StoreError    the database with the metadata cannot be read or written
    |-- ConflictError   another writer changed the row first
    `-- LeaseLostError  another trainer took the fleet over
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


class LogError(PipelineError):
    """The log cannot be read or written: not there, no such topic, not allowed, full."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        self.retriable = retriable
        super().__init__(message)


class FencedError(LogError):
    """Another worker has taken this one's place; what this one holds in memory is void."""


class AbortedError(LogError):
    """The transaction is gone, and all that was written in it; the same work can be done again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


class StreamError(PipelineError):
    """The stream service cannot go on; the message names what to do."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        self.retriable = retriable
        super().__init__(message)


class PromotionError(PipelineError):
    """A version that must not serve: rejected, of another grid, damaged, not finite, not stationary."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        self.retriable = retriable
        super().__init__(message)


class TrackingError(PipelineError):
    """A job could not be logged to MLflow, or runs not read from it, or not in time.

    What the job computed is not touched; `retriable` says whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class SettingsError(PipelineError, ValueError):
    """The settings cannot be used; the message names the key, never a secret."""


class TrainError(PipelineError):
    """A training job cannot go on.

    Parameters
    ----------
    retriable
        True when the same command can succeed later: the scheduler may try again.
    """

    def __init__(self, message: str, retriable: bool = False) -> None:
        self.retriable = retriable
        super().__init__(message)


class HistoryError(PipelineError):
    """Archived ticks cannot be read or written; the message names the file and what to do."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


class StoreError(PipelineError):
    """The store cannot be used: not there, of another schema, locked, full, or given what it refuses."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        self.retriable = retriable
        super().__init__(message)


class LeaseLostError(StoreError):
    """Another trainer took the fleet over, because this one did not renew its lease in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


class ConflictError(StoreError):
    """Another writer changed the row first: read it again, and decide again."""

    def __init__(self, message: str, *, found: int) -> None:
        self.found = found
        """Version that the row has now."""
        super().__init__(message)
