"""Rows a second into the store: the raw path on SQLite, COPY on PostgreSQL.

Run: ``python -m tests.bench.ops_store [--json PATH] [--rows N]``. Prints the median of five runs beside its
floor, with the whole calls for comparison; exit 1 below a floor. SQLite keeps WAL and synchronous=NORMAL,
PostgreSQL fsync; every run writes to empty tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.store import Store, open_store
from pipelines.store.bulk import write_rows
from pipelines.store.engine import writing
from pipelines.store.tables import Base, Observation
from tests.services.postgres import find_binaries, postgres_server

FLOORS = {"sqlite": 400_000, "postgresql": 300_000}
RUNS = 5
N_SERIES = 1000


def columns(n: int) -> dict[str, np.ndarray]:
    """`n` observations of 1,000 series, hourly, in the order of the table."""
    each = n // N_SERIES
    return {
        "series_id": np.repeat(np.arange(N_SERIES), each),
        "ts": np.tile(1_700_000_000_000 + 3_600_000 * np.arange(each), N_SERIES),
        "y": np.random.default_rng(0).normal(size=N_SERIES * each),
        "quality": np.zeros(N_SERIES * each, np.int64),
    }


def raw(store: Store, rows: dict[str, np.ndarray]) -> int:
    with writing(store._engine) as connection:
        return write_rows(connection, Observation, rows)


def whole(store: Store, rows: dict[str, np.ndarray]) -> int:
    ids = np.char.add("s", rows["series_id"].astype(str)).astype(object)
    return store.write_observations("bench", ids, rows["ts"].view("M8[ms]"), rows["y"], "h")


def empty(store: Store) -> None:
    with writing(store._engine) as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())


def measure(url: str, rows: dict[str, np.ndarray]) -> dict[str, float]:
    """Rows a second: raw into empty tables, raw once more, and the whole call into empty tables."""
    found: dict[str, list[float]] = {"raw": [], "again": [], "whole": []}
    with open_store(url) as store:
        store.upgrade()
        for _ in range(RUNS):
            for name, call in (("raw", raw), ("again", raw), ("whole", whole)):
                if name != "again":
                    empty(store)
                begin = time.perf_counter()
                n = call(store, rows)
                found[name].append(n / (time.perf_counter() - begin))
    return {name: statistics.median(speeds) for name, speeds in found.items()} | {"best": max(found["raw"])}


def report(n: int, results: dict[str, dict[str, float]]) -> None:
    print(f"{n} rows of {N_SERIES} series, median of {RUNS}, rows a second")
    for name, speeds in results.items():
        verdict = "ok" if speeds["raw"] >= FLOORS[name] else "BELOW THE FLOOR"
        print(f"{name:12s} raw path {speeds['raw']:>9,.0f}, floor {FLOORS[name]:,}: {verdict}")
        print(f"{'':12s} best {speeds['best']:,.0f}; the same rows again {speeds['again']:,.0f};", end=" ")
        print(f"write_observations {speeds['whole']:,.0f}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    rows = columns(arguments.rows)
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        results["sqlite"] = measure(f"sqlite:///{folder}/bench.db", rows)
    if find_binaries() is None:
        print("PostgreSQL: not measured, its programs are not here")
    else:
        with postgres_server(fsync=True) as server:
            results["postgresql"] = measure(server.new_database(), rows)
    report(arguments.rows, results)
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, pandas {pd.__version__}, load {load:.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": arguments.rows, "load": load, **results}, indent=2))
    return int(any(name not in results or results[name]["raw"] < floor for name, floor in FLOORS.items()))


if __name__ == "__main__":
    sys.exit(main())
