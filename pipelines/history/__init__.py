"""What has been observed: ticks that the monitor archived, for whoever refits."""

from pipelines.history.ticks import read_ticks

__all__ = ["read_ticks"]
