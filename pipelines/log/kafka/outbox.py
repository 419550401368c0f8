"""Records on their way to the brokers: how much is not acknowledged, and what went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from forecast.types import I64
from pipelines.errors import LogError
from pipelines.log.kafka.client import errors, kafka
from pipelines.log.records import Block, split

# A batch may have 1 MiB, with its header, by the defaults of topics (max.message.bytes) and of clients.
MOST_BYTES: Final = 900_000
# Lengths, times, offsets of one record; varints of ten bytes at most.
_AROUND: Final = 32


class Sent(NamedTuple):
    """Something that will be acknowledged, or fail, as a whole."""

    size: int
    future: Any


Send = Callable[[Any, Block], list[Sent]]
"""Gives a block, small enough for one batch, to a producer."""


class Outbox:
    """Counts what a producer has not delivered yet; one thread writes, the producer's own reports.

    Not every failure of the client reaches the transaction that it is part of: a batch that expires is
    merely dropped, and the rest could be committed. So whoever commits waits here first.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._pending = 0
        self._error: BaseException | None = None
        self._age = 0

    def write(self, producer: Any, block: Block) -> None:  # noqa: ANN401  # a client without types
        """Send a block in pieces that fit a batch."""
        self.check()
        for piece in pieces(block):
            for size, future in self._send(producer, piece):
                with self._changed:
                    self._pending += size
                future.add_callback(partial(self._done, self._age, size, None))
                future.add_errback(partial(self._failed, self._age, size))

    def pending(self) -> int:
        return self._pending

    def check(self) -> None:
        """Raise what went wrong since `forget`."""
        if self._error is not None:
            raise self._error

    def wait(self, timeout_s: float) -> None:
        """Wait until everything is acknowledged; raise what went wrong, or `KafkaTimeoutError`."""
        ends = time.monotonic() + timeout_s
        with self._changed:
            while self._pending and self._error is None:
                left = ends - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    said = f"{self._pending} bytes were not acknowledged within {timeout_s:g} s"
                    raise errors.KafkaTimeoutError(said)
        self.check()

    def forget(self) -> None:
        """Begin anew: what is still on its way counts no more."""
        with self._changed:
            self._age += 1
            self._pending, self._error = 0, None

    @property
    def error(self) -> BaseException | None:
        """What went wrong first, since `forget`."""
        return self._error

    def _failed(self, age: int, size: int, error: BaseException) -> None:
        self._done(age, size, error, None)

    def _done(self, age: int, size: int, error: BaseException | None, _: object) -> None:
        with self._changed:
            if age != self._age:
                return
            self._pending -= size
            if self._error is None:
                self._error = error
            if self._pending == 0 or self._error is not None:
                self._changed.notify_all()


def pieces(block: Block) -> Iterator[Block]:
    """Cut a block so that each piece fits into one batch.

    Raises
    ------
    LogError
        One record alone is too large.
    """
    ends = np.cumsum(_sizes(block))
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + MOST_BYTES, side="right"))
        if last == first:
            raise LogError(
                f"a record of {int(ends[first]) - before} bytes is too large, at most {MOST_BYTES} are sent"
            )
        yield _part(block, first, last)
        first = last


def _sizes(block: Block) -> I64:
    sizes: I64 = (block.keys[:, 1] - block.keys[:, 0]) + (block.values[:, 1] - block.values[:, 0]) + _AROUND
    if block.headers:
        sizes = sizes + np.array(
            [sum(len(name.encode()) + len(value) + 10 for name, value in each) for each in block.headers],
            dtype=np.int64,
        )
    return sizes


def _part(block: Block, first: int, last: int) -> Block:
    if first == 0 and last == len(block.keys):
        return block
    headers = block.headers[first:last] if block.headers else ()
    return block._replace(keys=block.keys[first:last], values=block.values[first:last], headers=headers)


def send_records(producer: Any, block: Block) -> list[Sent]:  # noqa: ANN401  # a client without types
    """Send record by record, through the client's public call."""
    topic, number = kafka.TopicPartition(*block.partition)
    keys, values = split(block.data, block.keys), split(block.data, block.values)
    sent = []
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        headers = list(block.headers[i]) if block.headers else None
        future = producer.send(topic, value, key, headers, partition=number)
        sent.append(Sent(len(key or b"") + len(value or b"") + _AROUND, future))
    return sent
