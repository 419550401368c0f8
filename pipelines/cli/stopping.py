"""SIGINT and SIGTERM in the middle of a job: let go of what is held, say how to go on."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from pipelines.cli.output import tell
from pipelines.signals import ENDING, at_ending_signals


class Stopped(BaseException):
    """A signal asks the process to end; no error, so nothing that handles errors takes it for one."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


@contextmanager
def stoppable(how_to_go_on: str) -> Iterator[None]:
    """Unwind at SIGINT or SIGTERM, so that leases are released; exit 130 or 143 and say `how_to_go_on`.

    What is being computed is awaited, and a second signal changes nothing: SIGKILL ends it at once.
    """
    with at_ending_signals(_stop):
        try:
            yield
        except Stopped as stopped:
            tell(f"stopped; go on with: {how_to_go_on}", logging.ERROR, exit_code=stopped.exit_code)
            raise click.exceptions.Exit(stopped.exit_code) from None


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; what is being done goes on to a good end.

    A second signal ends the process at once, as by default.
    """
    event = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        event.set()
        signal.signal(number, signal.SIG_DFL)

    with at_ending_signals(ask):
        yield event


def _stop(number: int, _: FrameType | None) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
