"""Which tokens the next step computes.

First come, first served: in the order of arrival, each request gets as many tokens as it can use, to the end
of the step's budget. Those that go on need one each, so a prompt, read in chunks of what is left, holds none
of the earlier ones up. When blocks run out, the latest to come gives its own back and waits again: what it
computed stays in the cache until it is needed, so going on costs as little as there is to compute again. The
earliest therefore always gets on, and nobody starves.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from decoding.cache import KVCache
from decoding.request import Request


class Work(NamedTuple):
    """The next tokens of one request."""

    request: Request
    start: int
    stop: int

    @property
    def wants_logits(self) -> bool:
        """Whether the last of them is the last there is."""
        return self.stop == len(self.request.tokens)


class Scheduler:
    """Queues, slots and blocks of all requests.

    Parameters
    ----------
    cache
        Where the blocks come from.
    max_batch
        Most requests at once: slots.
    token_budget
        Most tokens a step, at least `max_batch`: every running request can get its next one.
    max_blocks
        Most blocks a request may have.
    """

    def __init__(self, cache: KVCache, max_batch: int, token_budget: int, max_blocks: int) -> None:
        self.cache = cache
        self.token_budget = token_budget
        self.block_table: npt.NDArray[np.int32] = np.zeros((max_batch, max_blocks), dtype=np.int32)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self._slots = list(range(max_batch - 1, -1, -1))

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.waiting or self.running)

    def add(self, request: Request) -> None:
        """Queue a request."""
        self.waiting.append(request)

    def drop(self, request: Request) -> None:
        """Take a request out, wherever it is; its blocks turn cold. One that is nowhere is left alone."""
        if request in self.running:
            self._give_back(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def has(self, request: Request) -> bool:
        """Whether a request waits or runs here."""
        return request in self.running or request in self.waiting

    def late(self, now: float) -> list[Request]:
        """Find the requests whose deadline has gone by, waiting ones too."""
        return [request for request in (*self.running, *self.waiting) if request.late(now)]

    def plan(self, now: float) -> list[Work]:
        """Choose the tokens of the next step, and reserve their blocks."""
        work: list[Work] = []
        budget = self.token_budget
        for request in list(self.running):
            if budget and request.sequence is not None:  # None: preempted for one before it
                budget -= self._assign(request, budget, work)
        while budget and self.waiting and self._slots and self._admit(now):
            budget -= self._assign(self.running[-1], budget, work)
        return work

    def _assign(self, request: Request, budget: int, work: list[Work]) -> int:
        """Give a request as many of its pending tokens as it can get; returns how many.

        At least one, or the request was itself the latest and is preempted.
        """
        sequence = request.held
        while (room := self.cache.room(sequence)) < 1:
            latest = self.running[-1]
            self._preempt(latest)
            if latest is request:
                return 0
        count = min(request.pending, budget, room)
        start = len(sequence)
        self.cache.reserve(sequence, count)
        work.append(Work(request, start, start + count))
        return count

    def _admit(self, now: float) -> bool:
        """Begin the first of the waiting, if its tokens and the next one have blocks."""
        request = self.waiting[0]
        if self.running and self.cache.needed(request.tokens) >= self.cache.n_available:
            return False
        sequence = self.cache.open(request.tokens, self.block_table[self._slots[-1]])  # may raise: first
        self.waiting.popleft()
        request.slot, request.sequence = self._slots.pop(), sequence
        if request.begun is None:
            request.begun = now
            request.cached_tokens = len(sequence)
        self.running.append(request)
        return True

    def _preempt(self, request: Request) -> None:
        self._give_back(request)
        request.preemptions += 1
        self.waiting.appendleft(request)

    def _give_back(self, request: Request) -> None:
        self.cache.close(request.held)
        request.sequence = None
        self.running.remove(request)
        self._slots.append(request.slot)
        request.slot = -1
