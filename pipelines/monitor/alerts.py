"""Drift events on the wire, for whoever has to know at once."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pipelines.errors import LogError
from pipelines.log.partitioning import partition_of
from pipelines.log.records import Pair, Partition, make_block
from pipelines.logs import log as logger
from pipelines.wire import DriftEvent, encode_drift

if TYPE_CHECKING:
    from pipelines.log.protocol import Log, Writer
    from pipelines.store.events import NewEvent

_LARGEST: Final = sys.float_info.max


class Alerts:
    """Writes drift events to a topic; call it once they are in the store, and again after a fault.

    A message is out when `send` returns. Repeats have equal `dedup_key`: who reads them drops those it has.

    Parameters
    ----------
    topic
        There already; `LogError` where it is not.
    """

    def __init__(self, log: Log, topic: str) -> None:
        self.topic, self._log = topic, log
        self._partitions = log.partitions(topic)
        self._writer: Writer | None = None

    def send(self, events: Sequence[NewEvent]) -> int:
        """Write events, in their order a series, and return how many.

        Raises
        ------
        LogError
            They may be out in part, and are to be sent again.
        WireError
            One cannot be a message: a text is empty or too long. None was written.
        """
        blocks = self._blocks(events)
        if not blocks:
            return 0
        try:
            writer = self._writer = self._writer or self._log.writer()
            for partition, pairs in sorted(blocks.items()):
                writer.write(make_block(Partition(self.topic, partition), pairs))
            writer.flush()
        except BaseException:
            self._forget()
            raise
        return len(events)

    def close(self) -> None:
        """Let go of the log's end."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _blocks(self, events: Iterable[NewEvent]) -> dict[int, list[Pair]]:
        found: dict[int, list[Pair]] = {}
        for event in events:
            key = (event.model if event.series_key is None else event.series_key).encode()
            found.setdefault(partition_of(key, self._partitions), []).append(
                (key, encode_drift(to_wire(event)))
            )
        return found

    def _forget(self) -> None:
        """Give up a writer that failed: what it still holds must not come after what is sent again."""
        try:
            self.close()
        except LogError as error:  # the fault that led here is the one to be told
            logger.debug("the writer of %s: %s", self.topic, error)


def to_wire(event: NewEvent) -> DriftEvent:
    """Return an event as a message; what is infinite becomes the largest number, which JSON has."""
    return DriftEvent(
        series_id=event.series_key, ts_ms=event.ts_ms, model=event.model, version=event.version,
        detector=event.detector, statistic=_finite(event.statistic), threshold=_finite(event.threshold),
        dedup_key=event.dedup_key, v=1,
    )  # fmt: skip


def _finite(value: float) -> float:
    return 0.0 if math.isnan(value) else max(-_LARGEST, min(value, _LARGEST))
