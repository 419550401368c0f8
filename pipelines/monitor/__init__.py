"""Watches the forecast stream: drift, faults of the feed, scores of what has matured."""

from pipelines.monitor.options import MonitorOptions
from pipelines.monitor.service import run_monitor

__all__ = ["MonitorOptions", "run_monitor"]
