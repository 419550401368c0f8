"""What a worker counts, and how Prometheus reads it.

The loop adds to plain numbers; they become metrics when somebody asks, in the thread of who asks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pipelines.stream.forecaster import COUNTS

if TYPE_CHECKING:
    from pipelines.log.records import Block

REASON_HEADER: Final = "error"

PREFIX: Final = "forecast_stream"

# From an embedded log's commit to a broker that has to elect a leader first.
_TRANSACTION_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a few series to millions.
_RESTORE_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_HELP: Final = {
    "ticks": "Records read from the ticks topic.",
    "forecasts": "Forecasts written.",
    "imputed": "Grid points filled by the model.",
    "duplicate": "Ticks of a grid point that was observed already; dropped.",
    "late": "Ticks too old to be used; sent to the late topic.",
    "patched": "Late ticks that were taken into the state.",
    "dead": "Ticks that cannot be used; sent to the dead-letter topic.",
    "warming": "Ticks of unknown series that had too few values yet for a forecast.",
    "replayed": "Ticks whose forecast was out already, read again after a restart.",
    "resets": "States begun anew after a gap beyond the cap.",
    "null_ahead": "Ticks without a value that bring regressors known ahead.",
    "transactions": "Commits.",
    "aborted": "Transactions that were aborted; their ticks are done again.",
    "retries": "Faults of the log after which the worker went on.",
    "rebalances": "Times that partitions came, went or were lost.",
    "swaps": "Model versions taken into use.",
    "swaps_refused": "Model versions that were announced and could not be used.",
    "restored": "Partitions whose state was restored.",
    "skipped": "Ticks that the log no longer kept when they were to be read.",
    "snapshots": "Snapshots written.",
    "snapshots_refused": "Snapshot files that were not used.",
    "snapshots_failed": "Snapshots that could not be written.",
}
_GAUGES: Final = {
    "pending_bytes": "Bytes written that the log has not acknowledged.",
    "partitions_restoring": "Partitions whose state is being restored.",
    "paused": "1 while reading waits for what was written.",
}


@dataclass(slots=True)
class Totals:
    """Numbers since the worker started; the loop's thread writes, any thread reads."""

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_HELP, 0)))
    """By the names above."""
    dead_reasons: Counter[str] = field(default_factory=Counter)
    lag: dict[int, int] = field(default_factory=dict)
    """Ticks not handled yet, by partition; replaced whole."""
    newest_s: float = 0.0
    """Time of the newest tick handled, seconds since 1970; 0: none yet."""
    gauges: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_GAUGES, 0.0))

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        self.counts[name] += amount

    def take(self, counts: object) -> None:
        """Add what an engine counted."""
        for name in COUNTS:
            amount = getattr(counts, name)
            if amount:
                self.counts[name] += amount

    def bury(self, blocks: Iterable[Block], dead_topic: str) -> None:
        """Count dead letters by the reason in their headers."""
        for block in blocks:
            if block.partition.topic == dead_topic:
                for headers in block.headers:
                    reason = dict(headers).get(REASON_HEADER, b"unknown")
                    self.dead_reasons[reason.decode("ascii", "replace")] += 1


class Metrics:
    """The registry of one worker; none of the process is touched."""

    def __init__(self, totals: Totals) -> None:
        self.registry = CollectorRegistry()
        self.transaction_s = Histogram(
            f"{PREFIX}_transaction_seconds", "From the first write to the end of the commit.",
            buckets=_TRANSACTION_S, registry=self.registry,
        )  # fmt: skip
        self.restore_s = Histogram(
            f"{PREFIX}_restore_seconds", "From the assignment of a partition to its first tick.",
            buckets=_RESTORE_S, registry=self.registry,
        )  # fmt: skip
        self.totals = totals
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the numbers as they are now (called by the registry)."""
        totals = self.totals
        for name, help_ in _HELP.items():
            yield CounterMetricFamily(f"{PREFIX}_{name}", help_, value=totals.counts[name])
        dead = CounterMetricFamily(
            f"{PREFIX}_dead_lettered", "Ticks sent to the dead-letter topic.", labels=["reason"]
        )
        for reason, count in sorted(totals.dead_reasons.copy().items()):
            dead.add_metric([reason], count)
        yield dead
        lag = GaugeMetricFamily(f"{PREFIX}_lag", "Ticks not handled yet.", labels=["partition"])
        for number, value in sorted(totals.lag.items()):
            lag.add_metric([str(number)], value)
        yield lag
        yield GaugeMetricFamily(
            f"{PREFIX}_watermark_delay_seconds",
            "Age of the newest tick handled, by the time that the log gave it; 0 before the first.",
            value=time.time() - totals.newest_s if totals.newest_s else 0.0,
        )
        for name, help_ in _GAUGES.items():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help_, value=totals.gauges[name])
