"""A producer of librdkafka: blocks in, failures out, and how much is on its way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipelines.errors import LogError
from pipelines.log.confluent.faults import FATAL, fault, reason
from pipelines.log.confluent.topics import Topics
from pipelines.log.records import Block, split

Texts = list[bytes | None]
Headers = list[tuple[str, str | bytes | None]]

# How long a call waits for room in the queue of librdkafka before it looks again.
ROOM_S = 0.01
# Records in one call of librdkafka: beyond some hundreds, more gain nothing.
CHUNK = 2_000
# What may be on its way before a block waits, and the largest block that is sent in chunks: a chunk that
# meets a full queue would be queued with holes, so the queue (`settings.WRITING`) has room for twice that.
MAX_RECORDS = 200_000
MAX_BYTES = 96 << 20
CHUNKED_BYTES = 32 << 20


class Sender:
    """Appends blocks, and knows what was not acknowledged.

    Parameters
    ----------
    settings
        Of librdkafka.
    patience_s
        How long a record may take: after it, it failed.
    topics
        Where partitions are looked up before they are written to.
    who
        Begins the text of errors.
    """

    def __init__(self, settings: Mapping[str, Any], patience_s: float, topics: Topics, who: str = "") -> None:
        failures: list[KafkaError] = []

        def failed(cause: KafkaError | None, _: Message) -> None:
            if cause is not None and not failures:
                failures.append(cause)

        # No reference from the callback to this object: the producer must go when this goes.
        self._failures = failures
        self._patience_s = patience_s
        self._topics = topics
        self._who = who
        self._sent: deque[tuple[int, int]] = deque()  # records and bytes of each block, oldest first
        self._records = 0
        self._bytes = 0
        self.producer = Producer({**settings, "on_delivery": failed, "delivery.report.only.error": True})

    def send(self, block: Block) -> None:
        """Put records on their way; waits while too many are.

        Raises
        ------
        LogError
            There is no such partition, a record cannot be sent, or none was acknowledged for `patience_s`.
        """
        self._topics.check([block.partition])
        keys, values = split(block.data, block.keys), split(block.data, block.values)
        topic, number = block.partition
        try:
            if block.headers or len(block.data) > CHUNKED_BYTES:
                self._send_one_by_one(block, keys, values)
            else:
                self._send_chunks(topic, number, keys, values)
            self.producer.poll(0)
        except KafkaException as error:
            raise self._fault(f"writing to {topic}-{number}", error) from error
        self._sent.append((len(values), len(block.data)))
        self._records += len(values)
        self._bytes += len(block.data)

    def pending(self) -> int:
        """Return about how many bytes are not acknowledged: those of the newest records."""
        self._serve(0)
        left = len(self.producer)
        sent = self._sent
        while sent and self._records - sent[0][0] >= left:
            records, size = sent.popleft()
            self._records -= records
            self._bytes -= size
        return self._bytes

    def flush(self) -> None:
        """Wait until everything is acknowledged.

        Raises
        ------
        LogError
            A record failed: it may be in the log, or not.
        """
        ends = time.monotonic() + self._patience_s
        while self.producer.flush(1.0) and not self._failures and time.monotonic() < ends:
            self._serve(0)
        self.check()
        if left := len(self.producer):
            raise LogError(
                f"{self._who}{left} records not acknowledged after {self._patience_s:g} s", retriable=True
            )
        self.forget()

    def check(self) -> None:
        """Raise `LogError` if a record failed since the last time."""
        if self._failures:
            raise fault(f"{self._who}writing", self._failures.pop())

    def forget(self) -> None:
        """Drop the failures and counts of what was given up, or is done."""
        self._failures.clear()
        self._sent.clear()
        self._records = self._bytes = 0

    def _send_chunks(self, topic: str, number: int, keys: Texts, values: Texts) -> None:
        for first in range(0, len(values), CHUNK):
            texts = zip(values[first : first + CHUNK], keys[first : first + CHUNK], strict=True)
            chunk = [{"value": value, "key": key} for value, key in texts]
            self._wait_for_room()
            if self.producer.produce_batch(topic, chunk, number) < len(chunk):
                refused: list[Any] = [record["_error"] for record in chunk if "_error" in record]
                raise KafkaException(refused[0])

    def _send_one_by_one(self, block: Block, keys: Texts, values: Texts) -> None:
        topic, number = block.partition
        for value, key, names in zip(values, keys, block.headers or repeat(()), strict=False):
            headers: Headers = list(names)
            ends = time.monotonic() + self._patience_s
            while True:
                try:
                    self.producer.produce(topic, value, key, number, headers=headers)
                    break
                except BufferError:
                    self._wait(ends)

    def _wait_for_room(self) -> None:
        ends = time.monotonic() + self._patience_s
        while len(self.producer) > MAX_RECORDS or (self._bytes > MAX_BYTES and self.pending() > MAX_BYTES):
            self._wait(ends)

    def _wait(self, ends: float) -> None:
        if time.monotonic() > ends:
            text = f"{self._who}no record was acknowledged for {self._patience_s:g} s"
            raise LogError(text, retriable=True)
        self.producer.poll(ROOM_S)

    def _serve(self, timeout_s: float) -> None:
        """Let librdkafka report; it raises what is fatal."""
        try:
            self.producer.poll(timeout_s)
        except KafkaException as error:
            raise self._fault("writing", error) from error

    def _fault(self, doing: str, error: KafkaException) -> LogError:
        cause = reason(error)
        if cause.code() == FATAL:  # it happened before; a call on transactions tells what
            try:
                self.producer.abort_transaction(0)
            except KafkaException as told:
                cause = reason(told)
        return fault(f"{self._who}{doing}", cause)
