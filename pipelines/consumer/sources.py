"""Where forecasts are read from: partitions of one's own, or those that a group gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from pipelines.errors import LogError
from pipelines.log.protocol import Delivery, Listener, Log, Membership
from pipelines.log.records import Batch, Partition
from pipelines.logs import log as logger

Start = Literal["start", "end"] | Mapping[int, int]
"""From the first record that is kept, from what comes next, or from these offsets by partition."""


class Source(Protocol):
    """Records of one topic."""

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        """Return what is there, or nothing after `timeout_s`."""
        ...

    def finished(self) -> bool:
        """Return whether all is read that was there when the source was opened."""
        ...

    def commit(self, positions: Mapping[int, int]) -> None:
        """Let these positions outlive the process."""

    def close(self) -> None:
        """Stop reading."""


class Alone:
    """Every partition of a topic, from positions that the caller keeps."""

    def __init__(self, log: Log, topic: str, start: Start) -> None:
        self._topic = topic
        self._partitions = [Partition(topic, number) for number in range(log.partitions(topic))]
        self._reader = log.reader()
        try:
            self._ends = self._reader.ends(self._partitions)
            self._positions = _begin(self._reader.begins(self._partitions), self._ends, start)
            self._reader.assign(dict(self._positions))
        except BaseException:
            self._reader.close()
            raise

    @property
    def positions(self) -> dict[int, int]:
        """Where each partition was begun."""
        return {partition.number: offset for partition, offset in self._positions.items()}

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        return self._reader.poll(timeout_s, limit)

    def finished(self) -> bool:
        now = self._reader.positions()
        return all(now.get(p, self._positions[p]) >= end for p, end in self._ends.items())

    def commit(self, positions: Mapping[int, int]) -> None:
        raise LogError("there is no group to commit to: open the stream with group=, or keep `positions`")

    def close(self) -> None:
        self._reader.close()


class Together:
    """The partitions that a group gives to this member; they may change with every poll.

    `gone` is called with partitions that are another member's now: what was polled of them and not used
    yet must be forgotten, for the other reads it again.
    """

    def __init__(
        self, log: Log, topic: str, start: Start, group: str, instance: str, gone: Callable[[set[int]], None]
    ) -> None:
        if not isinstance(start, str):
            raise LogError("a group has its own positions: start must be 'start' or 'end'")
        self._topic, self._start, self._gone = topic, start, gone
        self._member = log.member(Membership(group, instance, Delivery.AT_LEAST_ONCE))
        self._member.join([topic], Listener(self._assigned, self._left, self._left))

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        return self._member.poll(timeout_s, limit)

    def finished(self) -> bool:
        return False

    def commit(self, positions: Mapping[int, int]) -> None:
        self._member.commit({Partition(self._topic, number): at for number, at in positions.items()})

    def close(self) -> None:
        self._member.close()

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        begins, ends = self._member.begins(partitions), self._member.ends(partitions)
        kept = {p: at for p, at in self._member.committed(partitions).items() if at is not None}
        fresh = begins if self._start == "start" else ends
        wanted = {p.number: kept.get(p, fresh[p]) for p in partitions}
        self._member.seek(_begin(begins, ends, wanted))

    def _left(self, partitions: frozenset[Partition]) -> None:
        self._gone({partition.number for partition in partitions})


def _begin(
    begins: Mapping[Partition, int], ends: Mapping[Partition, int], start: Start
) -> dict[Partition, int]:
    """Return where to begin; positions that are no longer kept move up, and that is logged."""
    if isinstance(start, str):
        return dict(begins if start == "start" else ends)
    found = {}
    for partition, first in begins.items():
        wanted = start.get(partition.number, first)
        if wanted > ends[partition]:
            raise LogError(
                f"position {wanted} of {partition.topic}/{partition.number} is beyond its end, "
                f"{ends[partition]}: the topic was made anew; begin with start='start'"
            )
        if wanted < first:
            logger.warning(
                "%d records of %s/%d are no longer kept: reading on from %d",
                first - wanted, partition.topic, partition.number, first,
            )  # fmt: skip
        found[partition] = max(wanted, first)
    return found
