"""The end of a service: asked for by a signal, due within one deadline, then forced."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from pipelines.logs import log
from pipelines.signals import at_ending_signals

# EX_TEMPFAIL: nothing is lost, the same command goes on.
EXIT_FORCED: Final = 75


class Stop:
    """Whether the service is to end, and how many seconds are left for it.

    Parameters
    ----------
    within_s
        From the request to the end, all stages together.
    force
        Called by a thread when that time is over.
    """

    def __init__(
        self,
        within_s: float = 10.0,
        force: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._within_s = within_s
        self._force = _exit if force is None else force
        self._clock = clock
        self._asked = threading.Event()
        self._until: float | None = None
        self._timer: threading.Timer | None = None

    @property
    def asked(self) -> bool:
        """Whether the service is to end."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask the service to end; the first call starts the clock, those after it change nothing."""
        if self._until is not None:
            return
        self._until = self._clock() + self._within_s
        self._timer = threading.Timer(self._within_s, self._force)
        self._timer.daemon = True
        self._timer.start()
        self._asked.set()

    def left_s(self) -> float:
        """Return how much time there is for what is still to be done."""
        return self._within_s if self._until is None else max(self._until - self._clock(), 0.0)

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the moment when the end is asked for."""
        self._asked.wait(seconds)

    def ended(self) -> None:
        """Say that the service has ended: nothing will be forced."""
        if self._timer is not None:
            self._timer.cancel()

    @contextmanager
    def at_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask."""
        with at_ending_signals(self._signalled):
            yield

    def _signalled(self, number: int, _: FrameType | None) -> None:
        self.ask()


def _exit() -> None:
    """Leave at once: what is not committed will be done again by who comes next."""
    log.error("not ended within the deadline: leaving now; what was not committed will be done again")
    for handler in log.handlers:
        handler.flush()
    logging.shutdown()
    os._exit(EXIT_FORCED)
