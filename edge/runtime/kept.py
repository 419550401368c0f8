"""What is kept of a series between two ticks, and where: in memory, or (`state`) on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Ticks that are kept of every series, for a release that knows the data up to an earlier time: eight days of
# quarter hours. A tick is about 100 bytes.
KEEP_TICKS: Final = 768


class Kept(NamedTuple):
    """Where a series stands."""

    ts_ms: int
    """Time of the last point seen or filled."""
    t: int
    """Points seen, filled ones included."""
    gap: int
    """Points filled since the last observed one."""
    state: F64
    """(M,)"""
    cov: F64 | None
    """(M, M); None where the state is known exactly."""
    tail: F64
    """(n_step_past, K) regressors of the last points, oldest first."""


class PastTick(NamedTuple):
    """A tick as it came: `value` None where it was missing, `exog` the values at its own time."""

    ts_ms: int
    value: float | None
    exog: Mapping[str, float]


class KeptStates(Protocol):
    """Where states are kept. Between entering and leaving `transaction` nobody else reads or writes."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written inside becomes visible at its end, or nothing where it raises."""
        ...

    def get(self, series: str) -> Kept | None:
        """Return where a series stands; None where it has not moved yet."""
        ...

    def put(self, series: str, kept: Kept, tick: PastTick) -> None:
        """Write where a series stands after a tick."""
        ...

    def after(self, series: str, ts_ms: int) -> Sequence[PastTick]:
        """Return the kept ticks of a series that are later than `ts_ms`, oldest first."""
        ...


@dataclass(slots=True)
class MemoryStates:
    """States that end with the process."""

    kept: dict[str, Kept] = field(default_factory=dict)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write straight through: `put` is the last thing a step does."""
        yield

    def get(self, series: str) -> Kept | None:
        """Return where a series stands."""
        return self.kept.get(series)

    def put(self, series: str, kept: Kept, tick: PastTick) -> None:
        """Keep where a series stands; there is no other release that could want the tick."""
        self.kept[series] = kept

    def after(self, series: str, ts_ms: int) -> Sequence[PastTick]:
        """No ticks are kept."""
        return ()
