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

from edge.fleet import Fleet
from edge.quantize import quantize
from tests.bench.edge_populations import SEED, random_ar
from tests.bench.measure import arguments, conclude, one_core, show
from tests.edge.artifacts import difference, fleet_graph, inputs_of, step_up
from tests.services.edge.graph_runner import run_graph
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
    w = np.concatenate([lags - mean[:, None], np.empty((len(phi), 0))], axis=1)
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


def error(graph, feed, fleet, coefficients):
    """Largest error of mean and variance, relative to the largest value of the series."""
    found = run_graph(graph, feed)
    want = paths(coefficients, fleet.mean, fleet.sigma2 * fleet.calibration**2, fleet.levels)
    return max(difference(found[name], ahead) for name, ahead in zip(("mean", "variance"), want, strict=True))


def lines_of(profile, n, graph, runs, off):
    """The four rows of one profile; `runs` are what its processes said."""

    def row(what, value, unit, floor, **more):
        found = {"what": f"{profile}: {what}", "value": value, "unit": unit, "floor": floor}
        return {**found, "passed": value <= floor, **more}

    ms = statistics.median(each for run in runs for each in run["cpu_s"]) * 1e3
    wall = statistics.median(each for run in runs for each in run["wall_s"]) * 1e3
    running = statistics.median(run["running"] for run in runs) / MB
    facts = {name: statistics.median(run[name] for run in runs) / MB for name in ("empty", "after", "peak")}
    load = statistics.median(run["load_s"] for run in runs) * 1e3
    return [
        row("bytes a series", len(graph) / n, "B", BYTES[profile]),
        row(
            "resident",
            running,
            "MB",
            RESIDENT_MB[profile],
            **{f"{name}_mb": mb for name, mb in facts.items()},
        ),
        row("all series", ms, "ms", ALL_MS[profile], wall_ms=wall, load_ms=load),
        row("parity", off, "rel.", PARITY),
    ]


def note(profile, lines):
    """What is measured beside the floors."""
    _, memory, time, _ = (line for line in lines if line["what"].startswith(f"{profile}:"))
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
    graphs, errors, runs = {}, {}, {profile: [] for profile in PROFILES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for profile in PROFILES:
            graphs[profile], places, coefficients, _ = fleet_graph(fleet, coded, profile, (), H)
            feed = {"index": places, "lags": fleet.levels}
            feed = {key: np.ascontiguousarray(feed[key]) for key in inputs_of(graphs[profile])}
            errors[profile] = error(graphs[profile], feed, fleet, coefficients)
            (folder / f"{profile}.onnx").write_bytes(graphs[profile])
            np.savez(folder / f"{profile}.npz", **feed)
        for _ in range(TURNS):
            for profile in PROFILES:
                found = measured(folder / f"{profile}.onnx", folder / f"{profile}.npz", profile)
                runs[profile].append(found)
    lines = [
        line
        for profile in PROFILES
        for line in lines_of(profile, args.series, graphs[profile], runs[profile], errors[profile])
    ]
    columns = [("what", "", ""), ("value", "value", ".4g"), ("unit", "", ""), ("floor", "floor", "g")]
    notes = [f"coded in 16, 8, 4 bits: {coded.n16}, {coded.n8}, {coded.n4} series"]
    notes += [note(profile, lines) for profile in PROFILES]
    title = f"{args.series} AR({P}), {H} steps, one core; {TURNS} processes of {ROUNDS} runs each"
    show(lines, columns, title, notes)
    return conclude(
        "edge_fleet", args, lines, PACKAGES, n_series=args.series, p=P, horizon=H, n16=coded.n16, n8=coded.n8,
        n4=coded.n4, runs=runs,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
