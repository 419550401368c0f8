"""Ticks to a log, at their pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Final

import numpy as np

from forecast.types import F64, I64
from pipelines.log.partitioning import partition_of
from pipelines.log.protocol import Log, Writer
from pipelines.log.records import Block, Pair, Partition, make_block
from pipelines.replay.pace import Pace
from pipelines.replay.ticks import TickTable

# Ticks encoded at once: some ms of work between two looks at the clock.
_CHUNK: Final = 4096
# Kafka's default limit of a batch is 1 MiB with what it adds.
_BLOCK_BYTES: Final = 500_000
# What may be on its way: a second of a slow disk. More would only lie in memory.
_PENDING_BYTES: Final = 16 << 20
# How long a stop may wait for the pace.
_PATIENCE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Sent:
    """What a replay did."""

    ticks: int
    total: int
    """Ticks that there were to send."""
    missing: int
    """Ticks without a value."""
    series: int
    bytes: int
    partitions: tuple[int, ...]
    """Ticks by partition."""
    seconds: float


def replay(
    log: Log,
    topic: str,
    ticks: TickTable,
    pace: Pace | None = None,
    stopping: Event | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> Sent:
    """Send ticks, keyed by series, each to the partition that its key has with every Kafka producer.

    Parameters
    ----------
    topic
        Must be there.
    pace
        Left out, as fast as the log takes them.
    stopping
        When set, what was sent is flushed and the rest stays.
    progress
        Called with the number of ticks just sent.

    Raises
    ------
    LogError
        The log cannot be written.
    InputError
        A tick is too long.
    """
    began = time.monotonic()
    keys = [one.encode() for one in ticks.ids]
    n_partitions = log.partitions(topic)
    places = np.array([partition_of(key, n_partitions) for key in keys], dtype=np.int64)
    writer, done, size = log.writer(), 0, 0
    try:
        for first, last in _turns(len(ticks), (pace or Pace()).due(ticks.ts_ms), stopping or Event()):
            for block in _blocks(topic, ticks, first, last, keys, places):
                _make_room(writer)
                writer.write(block)
                size += len(block.data)
            done = last
            progress(last - first)
    finally:
        writer.close()
    sent = ticks.series[:done]
    counts = np.bincount(places[sent], minlength=n_partitions)
    missing = int(np.isnan(ticks.value[:done]).sum())
    n_series = len(np.unique(sent))
    seconds = time.monotonic() - began
    return Sent(done, len(ticks), missing, n_series, size, tuple(counts.tolist()), seconds)


def _turns(total: int, due: F64 | None, stopping: Event) -> Iterator[tuple[int, int]]:
    """Yield bounds of ticks that are due, when they are."""
    began, at = time.monotonic(), 0
    while at < total and not stopping.is_set():
        end = min(at + _CHUNK, total)
        if due is not None:
            elapsed = time.monotonic() - began
            end = min(end, int(np.searchsorted(due, elapsed, side="right")))
            if end <= at:
                stopping.wait(min(float(due[at]) - elapsed, _PATIENCE_S))
                continue
        yield at, end
        at = end


def _blocks(
    topic: str, ticks: TickTable, first: int, last: int, keys: list[bytes], places: I64
) -> Iterator[Block]:
    """Yield ticks `first` to before `last` by partition, in blocks that a log takes."""
    series = ticks.series[first:last].tolist()
    pairs: dict[int, list[Pair]] = {}
    for s, message in zip(series, ticks.messages(first, last), strict=True):
        pairs.setdefault(int(places[s]), []).append((keys[s], message))
    for number, found in pairs.items():
        begin, size = 0, 0
        for i, (key, value) in enumerate(found):
            more = len(key or b"") + len(value or b"")
            if i > begin and size + more > _BLOCK_BYTES:
                yield make_block(Partition(topic, number), found[begin:i])
                begin, size = i, 0
            size += more
        yield make_block(Partition(topic, number), found[begin:])


def _make_room(writer: Writer) -> None:
    while writer.pending() > _PENDING_BYTES:
        time.sleep(0.001)
