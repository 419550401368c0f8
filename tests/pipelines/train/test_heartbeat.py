"""A trainer hears of a lease that is gone, and goes on through a store that is only away."""

from __future__ import annotations

from threading import Event

import pytest

from pipelines.errors import LeaseLostError, StoreError
from pipelines.train.heartbeat import beating

# Seconds; far more than a beat of 1 ms takes on a busy machine.
LONG = 10.0


class Lease:
    """Raises what it is given, one a renewal; then tells that it was asked once more."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.asked = list(errors), Event()

    def renew(self) -> None:
        if self.errors:
            error = self.errors.pop(0)
            if not self.errors:
                self.asked.set()
            raise error
        self.asked.set()


def ask_until_it_raises(held) -> None:
    for _ in range(int(LONG / 0.01)):
        held()
        Event().wait(0.01)


def test_a_lease_that_is_lost_stops_the_job():
    lease = Lease(LeaseLostError("b has the fleet"))
    with beating(lease, 0.001) as held, pytest.raises(LeaseLostError, match="b has the fleet"):
        ask_until_it_raises(held)


def test_a_store_that_is_away_does_not(caplog):
    lease = Lease(StoreError("down", retriable=True), StoreError("down", retriable=True))
    with beating(lease, 0.001) as held:
        assert lease.asked.wait(LONG)
        held()
