"""Fleets in one file: ``python -m tests.bench.bench_edge_fleet [--series N] [--json PATH]``.

AR(24), 24 steps, mean and variance of all series in one run, on one core. Bytes are those of model.onnx over
N. Memory is the most that the whole process has while it runs, and it has imported what the device runtime
imports; each profile has processes of its own, which take turns. The time is CPU time, which other work on
the machine changes least. The reference is the recursion in float64 of the coefficients that are in the
file.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edge.check import parity
from edge.fleet import Fleet
from edge.graph.builder import DOUBLE, Graph
from edge.quantize import quantize
from tests.bench.edge_populations import SEED, random_ar
from tests.bench.measure import arguments, conclude, one_core, show
from tests.edge.artifacts import fleet_graph, inputs_of, step_up
from tests.strategies import make_records

P, H, T = 24, 24, 600
TURNS, ROUNDS = 5, 20
PROFILES = ("size", "balanced", "latency")
BYTES = {"size": 40.0, "balanced": 40.0, "latency": 2_400.0}
RESIDENT_MB = {"size": 60.0, "balanced": 100.0, "latency": 80.0}
ALL_MS = {"size": 35.0, "balanced": 12.0, "latency": 12.0}
PARITY = 1e-6
PACKAGES = ("numpy", "onnxruntime", "onnx")
ROOT, MB = Path(__file__).parents[2], 1e6


def population(n):
    """Records of n random AR(24), with means of all sizes, that stand after values of their own."""
    rng = np.random.default_rng(SEED)
    parcor = random_ar(n, P, rng)
    phi, mean, sigma2 = step_up(parcor), rng.normal(0.0, 10.0, n), rng.uniform(0.5, 2.0, n)
    levels = mean[:, None] + np.sqrt(sigma2)[:, None] * rng.normal(size=(n, P))
    const = mean * (1.0 - phi.sum(axis=1))
    return make_records(n, nobs=T, phi=phi, parcor=parcor, const=const, sigma2=sigma2, levels=levels)


def paths(phi, mean, sigma2, lags):
    """(n, H) means and variances, step by step from the formula."""
    w = lags - mean[:, None]
    psi = np.zeros((len(phi), P))
    psi[:, 0] = 1.0
    found, squares = np.empty((len(phi), H)), np.empty((len(phi), H))
    for h in range(H):
        found[:, h] = (phi * w).sum(axis=1)
        w = np.concatenate([found[:, h, None], w[:, :-1]], axis=1)
        squares[:, h] = psi[:, 0] ** 2
        psi = np.concatenate([(phi * psi).sum(axis=1)[:, None], psi[:, :-1]], axis=1)
    return found + mean[:, None], sigma2[:, None] * np.cumsum(squares, axis=1)


def measured(model, inputs, profile):
    """One process of a device."""
    line = [sys.executable, "-m", "tests.bench.edge_process", str(model), str(inputs), profile, str(ROUNDS)]
    done = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def process_of_one_product(folder):
    """Resident bytes of a process that has everything but a model worth the name."""
    graph = Graph("one")
    a = graph.input("a", DOUBLE, [3, 3])
    graph.output("y", graph.add("MatMul", a, a), DOUBLE, [3, 3])
    (folder / "one.onnx").write_bytes(graph.model().SerializeToString())
    np.savez(folder / "one.npz", a=np.eye(3))
    return measured(folder / "one.onnx", folder / "one.npz", "size")["running"]


def error(graph, feed, fleet, coefficients):
    """Largest error of mean and variance, relative to the largest value of the series."""
    want = paths(coefficients, fleet.mean, fleet.sigma2 * fleet.calibration**2, fleet.levels)
    return max(parity(graph, feed, dict(zip(("mean", "variance"), want, strict=True))).values())


def lines_of(profile, n, graph, runs, off):
    """The four rows of one profile; `runs` are what its processes said."""
    ms = median_of(runs, lambda run: statistics.median(run["cpu_s"])) * 1e3
    wall = median_of(runs, lambda run: statistics.median(run["wall_s"])) * 1e3
    running = median_of(runs, lambda run: run["running"]) / MB
    facts = {
        f"{name}_mb": median_of(runs, lambda run, n=name: run[n]) / MB for name in ("empty", "after", "peak")
    }
    load = median_of(runs, lambda run: run["load_s"]) * 1e3
    return [
        row(f"{profile}: bytes a series", len(graph) / n, "B", BYTES[profile]),
        row(f"{profile}: resident", running, "MB", RESIDENT_MB[profile], **facts),
        row(f"{profile}: all series", ms, "ms", ALL_MS[profile], wall_ms=wall, load_ms=load),
        row(f"{profile}: parity", off, "rel.", PARITY),
    ]


def row(what, value, unit, floor, **more):
    return {"what": what, "value": value, "unit": unit, "floor": floor, "passed": value <= floor, **more}


def median_of(runs, key):
    return statistics.median(key(run) for run in runs)


def note(profile, lines):
    """What is measured beside the floors."""
    found = {line["what"]: line for line in lines}
    memory, time = found[f"{profile}: resident"], found[f"{profile}: all series"]
    return (
        f"{profile}: {memory['empty_mb']:.0f} MB before the model, up to {memory['peak_mb']:.0f} MB while it "
        f"loads, which takes {time['load_ms']:.0f} ms; {time['wall_ms']:.1f} ms all series by the wall"
    )


def main():
    one_core()
    args = arguments(__doc__, series=10_000)
    records = population(args.series)
    fleet = Fleet.of(records)
    coded = quantize(fleet, horizon=H)
    graphs, errors = {}, {}
    runs = {profile: [] for profile in PROFILES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for profile in PROFILES:
            graphs[profile], places, coefficients, _ = fleet_graph(fleet, coded, profile, (), H)
            feed = {"index": places, "lags": fleet.levels}
            feed = {key: np.ascontiguousarray(feed[key]) for key in inputs_of(graphs[profile])}
            errors[profile] = error(graphs[profile], feed, fleet, coefficients)
            (folder / f"{profile}.onnx").write_bytes(graphs[profile])
            np.savez(folder / f"{profile}.npz", **feed)
        least = process_of_one_product(folder)
        for _ in range(TURNS):
            for profile in PROFILES:
                files = folder / f"{profile}.onnx", folder / f"{profile}.npz"
                runs[profile].append(measured(*files, profile))
    lines = [
        line
        for profile in PROFILES
        for line in lines_of(profile, args.series, graphs[profile], runs[profile], errors[profile])
    ]
    columns = [("what", "", ""), ("value", "value", ".4g"), ("unit", "", ""), ("floor", "floor", "g")]
    notes = [f"coded in 16, 8, 4 bits: {coded.n16}, {coded.n8}, {coded.n4} series"]
    notes.append(f"the same process with a model of one product of two 3 x 3 matrices: {least / MB:.1f} MB")
    notes += [note(profile, lines) for profile in PROFILES]
    title = f"{args.series} AR({P}), {H} steps, one core; {TURNS} processes of {ROUNDS} runs each"
    show(lines, columns, title, notes)
    return conclude(
        "edge_fleet", args, lines, PACKAGES, n_series=args.series, p=P, horizon=H, n16=coded.n16, n8=coded.n8,
        n4=coded.n4, least_mb=least / MB, runs=runs,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
