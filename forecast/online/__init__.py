"""Models that move on, one tick at a time."""

from forecast.online.state import Info, State, init
from forecast.online.step import step

__all__ = ["Info", "State", "init", "step"]
