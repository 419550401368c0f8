"""Rounds of `kill -9`, and what there must be after them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from tests.chaos.broker import Broker
from tests.chaos.feeding import DT_MS, Feeder, make_model, messages
from tests.chaos.records import read_topic
from tests.chaos.verifier import Case
from tests.chaos.workers import Job, Worker, wait_until

ROOT = Path(__file__).parents[2]
GROUP = "chaos"

# A first start may compile kernels.
_FIRST_START_S = 300.0
_CATCH_UP_S = 300.0
# A worker that does not come back within this is a fault.
_BACK_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much chaos."""

    rounds: int = 100
    minutes: float = 40.0
    seed: int = 1
    workers: int = 3
    partitions: int = 6
    n_series: int = 40
    rate: float = 150.0
    session_s: float = 6.0
    aimed: float = 0.7
    """Share of rounds that wait until the victim is at work; the others kill whatever it does."""
    long_absence: float = 0.15
    """Share of rounds after which the victim stays away longer than its session: a rebalance."""


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
    """A fleet of workers on one broker, under fire."""

    def __init__(
        self, bootstrap: str, folder: Path, plan: Plan, say: Callable[[str], object] = print
    ) -> None:
        self.plan, self.folder, self.say = plan, folder, say
        self.random = random.Random(plan.seed)
        self.broker = Broker(bootstrap)
        model = make_model(folder / "model", plan.n_series, plan.seed)
        self.job = Job(bootstrap, model, "ticks", "forecasts", GROUP, session_s=plan.session_s)
        self.workers = [Worker(self.job, f"chaos-worker-{i}", folder) for i in range(plan.workers)]
        self.result = Result(plan)
        self._began = time.monotonic()

    def run(self) -> Result:
        """Do everything; the result says whether it passed."""
        plan, bootstrap = self.plan, self.job.bootstrap
        self.broker.make_topic("ticks", plan.partitions)
        feeder = Feeder(bootstrap, "ticks", plan.partitions, messages(plan.n_series, plan.seed), plan.rate)
        feeder.start()
        try:
            self._start()
            self._rounds()
            self.result.ticks_sent = feeder.stop()
            self._settle()
            self._clean_run()
            self.result.verified = self._verify()
        except (TimeoutError, subprocess.TimeoutExpired, RuntimeError) as error:
            self.result.faults.append(f"{error}\n{self._tails()}")
        finally:
            self.close()
        self.result.seconds = time.monotonic() - self._began
        return self.result

    def close(self) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            worker.close()
        self.broker.close()

    def _start(self) -> None:
        self.workers[0].start()  # alone at first: it may have to compile
        wait_until(self._some_forecasts, _FIRST_START_S, f"no forecast\n{self.workers[0].tail()}")
        for worker in self.workers[1:]:
            worker.start()

    def _some_forecasts(self) -> bool:
        if not self.workers[0].alive:
            raise RuntimeError(f"the first worker ended\n{self.workers[0].tail()}")
        return sum(self.broker.committed(GROUP, "ticks").values()) > 0

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
        victim = self.random.choice(self.workers)
        if not victim.alive:
            raise RuntimeError(f"{victim.instance} ended by itself\n{victim.tail()}")
        aimed = self.random.random() < self.plan.aimed
        if aimed:
            wait_until(lambda: self._at_work(victim), _BACK_S, f"{victim.instance} does no work", 0.05)
        time.sleep(self.random.uniform(0.0, 0.1))
        victim.kill()
        inside = self._at_work(victim)
        away = self.random.uniform(0.0, 1.5)
        if self.random.random() < self.plan.long_absence:
            away = self.plan.session_s + self.random.uniform(1.0, 3.0)
        time.sleep(away)
        victim.start()
        at = time.monotonic() - self._began
        self.result.rounds.append(Round(number, victim.instance, aimed, inside, round(away, 2), round(at, 1)))
        self.say(
            f"round {number}: {victim.instance} killed {'inside' if inside else 'outside'} a transaction, "
            f"away {away:.1f} s; inside so far {self.result.in_transaction}"
        )

    def _at_work(self, victim: Worker) -> bool:
        return bool(self.broker.open_transactions(victim.instance))

    def _settle(self) -> None:
        """Wait until all ticks are done, then ask the workers to end."""
        wait_until(lambda: self._caught_up("ticks", GROUP), _CATCH_UP_S, "ticks are left over")
        for worker in self.workers:
            code = worker.stop()
            if code:
                self.result.faults.append(f"{worker.instance} ended with {code}\n{worker.tail()}")

    def _caught_up(self, topic: str, group: str) -> bool:
        committed = self.broker.committed(group, topic)
        return all(committed.get(number, 0) >= end for number, end in self.broker.ends(topic).items())

    def _clean_run(self) -> None:
        """Let one worker do the same ticks on fresh topics, undisturbed."""
        self.broker.make_topic("clean-ticks", self.plan.partitions)
        copy(self.job.bootstrap, "ticks", "clean-ticks")
        job = Job(
            self.job.bootstrap, self.job.model, "clean-ticks", "clean-forecasts", "clean",
            session_s=self.plan.session_s,
        )  # fmt: skip
        worker = Worker(job, "clean-worker", self.folder)
        self.workers.append(worker)
        worker.start()
        wait_until(
            lambda: self._caught_up("clean-ticks", "clean"), _CATCH_UP_S, f"clean run\n{worker.tail()}"
        )
        worker.stop()

    def _verify(self) -> dict[str, Any]:
        job = self.job
        case = Case(
            job.bootstrap, str(job.model), job.horizon, list(job.levels), DT_MS, job.ticks, job.forecasts,
            "ticks-late", "ticks-dead", "forecasts-state", "clean-forecasts-state",
        )  # fmt: skip
        return verify_apart(case, self.folder)

    def _tails(self) -> str:
        return "\n".join(f"--- {worker.instance}\n{worker.tail()}" for worker in self.workers)


def copy(bootstrap: str, topic: str, to: str) -> None:
    """Send the records of a topic to another, each to its partition, in order: with the same offsets."""
    producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", linger_ms=20)
    try:
        sent = [
            (one, producer.send(to, key=one.key, value=one.value, partition=one.partition))
            for one in read_topic(bootstrap, topic)
        ]
        producer.flush()
        for one, future in sent:
            if future.get().offset != one.offset:
                raise RuntimeError(
                    f"{topic}/{one.partition}@{one.offset} was copied to {future.get().offset}"
                )
    finally:
        producer.close()


def verify_apart(case: Case, folder: Path) -> dict[str, Any]:
    """Run the verifier in a process of its own, and return what it printed."""
    path = folder / "case.json"
    path.write_text(json.dumps(asdict(case)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.verifier", str(path)], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=1800,
    )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise RuntimeError(f"the verifier failed:\n{done.stderr[-3000:]}") from None
    return found
