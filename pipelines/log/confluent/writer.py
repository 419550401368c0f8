"""A writer outside of any group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.log.confluent.sender import Sender
from pipelines.log.confluent.topics import Topics
from pipelines.log.records import Block


class ConfluentWriter:
    """`Writer` by librdkafka, idempotent: a record is in the log once, whatever was sent again."""

    def __init__(self, settings: Mapping[str, Any], patience_s: float, topics: Topics) -> None:
        self._sender = Sender(settings, patience_s, topics)

    def write(self, block: Block) -> None:
        """Append records; they are on their way when this returns."""
        self._sender.send(block)
        self._sender.check()

    def pending(self) -> int:
        """Return how many bytes written are not acknowledged yet."""
        return self._sender.pending()

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        self._sender.flush()

    def close(self) -> None:
        """Flush, and stop."""
        self._sender.flush()
