"""Claims a second of the retraining queue, and what `kill -9` does to it.

Run: ``python -m tests.bench.ops_queue [--json PATH] [--jobs N] [--rounds N]``. Jobs are made by events; each
is claimed and finished, its event with it: by 8 processes on PostgreSQL with fsync, which has the floor, and
by 4 on SQLite for comparison. Then workers and monitors are killed at random points, round after round: no
job may be committed twice, no event lost. Exit 1 below the floor, or where one was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.store import NewEvent, open_store
from tests.pipelines.store.killed import CONTEXT, Toll, run_rounds
from tests.services.postgres import find_binaries, postgres_server

FLOOR = 1_000
PROCESSES = {"sqlite": 4, "postgresql": 8}
RUNS = 3


def fill(url: str, n: int) -> None:
    """Record one event for each of `n` fleets, which makes as many jobs."""
    with open_store(url) as store:
        store.upgrade()
        for first in range(0, n, 500):
            names = [f"fleet-{i}" for i in range(first, min(first + 500, n))]
            store.record_events(
                [NewEvent(name, "v", "s", "AutoAR", "mean", 0, 9.0, 8.0, name) for name in names]
            )


def work(url: str, owner: str, pipe: Connection) -> None:
    """Claim and finish until nothing is due; tell what was claimed."""
    with open_store(url) as store:
        store.jobs(last=1)  # the connection is open before the clock starts
        pipe.send("ready")
        pipe.recv()
        claimed = []
        while (claim := store.claim_job(owner, 60)) is not None:
            claimed.append(claim.id)
            store.finish_job(claim)
        pipe.send((claimed, time.monotonic()))


def speed(url: str, n: int, processes: int) -> dict[str, float]:
    """Return claims a second of `n` jobs; `SystemExit` unless each was claimed once and is done."""
    fill(url, n)
    pipes, workers = [], []
    for i in range(processes):
        mine, other = CONTEXT.Pipe()
        worker = CONTEXT.Process(target=work, args=(url, f"worker-{i}", other))
        worker.start()
        pipes.append(mine)
        workers.append(worker)
    assert all(pipe.recv() == "ready" for pipe in pipes)
    begin = time.monotonic()
    for pipe in pipes:
        pipe.send("go")
    found = [pipe.recv() for pipe in pipes]
    for worker in workers:
        worker.join()
    claimed = [job for jobs, _ in found for job in jobs]
    with open_store(url) as store:
        done = len(store.jobs(state="done")), len(store.events(state="done"))
    if not len(claimed) == len(set(claimed)) == n or done != (n, n):
        raise SystemExit(f"of {n} jobs {len(set(claimed))} were claimed, {len(claimed)} times; done: {done}")
    seconds = max(end for _, end in found) - begin
    return {"claims_s": n / seconds, "least_share": min(len(jobs) for jobs, _ in found) / n}


def measure(new_url: Any, n: int, processes: int) -> dict[str, float]:
    """Return the median run."""
    runs = sorted((speed(new_url(i), n, processes) for i in range(RUNS)), key=lambda run: run["claims_s"])
    return runs[len(runs) // 2] | {"best": runs[-1]["claims_s"], "processes": processes}


def report(name: str, n: int, found: dict[str, float]) -> None:
    floor = f", floor {FLOOR:,}" if name == "postgresql" else ", no floor"
    low = name == "postgresql" and found["claims_s"] < FLOOR
    print(
        f"{name:10s} {found['processes']} processes, {n} jobs: {found['claims_s']:,.0f} claims and commits a "
        f"second (best {found['best']:,.0f}){floor}: {'BELOW THE FLOOR' if low else 'ok'}"
    )


def told(name: str, toll: Toll) -> str:
    return (
        f"{name:10s} {toll.rounds} rounds of kill -9, {toll.killed} processes: {toll.events} events, "
        f"{toll.commits} commits, {toll.taken_over} claims taken over; double commits {toll.double_commits}, "
        f"lost events {toll.lost_events}: {'ok' if toll.ok else 'BROKEN'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--jobs", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    n = arguments.jobs
    speeds: dict[str, dict[str, float]] = {}
    tolls: dict[str, Toll] = {}
    with tempfile.TemporaryDirectory() as folder:
        speeds["sqlite"] = measure(lambda i: f"sqlite:///{folder}/{i}.db", n, PROCESSES["sqlite"])
        report("sqlite", n, speeds["sqlite"])
        tolls["sqlite"] = run_rounds(f"sqlite:///{folder}/killed.db", arguments.rounds)
        print(told("sqlite", tolls["sqlite"]))
    if find_binaries() is None:
        print("PostgreSQL: not measured, its programs are not here")
    else:
        with postgres_server(fsync=True) as server:
            speeds["postgresql"] = measure(lambda _: server.new_database(), n, PROCESSES["postgresql"])
            report("postgresql", n, speeds["postgresql"])
            tolls["postgresql"] = run_rounds(server.new_database(), arguments.rounds)
            print(told("postgresql", tolls["postgresql"]))
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}")
    if arguments.json:
        plain = {name: toll.plain() for name, toll in tolls.items()}
        arguments.json.write_text(
            json.dumps({"jobs": n, "load": load, "speed": speeds, "killed": plain}, indent=2)
        )
    fast = speeds.get("postgresql", {}).get("claims_s", 0) >= FLOOR
    return int(not (fast and all(toll.ok for toll in tolls.values())))


if __name__ == "__main__":
    sys.exit(main())
