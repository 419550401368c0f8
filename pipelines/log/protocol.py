"""What the stream asks of a log; each back end passes the same suite (`tests/contracts/test_log.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from pipelines.errors import SettingsError
from pipelines.log.records import Batch, Block, Partition
from pipelines.log.retention import tell_skipped


class Delivery(StrEnum):
    """What a crash may do to the output."""

    EXACTLY_ONCE = "exactly-once"
    """Outputs, state and positions become visible together, or not at all."""
    AT_LEAST_ONCE = "at-least-once"
    """Nothing is lost; what was in flight may come twice."""


# Of compact topics: compaction begins once this share of a partition is superseded, and looks at segments
# that are closed. By Kafka's defaults a quiet state topic would still be read whole after days.
COMPACT: Final = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.2",
    "segment.ms": "600000",
    "max.compaction.lag.ms": "3600000",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic to be made."""

    name: str
    partitions: int
    compact: bool = False
    """Keep the last record of every key, for ever."""


@dataclass(frozen=True, slots=True)
class Membership:
    """How a worker takes part; `SettingsError` where a name is empty."""

    group: str
    instance: str
    """Name of the worker, stable over restarts: its transactions fence those of a worker of this name
    before it, and it gets its partitions back without a rebalance."""
    delivery: Delivery = Delivery.EXACTLY_ONCE
    session_timeout_s: float = 10.0
    transaction_timeout_s: float = 30.0
    linger_ms: int = 1

    def __post_init__(self) -> None:
        for name in ("group", "instance"):
            if not getattr(self, name).strip():
                raise SettingsError(f"the {name} of a worker needs a name, got {getattr(self, name)!r}")

    @property
    def transactional_id(self) -> str:
        """Name under which transactions fence those before; no two workers share it."""
        return f"{self.group}-{self.instance}-{len(self.group)}"


@dataclass(frozen=True, slots=True)
class Listener:
    """Called out of `Member.poll`, in the thread that polls."""

    assigned: Callable[[frozenset[Partition]], None]
    """Partitions that are new here."""
    revoked: Callable[[frozenset[Partition]], None]
    """Partitions that go to another member, which waits: work on them can still be committed."""
    lost: Callable[[frozenset[Partition]], None]
    """Partitions that are another's already: what was done on them must be forgotten."""
    skipped: Callable[[Partition, int, int], object] = tell_skipped
    """Records of a partition from an offset up to another, which were deleted before they were read."""


class Member(Protocol):
    """A member of a group: reads partitions that the group gives it, and writes what comes of them.

    Not for two threads at once. Every call may raise `LogError`, `FencedError` (another worker has taken
    this one's place: all state is void) and, with exactly-once, `AbortedError` (the transaction is gone,
    with everything written since `begin`; the member itself is sound: seek back, and go on).
    """

    def join(self, topics: Sequence[str], listener: Listener) -> None:
        """Become a member; partitions come with `poll`."""
        ...

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        """Return what is there, `limit` records at most (roughly), or nothing after `timeout_s`."""
        ...

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read on from these offsets."""
        ...

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Stop reading these, until `resume`; `poll` must still be called."""
        ...

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Read these again."""
        ...

    def committed(
        self, partitions: Iterable[Partition], within_s: float | None = None
    ) -> dict[Partition, int | None]:
        """Return the committed positions; None where there is none.

        Waits until no open transaction holds a position of these partitions: about `within_s` at most, then
        raises `LogError`, retriable; None: as long as a transaction can take.
        """
        ...

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return where each partition is read on, past markers already seen; none that is not known yet."""
        ...

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that the next records will have."""
        ...

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offsets that are still kept."""
        ...

    def begin(self) -> None:
        """Start a transaction (exactly-once)."""
        ...

    def write(self, block: Block) -> None:
        """Append records; they are on their way when this returns."""
        ...

    def pending(self) -> int:
        """Return how many bytes written are not acknowledged yet."""
        ...

    def barrier(self) -> None:
        """Wait until what was written is acknowledged (at-least-once)."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Make what was written, and these positions, last: together, or (at-least-once) in this order."""
        ...

    def abort(self) -> None:
        """Forget what was written since `begin`."""
        ...

    def close(self) -> None:
        """Leave; an open transaction is aborted."""
        ...


class Reader(Protocol):
    """Reads partitions that it is told, committed records only; for one thread."""

    def assign(self, positions: Mapping[Partition, int | None]) -> None:
        """Read these partitions and no others, from these offsets on; None: from the first that is kept."""
        ...

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        """Return what is there, or nothing after `timeout_s`."""
        ...

    def positions(self) -> dict[Partition, int]:
        """Return where each partition will be read on: past markers and aborted records already seen."""
        ...

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offsets that are still kept."""
        ...

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that the next records will have, open transactions included.

        Who reads until `positions` are here has waited for those transactions to be decided.
        """
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


class Writer(Protocol):
    """Appends records outside of any group: ticks, control messages."""

    def write(self, block: Block) -> None:
        """Append records; they are on their way when this returns."""
        ...

    def pending(self) -> int:
        """Return how many bytes written are not acknowledged yet."""
        ...

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        ...

    def close(self) -> None:
        """Flush, and stop."""
        ...


class Log(Protocol):
    """A place with topics."""

    def make_topics(self, topics: Iterable[Topic]) -> None:
        """Make those that are not there; one that is keeps its partitions."""
        ...

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; `LogError` where there is no such topic."""
        ...

    def member(self, membership: Membership) -> Member:
        """Return a worker's end of the log."""
        ...

    def reader(self) -> Reader:
        """Return an end that reads."""
        ...

    def writer(self, linger_ms: int = 5) -> Writer:
        """Return an end that writes."""
        ...

    def close(self) -> None:
        """Let go of what the log itself holds."""
        ...
