"""What the worker asks of an engine: so that the loop can be read, and tested, without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipelines.log.records import Batch, Block
    from pipelines.stream.served import Served

# Fields of `Counts`; what happened to the ticks of a batch.
COUNTS = (
    "ticks", "forecasts", "imputed", "duplicate", "late", "patched", "dead", "warming", "replayed",
    "resets", "null_ahead",
)  # fmt: skip


class Output(Protocol):
    """What one batch led to."""

    @property
    def blocks(self) -> Sequence[Block]:
        """Forecasts, state, late ticks and dead letters, for the partition of the batch."""
        ...

    @property
    def counts(self) -> object:
        """Has an int for each of `COUNTS`."""
        ...


class Forecaster(Protocol):
    """States of the series of some partitions, which batches of ticks move; no clock, no I/O.

    For one thread. `process`, `restore` and `state_blocks` are for partitions that are open.
    """

    @property
    def partitions(self) -> frozenset[int]:
        """Partitions that are open."""
        ...

    def open(self, number: int) -> None:
        """Begin a partition with no state."""
        ...

    def drop(self, number: int) -> None:
        """Forget a partition and its state."""
        ...

    def restore(self, number: int, batch: Batch) -> None:
        """Take state records, in their order; the last one of a key wins."""
        ...

    def process(self, batch: Batch) -> Output:
        """Move the states by ticks of one partition, and return what is to be written."""
        ...

    def swap(self, served: Served) -> None:
        """Go on with another version of the model."""
        ...

    def state_blocks(self, number: int) -> Iterator[Block]:
        """Return the whole state of a partition as state records."""
        ...

    def n_series(self, number: int) -> int:
        """Return how many series a partition has."""
        ...
