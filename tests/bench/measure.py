"""What the benchmarks share: one core, medians, resident memory, a table for people and JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import threading
import time
from importlib.metadata import version

import psutil

# What the linear algebra libraries read when they are loaded.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def one_core() -> None:
    """Go on with one BLAS thread on one core; begins the program again, as numpy is loaded already."""
    if any(os.environ.get(name) != "1" for name in THREADS):
        os.environ.update(dict.fromkeys(THREADS, "1"))
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # this very program
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def seconds(call, *args):
    """Seconds that one call takes, and what it returns."""
    start = time.perf_counter()
    result = call(*args)
    return time.perf_counter() - start, result


def median_seconds(call, rounds=5):
    """Median of several calls; what they return is dropped before the next one."""
    return statistics.median(seconds(call)[0] for _ in range(rounds))


class Peak:
    """The most resident memory above that of the beginning, bytes, sampled every two milliseconds."""

    def __enter__(self):
        self.process, self.running, self.top = psutil.Process(), True, 0
        self.base = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while self.running:
            self.top = max(self.top, self.process.memory_info().rss - self.base)
            time.sleep(0.002)

    def __exit__(self, *_):
        self.running = False
        self.thread.join()


def show(lines, columns, title, notes=()):
    """Print a table: `columns` are (key, heading, format); the first is text, keys may be absent."""
    write = sys.stdout.write
    write(f"{title}\n")
    cells = [[_cell(line, key, form) for key, _, form in columns] for line in lines]
    heads = [head for _, head, _ in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for row, verdict in zip([heads, *cells], ["", *map(_verdict, lines)], strict=True):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        write("  ".join([row[0].ljust(len(first)), *rest, verdict]).rstrip() + "\n")
    for note in notes:
        write(f"{note}\n")


def _cell(line, key, form):
    value = line.get(key)
    return "" if value is None else format(value, form)


def _verdict(line):
    return {None: "", True: "ok", False: "MISSED"}[line.get("passed")]


def arguments(doc, **numbers):
    """Read the command line: ``--json PATH``, and an int option for each of `numbers` (its default)."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--json", metavar="PATH", help="also write the numbers to this file")
    for name, default in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    return parser.parse_args()


def conclude(name, args, lines, packages, **facts):
    """Write the JSON file if one was asked for; return the exit code, 1 when a line missed its floor."""
    if args.json:
        result = {
            "benchmark": name,
            "command": f"python -m tests.bench.bench_{name}",
            **facts,
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
            "versions": {package: version(package) for package in packages},
            "results": lines,
        }
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 0 if all(line.get("passed", True) for line in lines) else 1
