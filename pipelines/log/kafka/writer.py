"""Writes records to Kafka, outside of transactions."""

from __future__ import annotations

from typing import Any, Final

from pipelines.log.kafka.broker import Broker
from pipelines.log.kafka.faults import naming_faults
from pipelines.log.kafka.outbox import Outbox, Send
from pipelines.log.kafka.producer import close_producer, open_producer
from pipelines.log.records import Block

# What was not delivered in time is reported by the client a little later.
_MARGIN_S: Final = 2.0


class KafkaWriter:
    """`Writer` on Kafka: every record once and in order, as long as the writer lives (idempotent).

    After an error it is of no more use; what was not acknowledged may or may not be there.
    """

    def __init__(self, broker: Broker, settings: dict[str, Any], send: Send) -> None:
        self._broker = broker
        self._outbox = Outbox(send)
        self._patience_s = settings["delivery_timeout_ms"] / 1000 + _MARGIN_S
        with naming_faults(broker.address):
            self._producer = open_producer(settings)

    def write(self, block: Block) -> None:
        self._broker.check(block.partition)
        with naming_faults(self._broker.address):
            self._outbox.write(self._producer, block)

    def pending(self) -> int:
        return self._outbox.pending()

    def flush(self) -> None:
        with naming_faults(self._broker.address):
            self._outbox.wait(self._patience_s)

    def close(self) -> None:
        try:
            if self._outbox.error is None:
                self.flush()
        finally:
            close_producer(self._producer)

    def abandon(self) -> None:
        """End without waiting for what is on its way."""
        close_producer(self._producer, 0)
