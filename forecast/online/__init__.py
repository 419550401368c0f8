"""Models that move on, one tick at a time.

`tick` is pure: one series, its state in and out. `step` moves one of many series in place, with its forecast,
in a few microseconds; `load` and `unload` go between records and such slots. A `Bank` moves many series that
come and go, many ticks a call, with intervals.
"""

from forecast.online.bank import Ahead, Bank
from forecast.online.slots import Slots, ahead, load, state_of, step, unload
from forecast.online.state import Info, State, init
from forecast.online.tick import tick

__all__ = [
    "Ahead",
    "Bank",
    "Info",
    "Slots",
    "State",
    "ahead",
    "init",
    "load",
    "state_of",
    "step",
    "tick",
    "unload",
]
