"""What a monitor counts, and how Prometheus reads it: no label is a series or a version."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from pipelines.monitor.scoring import WindowScores

PREFIX: Final = "forecast_monitor"

_COUNTERS: Final = {
    "forecasts": "Forecasts read.",
    "counted": "Innovations that detectors took.",
    "duplicate": "Forecasts of a tick whose innovation was taken already.",
    "imputed": "Forecasts without an innovation: their tick was imputed.",
    "stranger": "Forecasts of series that their version has no model of; they are not watched.",
    "elsewhere": "Forecasts that were made of other ticks than those that are read.",
    "skipped": "Forecasts that the log no longer kept when they were to be read.",
    "restarted": "Series whose detectors began anew, for their model is another.",
    "alarms": "Alarms of detectors.",
    "cooled": "Alarms that were not told, for one of their series was told before.",
    "gated": "Alarms that are a fault of the feed together.",
    "ticks": "Ticks read.",
    "commits": "Commits of events, state and positions.",
    "conflicts": "Commits that another monitor of the group was ahead of.",
    "jobs": "Retraining jobs that events were put to.",
    "told": "Alerts written to their topic.",
    "paths": "Forecast paths scored.",
    "paths_late": "Forecast paths in no score: they ended too late, or by a wrong clock.",
    "windows": "Windows of scores written.",
    "archived": "Ticks archived.",
    "merges": "Merges of files of the archive.",
    "retries": "Faults of the log or the store after which the monitor went on.",
    "healed": "Faults of the feed that are over.",
}
_GAUGES: Final = {
    "series": "Series that the monitor knows.",
    "series_active": "Series that had a tick lately.",
    "archive_files": "Files of archived ticks.",
    "held": "Alarms that wait for others of their window.",
    "waiting": "Partitions that wait for a version, or for the store.",
}
# One model a version, as a rule, with its baselines; detectors are our own. More labels than this are
# somebody's names, and are counted together.
_MOST_LABELS: Final = 64
OTHER: Final = "other"


@dataclass(slots=True)
class Totals:
    """Numbers since the monitor started; the loop's thread writes, any thread reads."""

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTERS, 0)))
    """By the names above."""
    gauges: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_GAUGES, 0.0))
    events: Counter[str] = field(default_factory=Counter)
    """Recorded, by detector."""
    bad: Counter[str] = field(default_factory=Counter)
    """Messages left out, by reason."""
    lag: dict[tuple[str, int], int] = field(default_factory=dict)
    """Messages not taken yet, by topic and partition; replaced whole."""
    fleet: dict[tuple[str, str], float] = field(default_factory=dict)
    """Scores of the last window, by model and metric; replaced whole."""
    window_s: float = 0.0
    """When a window was written last, seconds since 1970; 0: never."""

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        self.counts[name] += amount

    def record(self, detectors: Iterable[str]) -> None:
        """Count events by their detectors."""
        for name in detectors:
            known = name in self.events or len(self.events) < _MOST_LABELS
            self.events[name if known else OTHER] += 1

    def score(self, windows: Iterable[WindowScores], now_s: float | None = None) -> None:
        """Take the scores of a window that was written."""
        found = dict(self.fleet)
        for window in windows:
            model = window.model
            for metric, value in zip(window.fleet["metric"], window.fleet["value"], strict=True):
                found.pop((model, str(metric)), None)  # to the end: the newest stay
                found[model, str(metric)] = float(value)
        models = list(dict.fromkeys(model for model, _ in reversed(found)))[:_MOST_LABELS]
        self.fleet = {key: value for key, value in found.items() if key[0] in models}
        self.add("windows")
        self.window_s = time.time() if now_s is None else now_s


class Metrics:
    """The registry of one monitor; none of the process is touched."""

    def __init__(self, totals: Totals) -> None:
        self.registry = CollectorRegistry()
        self.totals = totals
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the numbers as they are now (called by the registry)."""
        totals = self.totals
        for name, help_ in _COUNTERS.items():
            yield CounterMetricFamily(f"{PREFIX}_{name}", help_, value=totals.counts[name])
        for name, help_ in _GAUGES.items():
            yield GaugeMetricFamily(f"{PREFIX}_{name}", help_, value=totals.gauges[name])
        yield _counted("events", "Drift events recorded.", "detector", totals.events)
        yield _counted("bad", "Messages that could not be read.", "reason", totals.bad)
        lag = GaugeMetricFamily(f"{PREFIX}_lag", "Messages not taken yet.", labels=["topic", "partition"])
        for (topic, partition), messages in sorted(totals.lag.items()):
            lag.add_metric([topic, str(partition)], messages)
        yield lag
        score = GaugeMetricFamily(
            f"{PREFIX}_score", "Scores of the fleet in the last window.", labels=["model", "metric"]
        )
        for (model, metric), number in sorted(totals.fleet.items()):
            score.add_metric([model, metric], number)
        yield score
        yield GaugeMetricFamily(
            f"{PREFIX}_window_seconds", "When scores were written last, since 1970; 0: never.",
            value=totals.window_s,
        )  # fmt: skip


def _counted(name: str, help_: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{PREFIX}_{name}", help_, labels=[label])
    for key, count in sorted(dict(counts).items()):
        family.add_metric([key], count)
    return family
