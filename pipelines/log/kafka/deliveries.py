"""What a member writes with at-least-once: through one writer, and another when that has failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pipelines.errors import LogError
from pipelines.log.kafka.broker import Broker
from pipelines.log.kafka.outbox import Send
from pipelines.log.kafka.writer import KafkaWriter
from pipelines.log.records import Block


class Deliveries:
    """Records on their way, and how to go on after a failure.

    A writer that has lost one batch has a hole in its sequence numbers and would fail for ever. After an
    error all that was written since the last `flush` may or may not be there: it is to be written again.
    """

    def __init__(self, broker: Broker, settings: dict[str, Any], send: Send) -> None:
        self._broker = broker
        self._settings = settings
        self._send = send
        self._writer: KafkaWriter | None = KafkaWriter(broker, settings, send)

    def write(self, block: Block) -> None:
        with self._sound() as writer:
            writer.write(block)

    def pending(self) -> int:
        return 0 if self._writer is None else self._writer.pending()

    def flush(self) -> None:
        with self._sound() as writer:
            writer.flush()

    def close(self) -> None:
        """Deliver what is on its way, if that can be; what was not committed comes again."""
        if self._writer is not None:
            with contextlib.suppress(LogError):
                self._writer.close()

    @contextlib.contextmanager
    def _sound(self) -> Iterator[KafkaWriter]:
        """Give a writer that has not failed; give it up where it fails now."""
        if self._writer is None:
            self._writer = KafkaWriter(self._broker, self._settings, self._send)
        try:
            yield self._writer
        except LogError:
            writer, self._writer = self._writer, None
            writer.abandon()
            raise
