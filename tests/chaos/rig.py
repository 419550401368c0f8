"""A fleet of workers on brokers, fed without end, checked in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from tests.chaos.broker import Broker
from tests.chaos.feeding import DT_MS, Feeder, Message, make_model, messages
from tests.chaos.records import read_topic
from tests.chaos.verifier import Case
from tests.chaos.workers import Job, Worker, wait_until

ROOT = Path(__file__).parents[2]
# A first start may compile kernels.
_FIRST_START_S = 300.0
_CATCH_UP_S = 300.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What a rig is made of."""

    seed: int = 1
    workers: int = 3
    partitions: int = 6
    n_series: int = 40
    rate: float = 150.0
    session_s: float = 6.0
    copies: int = 1
    """Of every topic."""
    prefix: str = ""
    """Of all names, where a broker is shared."""


# Enough for one fault.
SMALL = Setup(workers=2, partitions=4, n_series=10, rate=100.0)


class Rig:
    """Topics, a feeder and workers.

    Parameters
    ----------
    line
        Address by which the workers reach the brokers, where it is another than the rig's own.
    more
        Options of the workers.
    """

    def __init__(
        self, bootstrap: str, folder: Path, setup: Setup, line: str | None = None, more: tuple[str, ...] = ()
    ) -> None:
        self.bootstrap, self.folder, self.setup = bootstrap, folder, setup
        self.broker = Broker(bootstrap)
        model = make_model(folder / "model", setup.n_series, setup.seed)
        self.ticks, self.forecasts, self.group = (
            setup.prefix + name for name in ("ticks", "forecasts", "chaos")
        )
        self.job = Job(
            line or bootstrap,
            model,
            self.ticks,
            self.forecasts,
            self.group,
            session_s=setup.session_s,
            more=more,
        )
        self.workers = [Worker(self.job, f"{self.group}-worker-{i}", folder) for i in range(setup.workers)]
        self.source: Iterator[Message] = messages(setup.n_series, setup.seed)
        self._feeder: Feeder | None = None
        self.sent = 0

    def start(self) -> None:
        """Make the topic of ticks, feed it, and start all workers; returns when they work."""
        self.broker.make_topic(self.ticks, self.setup.partitions, self.setup.copies)
        self.feed()
        self.workers[0].start()  # alone at first: it may have to compile
        wait_until(self._some_work, _FIRST_START_S, "no tick is done")
        for worker in self.workers[1:]:
            worker.start()
        for worker in self.workers:
            wait_until(lambda: self.broker.knows(worker.instance), _FIRST_START_S, "a worker does not start")  # noqa: B023

    def feed(self) -> None:
        """Let ticks flow."""
        self._feeder = Feeder(self.bootstrap, self.ticks, self.setup.partitions, self.source, self.setup.rate)
        self._feeder.start()

    def dry_up(self) -> None:
        """Let no more ticks flow."""
        if self._feeder is not None:
            self.sent += self._feeder.stop()
            self._feeder = None

    def settle(self) -> None:
        """Wait until all ticks are done."""
        self.dry_up()
        wait_until(lambda: self.caught_up(self.ticks, self.group), _CATCH_UP_S, "ticks are left over")

    def end(self) -> list[str]:
        """Ask the workers to end; return what went wrong."""
        faults = []
        for worker in self.workers:
            if not worker.alive:
                faults.append(f"{worker.instance} ended by itself\n{worker.tail()}")
            elif code := worker.stop():
                faults.append(f"{worker.instance} ended with {code}\n{worker.tail()}")
        return faults

    def caught_up(self, topic: str, group: str) -> bool:
        """Return whether a group has committed every tick that there is."""
        committed = self.broker.committed(group, topic)
        return all(committed.get(number, 0) >= end for number, end in self.broker.ends(topic).items())

    def clean_run(self) -> None:
        """Let one worker do the same ticks on fresh topics, undisturbed."""
        ticks, group = f"clean-{self.ticks}", f"clean-{self.group}"
        self.broker.make_topic(ticks, self.setup.partitions, self.setup.copies)
        copy(self.bootstrap, self.ticks, ticks)
        clean = {"ticks": ticks, "forecasts": f"clean-{self.forecasts}", "group": group}
        worker = Worker(replace(self.job, bootstrap=self.bootstrap, **clean), f"{group}-worker", self.folder)
        self.workers.append(worker)
        worker.start()
        wait_until(lambda: self.caught_up(ticks, group), _CATCH_UP_S, "the clean run is not done")
        worker.stop()

    def case(self, clean: bool = False) -> Case:
        """Return what the verifier has to look at."""
        return Case(
            self.bootstrap, str(self.job.model), self.job.horizon, list(self.job.levels), DT_MS,
            self.ticks, self.forecasts, f"{self.ticks}-late", f"{self.ticks}-dead", f"{self.forecasts}-state",
            f"clean-{self.forecasts}-state" if clean else None,
        )  # fmt: skip

    def verify(self, clean: bool = False) -> dict[str, Any]:
        """Run the verifier in a process of its own, and return what it found."""
        path = self.folder / "case.json"
        path.write_text(json.dumps(asdict(self.case(clean))))
        words = [sys.executable, "-m", "tests.chaos.verifier", str(path)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise RuntimeError(f"the verifier failed:\n{done.stderr[-3000:]}") from None
        return found

    def close(self) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            worker.close()
        self.dry_up()
        self.broker.close()

    def tails(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"--- {worker.instance}\n{worker.tail()}" for worker in self.workers)

    def _some_work(self) -> bool:
        if not self.workers[0].alive:
            raise RuntimeError(f"the first worker ended\n{self.workers[0].tail()}")
        return sum(self.broker.committed(self.group, self.ticks).values()) > 0


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


def goes_on(rig: Rig, within_s: float = 90.0) -> None:
    """Wait until ticks are done that were not done before."""

    def done() -> int:
        return sum(rig.broker.committed(rig.group, rig.ticks).values())

    before = done()
    wait_until(lambda: done() > before + 100, within_s, f"no tick is done any more\n{rig.tails()}")


def sound(rig: Rig, *, ended_by_itself: tuple[str, ...] = ()) -> dict[str, Any]:
    """End a rig, and hold that every tick was forecast once, and right; return what the verifier found."""
    rig.settle()
    faults = [fault for fault in rig.end() if not any(name in fault for name in ended_by_itself)]
    assert faults == []
    found = rig.verify()
    assert found["faults"] == {}, found["told"]
    assert found["counts"]["forecasts"] > 100
    return found
