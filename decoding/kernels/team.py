"""The threads of a step: who does what, and where they wait."""

from __future__ import annotations

from decoding.kernels.barrier import meet
from decoding.kernels.linear import prepare
from decoding.kernels.shapes import Buffers, Shape, Team
from decoding.quantize import BLOCK, LINE
from forecast.kernels._jit import kernel, large_kernel

SMALL = 2
"""Most tokens of a step where threads repeat each other's work rather than wait for it."""


@kernel
def share(team: Team, n: int) -> tuple[int, int]:
    """First and last of a thread's part of range(n)."""
    return n * team.thread // team.n_threads, n * (team.thread + 1) // team.n_threads


@kernel
def wait(team: Team) -> None:
    """Meet the other threads."""
    if team.n_threads > 1:
        meet(team.counter, team.epoch, team.n_threads)


@kernel
def join_team(thread: int, n_threads: int, n: int, buffers: Buffers) -> Team:
    """Say what is a thread's own in a step of n tokens."""
    small = n <= SMALL or n_threads == 1
    first = 0 if small else n * thread // n_threads
    last = n if small else n * (thread + 1) // n_threads
    records = buffers.records + (thread * SMALL * buffers.record_bytes if n <= SMALL else 0)
    epochs = buffers.counters + LINE
    tasks = epochs + n_threads * LINE
    own = buffers.own + thread * buffers.own_bytes
    return Team(
        thread,
        n_threads,
        first,
        last,
        int(small),
        records,
        buffers.counters,
        epochs + thread * LINE,
        tasks,
        own,
    )


@large_kernel
def make_inputs(team: Team, shape: Shape, buffers: Buffers, x: int, width: int, norm: int) -> None:
    """Make records of rows of `x`, `width` wide; all are there when this returns."""
    for t in range(team.first, team.last):
        record = team.records + t * buffers.record_bytes
        row = x + t * width * 4
        prepare(shape.kind, row, norm, shape.hidden, shape.eps, width // BLOCK, record, team.own)
    if not team.small:
        wait(team)
