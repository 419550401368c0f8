"""Keeping a lease alive while a long stage runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from pipelines.errors import PipelineError
from pipelines.logs import log

if TYPE_CHECKING:
    from pipelines.train.registering import Lease


@contextmanager
def beating(lease: Lease, every_s: float) -> Iterator[None]:
    """Renew `lease` in a thread.

    A renewal that fails is told and tried again: whether the lease was lost is decided by its fence, in the
    transaction that registers.
    """
    stop = Event()

    def beat() -> None:
        while not stop.wait(every_s):
            try:
                lease.renew()
            except PipelineError as error:
                log.warning("the lease could not be renewed: %s", error)

    thread = Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
