"""Threads that run one function at the same time, again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from decoding.errors import ParamError


class Crew:
    """A fixed number of threads, the caller's among them.

    They sleep between runs. What they run must release the GIL, or nothing is gained.

    Raises
    ------
    ParamError
        Fewer than one thread.
    """

    def __init__(self, n_threads: int) -> None:
        if n_threads < 1:
            raise ParamError("threads", n_threads, "be at least 1")
        self.n_threads = n_threads
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
        """Call ``work(i)`` in every thread i, and return when all are through."""
        self._work = work
        for go in self._go:
            go.release()
        work(0)
        for _ in self._go:
            self._done.acquire()
        if self._faults:
            raise self._faults.pop()

    def close(self) -> None:
        """End the threads; a second call does nothing."""
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
