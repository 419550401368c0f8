"""Where the threads of a step wait for each other: they spin first, then let others have the core."""

from __future__ import annotations

import sys

from decoding.kernels.lanes import FEATURES, I32, I64, Lanes, Value, lane_program
from decoding.kernels.rows import peek_i64, poke_i64
from forecast.kernels._jit import ir, kernel

# About 20 us of spinning: longer than any phase is uneven, shorter than a time slice lost to a thread that
# waits for this very core.
SPINS = 1000


def _counter(lanes: Lanes, address: Value) -> Value:
    return lanes.builder.inttoptr(address, I64.as_pointer())


@lane_program("ii", "i")
def add_atomic(lanes: Lanes, address: Value, value: Value) -> Value:
    """Add to a counter, and return what it was before."""
    return lanes.builder.atomic_rmw("add", _counter(lanes, address), value, "seq_cst")


@lane_program("i", "i")
def load_atomic(lanes: Lanes, address: Value) -> Value:
    """Read a counter, and all that was written before it got there."""
    return lanes.builder.load_atomic(_counter(lanes, address), "acquire", 8)


@lane_program("i")
def pause(lanes: Lanes, _unused: Value) -> None:
    """Spare the core while spinning."""
    if "sse2" in FEATURES:
        lanes.call("llvm.x86.sse2.pause", ir.VoidType(), [])


@lane_program("i")
def give_way(lanes: Lanes, _unused: Value) -> None:
    """Let another thread have the core."""
    lanes.call("SwitchToThread" if sys.platform == "win32" else "sched_yield", I32, [])


@kernel
def meet(counter: int, epoch: int, n_threads: int) -> None:
    """Wait until all threads have come here as often as this one.

    Parameters
    ----------
    counter
        Address of how often threads came, in all.
    epoch
        Address of this thread's own count of how often they came when the last wait ended.
    """
    goal = peek_i64(epoch) + n_threads
    poke_i64(epoch, goal)
    add_atomic(counter, 1)
    spins = 0
    while load_atomic(counter) < goal:
        spins += 1
        if spins < SPINS:
            pause(0)
        else:
            give_way(0)
