"""A file of observations as a stream of ticks: what `forecast produce` does."""

from pipelines.replay.pace import Pace
from pipelines.replay.sending import Sent, replay
from pipelines.replay.ticks import Names, TickTable, read_ticks, tick_table

__all__ = ["Names", "Pace", "Sent", "TickTable", "read_ticks", "replay", "tick_table"]
