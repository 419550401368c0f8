"""SIGINT and SIGTERM for the length of a block."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def at_ending_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call `handler` at SIGINT and SIGTERM; nothing is changed outside of the main thread.

    A signal that is ignored (a job in the background of a shell) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
