"""Keeping a lease alive while a long stage runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from pipelines.errors import LeaseLostError, PipelineError
from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.train.registering import Lease


@contextmanager
def beating(lease: Lease, every_s: float) -> Iterator[Callable[[], None]]:
    """Renew `lease` in a thread; yield what raises `LeaseLostError` once another has the fleet.

    A renewal that fails otherwise is told and tried again. To ask saves work and no more: what decides is the
    fence of the lease, in every transaction that writes.
    """
    stop = Event()
    lost: list[LeaseLostError] = []

    def held() -> None:
        if lost:
            raise lost[0]

    def beat() -> None:
        while not stop.wait(every_s):
            try:
                lease.renew()
            except LeaseLostError as error:
                lost.append(error)
                return
            except PipelineError as error:
                log.warning("the lease could not be renewed: %s", error)

    thread = Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield held
    finally:
        stop.set()
        thread.join()
