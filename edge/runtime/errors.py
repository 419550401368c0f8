"""Everything the device side raises.

DeviceError
|-- BundleError           the bundle is not what was signed, or nobody trusted signed it
|   |-- SignatureError    no signature, a wrong one, an unknown or a revoked key
|   `-- ParityError       it loads, and answers something else than where it was made
|-- InstallError          the root folder cannot be changed so: an older version, a full disk
`-- RequestError          what was asked cannot be answered
    |-- UnknownSeriesError
    |-- HistoryError      too short, or a run of missing values that cannot be filled
    |-- RegressorError    a regressor is missing, or has another length
    `-- ClockError        a time that was seen already, or is off the grid
"""

from __future__ import annotations


class DeviceError(Exception):
    """Base of every error raised by `edge.runtime`; catch this one to catch all."""


class BundleError(DeviceError):
    """A bundle cannot be trusted, or cannot be read."""


class SignatureError(BundleError):
    """The manifest is not signed by a trusted key."""


class ParityError(BundleError):
    """The models answer something else here than they did where they were made."""


class InstallError(DeviceError):
    """A release cannot be installed, or rolled back."""


class RequestError(DeviceError):
    """A request cannot be answered; the state has not moved."""

    reason: str = "malformed"
    """One of the reasons of the wire, or `late`, `missing_exog`, `missing_future`, `unknown_series`."""

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class UnknownSeriesError(RequestError):
    """The bundle has no such series."""

    reason = "unknown_series"


class HistoryError(RequestError):
    """The history is too short, or has gaps that cannot be filled."""

    reason = "history"


class RegressorError(RequestError):
    """A regressor is missing, unknown, or has another length."""

    reason = "missing_exog"


class ClockError(RequestError):
    """The time of a tick was seen already, or is not on the grid."""

    reason = "late"
