"""Ctrl-C, held back while it would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver a SIGINT at the end of the block rather than within it.

    Python runs handlers in the main thread alone; elsewhere there is nothing to hold back. Other signals
    whose handlers raise are not: what they leave half done is closed, and says so.
    """
    old = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(old):
        yield
        return
    seen: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
        if seen:
            old(*seen[0])


@contextmanager
def blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and so in the processes that it starts: they are told to end otherwise."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
