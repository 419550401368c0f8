"""Rounds of `kill -9`, and what there must be after them."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.rig import Rig, Setup
from tests.chaos.workers import Worker, wait_until

# A worker that does no work within this time of its start is a fault.
_BACK_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much chaos."""

    rounds: int = 100
    minutes: float = 40.0
    aimed: float = 0.7
    """Share of rounds that wait until the victim is at work; the others kill whatever it does."""
    long_absence: float = 0.15
    """Share of rounds after which the victim stays away longer than its session: a rebalance."""
    setup: Setup = field(default_factory=Setup)


@dataclass(slots=True)
class Round:
    """One kill."""

    number: int
    victim: str
    aimed: bool
    open_transaction: bool
    away_s: float
    at_s: float


@dataclass(slots=True)
class Result:
    """What was done and found."""

    plan: Plan
    rounds: list[Round] = field(default_factory=list)
    ticks_sent: int = 0
    seconds: float = 0.0
    verified: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def in_transaction(self) -> int:
        return sum(one.open_transaction for one in self.rounds)

    @property
    def passed(self) -> bool:
        enough = len(self.rounds) >= self.plan.rounds and 3 * self.in_transaction >= len(self.rounds)
        return enough and not self.faults and not self.verified.get("faults", {"none": "verified"})

    def summary(self) -> str:
        return (
            f"{len(self.rounds)} of {self.plan.rounds} rounds, {self.in_transaction} kills inside an open "
            f"transaction, {self.ticks_sent} ticks, {self.seconds / 60:.1f} min: "
            f"{'passed' if self.passed else 'FAILED'}\n{json.dumps(self.verified, indent=2)}"
            + "".join(f"\nfault: {fault}" for fault in self.faults)
        )


class Chaos:
    """A rig under fire."""

    def __init__(self, bootstrap: str, folder: Path, plan: Plan, say: Callable[[str], object]) -> None:
        self.plan, self.say = plan, say
        self.random = random.Random(plan.setup.seed)
        self.rig = Rig(bootstrap, folder, plan.setup)
        self.result = Result(plan)
        self._began = time.monotonic()

    def run(self) -> Result:
        """Do everything; the result says whether it passed."""
        rig, result = self.rig, self.result
        try:
            rig.start()
            self._rounds()
            rig.settle()
            result.faults += rig.end()
            rig.clean_run()
            result.verified = rig.verify(clean=True)
        except (TimeoutError, subprocess.TimeoutExpired, RuntimeError) as error:
            result.faults.append(f"{error}\n{rig.tails()}")
        finally:
            rig.close()
        result.ticks_sent, result.seconds = rig.sent, time.monotonic() - self._began
        return result

    def _rounds(self) -> None:
        # What is left of the time is for catching up, the clean run and the verifier.
        until = self._began + 0.65 * 60.0 * self.plan.minutes
        for number in range(1, self.plan.rounds + 1):
            if time.monotonic() > until:
                self.result.faults.append(f"time is up after {number - 1} rounds")
                return
            self._round(number)

    def _round(self, number: int) -> None:
        time.sleep(self.random.uniform(0.0, 3.0))
        victim = self.random.choice(self.rig.workers)
        if not victim.alive:
            raise RuntimeError(f"{victim.instance} ended by itself")
        aimed = self.random.random() < self.plan.aimed
        if aimed:
            wait_until(lambda: self._at_work(victim), _BACK_S, f"{victim.instance} does no work", 0.05)
        time.sleep(self.random.uniform(0.0, 0.1))
        victim.kill()
        inside = self._at_work(victim)  # a dead worker's transaction stays open until it is back
        away = self.random.uniform(0.0, 1.5)
        if self.random.random() < self.plan.long_absence:
            away = self.plan.setup.session_s + self.random.uniform(1.0, 3.0)
        time.sleep(away)
        victim.start()
        at = time.monotonic() - self._began
        self.result.rounds.append(Round(number, victim.instance, aimed, inside, round(away, 2), round(at, 1)))
        self.say(
            f"round {number}: {victim.instance} killed {'inside' if inside else 'outside'} a transaction, "
            f"away {away:.1f} s; inside so far {self.result.in_transaction}"
        )

    def _at_work(self, victim: Worker) -> bool:
        return bool(self.rig.broker.open_transactions(victim.instance))
