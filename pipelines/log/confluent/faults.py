# ruff: noqa: SLF001 - the codes of librdkafka itself, documented as such, have names that begin with _
"""What librdkafka says, in errors of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from confluent_kafka import KafkaError, KafkaException

from pipelines.errors import AbortedError, FencedError, LogError

P = ParamSpec("P")
T = TypeVar("T")

PARTITION_EOF: int = KafkaError._PARTITION_EOF
NOT_STARTED: int = KafkaError._STATE
FATAL: int = KafkaError._FATAL
NO_POSITION: int = KafkaError._AUTO_OFFSET_RESET

FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
    }
)
"""Another worker of this name took over, or the coordinator gave the transaction up."""

PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)
"""It will pass: librdkafka goes on trying by itself, or the call can be made again."""

REFUSALS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
"""A broker that answers, and lets nobody in."""

HINTS = {
    KafkaError._AUTHENTICATION: "Kafka refuses this user or password",
    KafkaError._SSL: "check its certificate, and who has signed it: kafka_ca_file",
    KafkaError.INVALID_RECORD: "a record without a key in a compact topic, or a time that the topic refuses",
    KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic",
}

# Between two attempts: a broker that is being elected takes a second or so.
PAUSE_S = 0.05


def reason(error: KafkaException) -> KafkaError:
    """Return the cause that librdkafka names."""
    cause = error.args[0] if error.args else None
    return cause if isinstance(cause, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def fault(doing: str, cause: KafkaError) -> LogError:
    """Return the error to raise.

    `FencedError` where another worker took this one's place, `AbortedError` where the transaction must be
    given up (by whoever asks), else `LogError`, retriable where librdkafka says so.
    """
    text = f"{doing}: {cause.str()} ({cause.name()})"
    if hint := HINTS.get(cause.code()):
        text += f"; {hint}"
    if cause.code() in FENCED:
        return FencedError(f"{text}; another worker has this name, or the transaction took too long")
    if cause.txn_requires_abort():
        return AbortedError(text)
    passing = cause.retriable() or cause.code() in PASSING
    return LogError(text, retriable=passing and not cause.fatal())


def insist(doing: str, within_s: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call until it works, as long as librdkafka says that the same call can be made again.

    Raises
    ------
    LogError
        It cannot, or `within_s` seconds are over; see `fault`.
    """
    ends = time.monotonic() + within_s
    while True:
        try:
            return call(*args, **kwargs)
        except KafkaException as error:
            cause = reason(error)
            again = cause.retriable() and not cause.txn_requires_abort() and not cause.fatal()
            if not again or time.monotonic() > ends:
                raise fault(doing, cause) from error
        time.sleep(PAUSE_S)
