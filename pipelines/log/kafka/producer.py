"""Producers of kafka-python, opened and closed within bounds, and calls that cannot wait for ever."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

from pipelines.log.kafka.client import errors, kafka

CLOSES_WITHIN_S: Final = 5.0


def close_producer(producer: Any, timeout_s: float = CLOSES_WITHIN_S) -> None:  # noqa: ANN401
    """End a producer; what it could not deliver in time is given up."""
    with contextlib.suppress(errors.KafkaError):
        producer.close(timeout=timeout_s)
        return
    # Its `close` flushes first, and gives up there: thread and connection would stay.
    sender = getattr(producer, "_sender", None)
    if sender is not None:
        sender.force_close()
        sender.join(timeout_s)
    with contextlib.suppress(errors.KafkaError):
        producer.close(timeout=0)


def open_producer(settings: dict[str, Any]) -> Any:  # noqa: ANN401
    return kafka.KafkaProducer(**settings)


def within(timeout_s: float, what: str, call: Callable[[], None]) -> None:
    """Make a call that may wait for ever, and wait `timeout_s` at most.

    Raises
    ------
    KafkaTimeoutError
        It is not done in time; it goes on in a thread of its own until its producer is closed.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # handed over
            raised.append(error)

    thread = threading.Thread(target=run, name=f"kafka-{what}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise errors.KafkaTimeoutError(f"{what} was not done within {timeout_s:g} s")
    if raised:
        raise raised[0]
