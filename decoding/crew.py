"""Threads that run one function at the same time, again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from decoding.bounds import whole_number
from decoding.errors import DecodingError

MOST_THREADS: Final = 1024


class CrewError(DecodingError):
    """The threads cannot be used any more."""


class Crew:
    """A fixed number of threads, the caller's among them.

    They sleep between runs. What they run must release the GIL, or nothing is gained.

    Raises
    ------
    ParamError
        Not a whole number from 1 to 1024.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = whole_number("threads", n_threads, most=MOST_THREADS)
        self._broken = False
        self._work: Callable[[int], object] | None = None
        self._faults: list[BaseException] = []
        self._done = threading.Semaphore(0)
        self._go = [threading.Semaphore(0) for _ in range(n_threads - 1)]
        self._threads = [
            threading.Thread(target=self._serve, args=(i,), name=f"decoding-{i}", daemon=True)
            for i in range(1, n_threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, work: Callable[[int], object]) -> None:
        """Call ``work(i)`` in every thread i, and return when all are through.

        Where the caller's own part raises, or a signal's handler does meanwhile, the others may still be at
        theirs: they can be ended then, not be sent to work again.

        Raises
        ------
        CrewError
            An earlier run ended that way.
        """
        if self._broken:
            raise CrewError("the threads were interrupted at their work: close the model, and load it again")
        self._broken = True
        self._work = work
        for go in self._go:
            go.release()
        work(0)
        for _ in self._go:
            self._done.acquire()
        self._broken = False
        if self._faults:
            raise self._faults.pop()

    def close(self) -> None:
        """End the threads, when they are through; a second call does nothing."""
        self._work = None
        for go in self._go:
            go.release()
        for thread in self._threads:
            thread.join()
        self._go, self._threads = [], []

    def _serve(self, index: int) -> None:
        go = self._go[index - 1]
        while True:
            go.acquire()
            work = self._work
            if work is None:
                return
            try:
                work(index)
            except BaseException as fault:  # raised in the caller's thread
                self._faults.append(fault)
            self._done.release()
