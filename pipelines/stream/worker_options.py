"""How a worker paces itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker paces itself."""

    commit_interval_s: float = 0.1
    """With exactly-once, forecasts are seen this much later at most."""
    batch_limit: int = 20_000
    """Ticks a poll: what one turn of the loop takes."""
    linger_s: float = 0.0
    """After a poll that brought few ticks the next one waits so long: a turn of the loop, and every partition
    in it, has a fixed cost, that of some hundred ticks. A tick after silence is not kept waiting."""
    idle_wait_s: float = 0.25
    pending_limit: int = 64 << 20
    """Bytes written and not acknowledged, beyond which reading waits."""
    patience_s: float = 60.0
    """Faults of the log are met by trying again for so long; then the worker ends, to be started anew."""
