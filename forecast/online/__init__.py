"""Models that move on, one tick at a time.

`tick` is pure: one series, its state in and out. `step` moves one of many series in place, with its forecast,
in a few microseconds; `load` and `unload` go between records and such slots.
"""

from forecast.online.slots import Slots, ahead, load, state_of, step, unload
from forecast.online.state import Info, State, init
from forecast.online.tick import tick

__all__ = ["Info", "Slots", "State", "ahead", "init", "load", "state_of", "step", "tick", "unload"]
