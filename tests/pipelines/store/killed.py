"""Workers and monitors that are killed at random points, again and again, and what is left of their work."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Semaphore
from typing import Any

from sqlalchemy.orm import configure_mappers

from pipelines.errors import ConflictError, StoreError
from pipelines.store import (
    FollowUp,
    NewEvent,
    NewJudgement,
    NewSnapshot,
    NewVersion,
    Store,
    claims,
    open_store,
)
from tests.pipelines.store.fleets import manifest

configure_mappers()  # once, before the first fork

# Forked from a process that has no threads and no connections, with the modules read already: a start takes
# milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.pipelines.store.killed"])

LEASE_S = 0.25
ENDLESS = 1_000_000
# What a process does in a round before it is killed, on average.
STEPS = 4
N_FLEETS = 5
# (group, topic, partition) that all monitors fight for.
PARTITION = ("monitor", "forecasts", 0)


@dataclass(frozen=True)
class Toll:
    """What was counted after the last round, when all that was left had been done."""

    rounds: int
    killed: int
    events: int
    commits: int
    taken_over: int
    """Claims of jobs whose worker was killed."""
    double_commits: int
    lost_events: int

    @property
    def ok(self) -> bool:
        return self.events > 0 and self.taken_over > 0 and self.double_commits == self.lost_events == 0

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def run_rounds(url: str, rounds: int, workers: int = 4, monitors: int = 2, seed: int = 0) -> Toll:
    """Start processes and kill them all, `rounds` times; then let one worker end in peace, and count."""
    rng = random.Random(seed)
    with open_store(url) as store:
        store.upgrade()
    for number in range(rounds):
        done = CONTEXT.Semaphore(0)
        roles = [work] * workers + [watch] * monitors
        children = [CONTEXT.Process(target=role, args=(url, rng.random(), done)) for role in roles]
        for child in children:
            child.start()
        wait(children, done)
        rng.shuffle(children)
        for child in children:
            time.sleep(rng.uniform(0, 0.05))
            child.kill()
        for child in children:
            child.join()
            assert child.exitcode == -signal.SIGKILL, f"round {number}: a child ended with {child.exitcode}"
    with open_store(url, lock_timeout_s=30) as store:
        time.sleep(LEASE_S)
        while (claim := store.claim_job("last", 60, attempts=ENDLESS)) is not None:
            commit(store, claim)
        return count(store, rounds, rounds * (workers + monitors))


def wait(children: list[Any], done: Semaphore) -> None:
    """Until there was some work, however busy the machine is, or all killed themselves over it."""
    ends = time.monotonic() + 10
    left = STEPS * len(children)
    while left and any(child.is_alive() for child in children) and time.monotonic() < ends:
        left -= done.acquire(timeout=0.02)


def count(store: Store, rounds: int, killed: int) -> Toll:
    """Compare what the monitors sent with what the commits say that they are about."""
    found = store.snapshot(*PARTITION)
    sent = 0 if found is None else int(found.positions["next"])
    fleets = [f"f{i}" for i in range(N_FLEETS)]
    judged = [row for fleet in fleets for row in store.judgements(fleet)]
    jobs = [job for job in store.jobs() if not (job.note or "").startswith("joined")]
    assert all(job.state == "done" for job in jobs)
    commits = Counter(row.job_id for row in judged)
    seen = Counter(key for row in judged for key in row.evidence["events"])
    rows = store.events()
    made = [row.ver for row in judged]
    double = sum(n - 1 for n in commits.values()) + sum(n - 1 for n in seen.values())
    double += abs(len(store.versions()) - len(set(zip([row.fleet for row in judged], made, strict=True))))
    lost = len({f"e{i}" for i in range(sent)} - set(seen)) + sum(row.state != "done" for row in rows)
    lost += abs(len(rows) - sent) + len({job.id for job in jobs} - set(commits))
    return Toll(rounds, killed, sent, len(judged), sum(max(job.fence - 1, 0) for job in jobs), double, lost)


def work(url: str, seed: float, done: Semaphore) -> None:
    """Claim, wait, and commit, fail or let go; killed by itself now and then in the middle of a commit."""
    rng = random.Random(seed)
    dying(rng)
    with open_store(url, lock_timeout_s=30) as store:
        while True:
            try:
                if step(store, rng):
                    done.release()
            except StoreError as error:
                if not error.retriable:
                    raise


def step(store: Store, rng: random.Random) -> bool:
    """Return whether there was something to do."""
    claim = store.claim_job(f"{os.getpid()}", LEASE_S, attempts=ENDLESS)
    if claim is None:
        time.sleep(0.002)
        return False
    maybe_die(rng, 0.03)
    time.sleep(rng.uniform(0, 0.004))
    choice = rng.random()
    if choice < 0.1:
        store.fail_job(claim, "a fault", attempts=ENDLESS, backoff_s=0.001)
    elif choice < 0.2:
        store.release_job(claim, 0.001)
    elif choice < 0.25:
        time.sleep(LEASE_S + rng.uniform(0, 0.05))  # another has it by now, or nobody
        commit(store, claim)
    else:
        commit(store, claim)
    maybe_die(rng, 0.02)
    return True


def commit(store: Store, claim: claims.Claim) -> None:
    """Commit what no other attempt would: a version of its own, and which events it is about."""
    events = [row.event.dedup_key for row in store.job_events(claim.id)]
    version = NewVersion(manifest(f"{claim.id} {claim.fence} {os.getpid()}", n_chunks=1), "m")
    more = FollowUp({"kind": "shadow"}, f"{claim.fleet}/shadow/{claim.id}") if events else None
    judgement = NewJudgement("gate", True, {"events": events, "fence": claim.fence})
    store.finish_job(claim, version=version, judgements=[judgement], follow_up=more)


def watch(url: str, seed: float, done: Semaphore) -> None:
    """Record events from where the snapshot says, some of them twice, beside another that does the same."""
    rng = random.Random(seed)
    with open_store(url, lock_timeout_s=30) as store:
        while True:
            found = store.snapshot(*PARTITION)
            epoch, first = (0, 0) if found is None else (found.epoch, int(found.positions["next"]))
            last = first + rng.randint(1, 4)
            sent = [event(i) for i in range(max(first - 2, 0), last)]
            try:
                store.record_events(sent, snapshot=NewSnapshot(*PARTITION, epoch, {"next": last}, b"bank"))
                done.release()
            except ConflictError:
                continue  # the other was first: go on from its snapshot
            except StoreError as error:
                if not error.retriable:
                    raise
            time.sleep(rng.uniform(0, 0.01))


def event(i: int) -> NewEvent:
    return NewEvent(f"f{i % N_FLEETS}", "v", f"s{i}", "AutoAR", "mean", i, 9.0, 8.0, f"e{i}")


def dying(rng: random.Random) -> None:
    """Let this process kill itself now and then between two statements of a commit."""
    judge, put = claims.put_judgement, claims.put_job

    def late_judge(*arguments: Any) -> int:
        maybe_die(rng, 0.02)
        return judge(*arguments)

    def late_put(*arguments: Any) -> int:
        key = put(*arguments)
        maybe_die(rng, 0.02)
        return key

    claims.put_judgement, claims.put_job = late_judge, late_put  # type: ignore[assignment]


def maybe_die(rng: random.Random, chance: float) -> None:
    if rng.random() < chance:
        os.kill(os.getpid(), signal.SIGKILL)
