"""A producer of librdkafka: blocks in, failures out, and how much is on its way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from forecast.types import I64, U8
from pipelines.errors import LogError
from pipelines.log.confluent.faults import FATAL, fault, reason
from pipelines.log.confluent.topics import Topics
from pipelines.log.records import ABSENT, Block

Headers = list[tuple[str, str | bytes | None]]

# How long a call waits for room in the queue of librdkafka before it looks again.
ROOM_S = 0.01
# Records whose texts are cut out at once: they then stay in the cache of a core until librdkafka has copied
# them. Of a whole block of forecasts, megabytes, each is twice as dear.
CHUNK = 256


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
        self._settings = {**settings, "on_delivery": failed, "delivery.report.only.error": True}
        self._failures = failures
        self._patience_s = patience_s
        self._topics = topics
        self._who = who
        self._sent: deque[tuple[int, int]] = deque()  # records and bytes of each block, oldest first
        self._records = 0
        self._bytes = 0
        self.producer = Producer(self._settings)

    def renew(self) -> None:
        """Take another producer: this one is of no more use, and what it had on its way is given up."""
        self.producer.purge()
        self.producer = Producer(self._settings)
        self.forget()

    def send(self, block: Block) -> None:
        """Put records on their way; waits while too many are.

        Raises
        ------
        LogError
            There is no such partition, a record cannot be sent, or there was no room within `patience_s`.
        """
        self._topics.check([block.partition])
        ends = time.monotonic() + self._patience_s
        try:
            for first in range(0, len(block.keys), CHUNK):
                self._send(block, slice(first, first + CHUNK), ends)
            self.producer.poll(0)
        except KafkaException as error:
            where = f"{block.partition.topic}-{block.partition.number}"
            raise self._fault(f"writing to {where}", error) from error
        self._sent.append((len(block.keys), len(block.data)))
        self._records += len(block.keys)
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
        if len(self.producer):
            raise self._late()
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

    def _send(self, block: Block, some: slice, ends: float) -> None:
        topic, number = block.partition
        keys, values = _cut(block.data, block.keys[some]), _cut(block.data, block.values[some])
        if block.headers:
            for value, key, names in zip(values, keys, block.headers[some], strict=True):
                self._send_late(ends, topic, value, key, number, list(names))
            return
        produce = self.producer.produce
        for value, key in zip(values, keys, strict=True):
            try:
                produce(topic, value, key, number)
            except BufferError:
                self._send_late(ends, topic, value, key, number)

    def _send_late(
        self, ends: float, topic: str, value: bytes | None, key: bytes | None, number: int,
        headers: Headers | None = None,
    ) -> None:  # fmt: skip
        """Send one record, and wait for room where there is none."""
        while True:
            try:
                self.producer.produce(topic, value, key, number, headers=headers)
            except BufferError:
                if time.monotonic() > ends:
                    raise self._late() from None
                self.producer.poll(ROOM_S)
            else:
                return

    def _late(self) -> LogError:
        text = f"{self._who}{len(self.producer)} records not acknowledged after {self._patience_s:g} s"
        return LogError(text, retriable=True)

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


def _cut(data: U8, bounds: I64) -> list[bytes | None]:
    first, last = int(bounds[:, 0].min()), int(bounds[:, 1].max())
    if first == ABSENT:
        return [None if i == ABSENT else data[i:j].tobytes() for i, j in bounds.tolist()]
    text = data[first:last].tobytes()
    return [text[i:j] for i, j in (bounds - first).tolist()]
