"""What kafka-python raises, as `LogError`: what happened, whether to try again, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipelines.errors import FencedError, LogError
from pipelines.log.kafka.client import errors

_FENCING: Final = (
    errors.FencedInstanceIdError,
    errors.ProducerFencedError,
    errors.InvalidProducerEpochError,
)
_FENCING_NAMES: Final = tuple(each.__name__ for each in _FENCING)

# Would fail again if the same work were done again: what is said of it, and what to do.
_LASTING: Final[dict[type[Exception], str]] = {
    errors.TopicAuthorizationFailedError: "does not allow this user that topic",
    errors.GroupAuthorizationFailedError: "does not allow this user that group",
    errors.TransactionalIdAuthorizationFailedError: "does not allow this user transactions",
    errors.ClusterAuthorizationFailedError: "does not allow this user idempotent writes",
    errors.SaslAuthenticationFailedError: "refuses this user or password",
    errors.UnsupportedSaslMechanismError: "does not know this way to log in",
    errors.MessageSizeTooLargeError: "refuses a record for its size; raise the topic's max.message.bytes",
    errors.RecordListTooLargeError: "refuses records for their size; raise the topic's max.message.bytes",
    errors.InvalidRecordError: "refuses a record; in a compact topic every record needs a key",
    errors.InvalidTopicError: "refuses the name of a topic",
    errors.UnknownTopicOrPartitionError: "does not have that topic or partition",
    errors.CorruptRecordError: "sent a record that is damaged; check its disks",
    errors.UnsupportedCodecError: "has records in a compression that is not installed here",
    errors.InvalidSessionTimeoutError: "refuses this session timeout; it allows 6 to 1800 s by default",
    errors.InconsistentGroupProtocolError: "has members of another kind in this group; name another group",
    errors.GroupMaxSizeReachedError: "has no room in this group",
    errors.UnsupportedVersionError: "is too old",
    errors.KafkaConfigurationError: "cannot be asked with these settings",
}


def is_fencing(error: BaseException | None) -> bool:
    """Tell whether an error says that another has taken this one's place.

    What comes of an earlier error of the producer is told in words only.
    """
    return isinstance(error, _FENCING) or (
        type(error) is errors.KafkaError and any(name in str(error) for name in _FENCING_NAMES)
    )


def is_lasting(error: BaseException) -> bool:
    """Tell whether the same work would fail again."""
    return isinstance(error, tuple(_LASTING)) or _has_bad_neighbour(error)


def _has_bad_neighbour(error: BaseException) -> bool:
    """Tell whether another record of the batch was refused: told in words only."""
    return type(error) is errors.KafkaError and "invalid records" in str(error)


def named(error: BaseException, log: str) -> LogError:
    """Return an error of kafka-python as ours."""
    detail = _detail(error)
    if isinstance(error, LogError):
        return error
    if is_fencing(error):
        return FencedError(f"{log}: another worker of the same name has taken this one's place ({detail})")
    for kind, message in _LASTING.items():
        if isinstance(error, kind) or (kind is errors.InvalidRecordError and _has_bad_neighbour(error)):
            return LogError(f"{log} {message} ({detail})")
    if isinstance(error, errors.RetriableError | OSError):
        return LogError(f"{log} does not answer ({detail}); try again later", retriable=True)
    return LogError(f"{log}: {detail}")


@contextmanager
def naming_faults(log: str) -> Iterator[None]:
    """Turn what kafka-python raises into `LogError`; the cause hangs on it."""
    try:
        yield
    except (errors.KafkaError, OSError) as error:
        raise named(error, log) from error


def _detail(error: BaseException) -> str:
    said = " ".join(str(error).split())
    kind = type(error).__name__
    return said if kind in said or not said else f"{kind}: {said}"
