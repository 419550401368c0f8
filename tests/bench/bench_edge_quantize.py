"""What quantisation costs: ``python -m tests.bench.bench_edge_quantize [--models N] [--json PATH]``.

Eight populations of AR models (`tests/bench/edge_populations.py`), two more that are held out, and AR(aic) on
every series of the panels beside the repository. Of each: plain rounding of the lag coefficients and of the
arcsine codes to 8 bits, the search at 8 bits, and what is exported (4, 8 or 16 bits by the guard). Rises are
of the mean forecast RMSE over 24 steps, analytic. What is exported is read back from the bytes of model.onnx:
poles by the checker, rises from the coefficients that the graph decodes. The second table is that of ONNX
Runtime's own tools.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from edge.check import stability
from edge.check.poles import largest_pole
from edge.fleet import Fleet
from edge.graph.model import forecast_model
from edge.quantize import MAX_RISE, Models, code, decode, quantize
from edge.quantize.loss import Target
from edge.quantize.polynomial import product, step_up
from tests.bench import edge_rivals
from tests.bench.edge_populations import SEED, Population, populations
from tests.bench.measure import arguments, conclude, one_core, show
from tests.oracles import edge_quantize as oracle
from tests.strategies import make_records

H = 24
MEAN_FLOOR, MEDIAN_FLOOR = 5e-3, 2e-4
# Largest difference of a rise from the oracle, whose long recursion loses digits near a unit root.
ORACLE = 1e-6
# More 16-bit series than this, and 10,000 AR(24) do not fit into 40 bytes each.
MOST_16 = {"random AR(24)": 0.15}
FOLDER = Path(__file__).parents[3] / "shared" / "data" / "panels"
PACKAGES = ("numpy", "onnx", "onnxruntime")
# Models of each population that ONNX Runtime's tools are tried on, and whose rise is computed again, slowly.
SAMPLE, CHECKED = 50, 10


def targets(models):
    """(rows, Target) for the series of each shape, without regard to differences: the AR part alone."""
    shapes = np.column_stack([models.p, models.P, np.where(models.P > 0, models.s, 1)])
    for p, P, s in np.unique(shapes, axis=0).tolist():
        rows = np.flatnonzero((shapes == [p, P, s]).all(axis=1))
        if p + P:
            parts = step_up(models.parcor[rows, :p]), step_up(models.seasonal_parcor[rows, :P])
            yield rows, p, P, s, Target.of(product(*parts, s), H)


def rises(models, phi, seasonal_phi):
    """(n,) rises of other coefficients, from the formula; some are checked against the slow oracle."""
    out = np.zeros(len(models.p))
    for rows, p, P, s, target in targets(models):
        made = product(phi[rows, :p], seasonal_phi[rows, :P], s)
        for at in range(0, len(rows), 500):
            part = np.arange(at, min(at + 500, len(rows)))
            # An unstable model may forecast beyond float64.
            with np.errstate(over="ignore", invalid="ignore"):
                out[rows[part]] = target.take(part).rise(made[part])
    return np.where(np.isnan(out), np.inf, out)


def slow_difference(models, phi, seasonal_phi, found):
    """Largest difference of a few rises from those of the oracle, absolute."""
    worst = 0.0
    for i in range(min(CHECKED, len(found))):
        s, p, P = int(models.s[i]), models.p[i], models.P[i]
        if p + P:
            true = step_up(models.parcor[i : i + 1, :p])[0], step_up(models.seasonal_parcor[i : i + 1, :P])[0]
            both = [oracle.multiply(*pair, s) for pair in (true, (phi[i, :p], seasonal_phi[i, :P]))]
            worst = max(worst, abs(oracle.rise(*both, H) - found[i]))
    return worst


def direct(models):
    """Lag coefficients of the product rounded to 8 bits, the largest to 127: (n, L), and their rises."""
    poles, out = np.zeros(len(models.p)), np.zeros(len(models.p))
    for rows, _, _, _, target in targets(models):
        step = np.abs(target.a).max(axis=1, keepdims=True) / 127.0
        made = np.rint(target.a / np.where(step > 0, step, 1.0)) * step
        poles[rows] = largest_pole(made)
        with np.errstate(over="ignore", invalid="ignore"):
            out[rows] = target.rise(made)
    return poles, np.where(np.isnan(out), np.inf, out)


def rounded(models):
    """Rises of arcsine codes of 8 bits, each angle rounded for itself."""
    found = []
    for k in (models.parcor, models.seasonal_parcor):
        theta = np.arcsin(k)
        step = np.abs(theta).max(axis=1, initial=0.0, keepdims=True) / 127.0
        found.append(step_up(np.sin(np.rint(theta / np.where(step > 0, step, 1.0)) * step)))
    return rises(models, *found)


def read_back(fleet):
    """Export a fleet and read its coefficients from the file, in the order of the fleet."""
    begin = time.process_time()
    coded = quantize(fleet, horizon=H)
    took = time.process_time() - begin
    data = forecast_model(fleet, H, (), profile="size", quantized=coded)
    found = stability(data, fleet.s[coded.order])
    back = np.argsort(coded.order)
    at = back if len(found.phi) == len(back) else np.zeros(len(back), dtype=np.int64)
    return coded, found, found.phi[at], found.seasonal_phi[at], len(data), took


def line_of(population, fleet):
    """One row of the table."""
    models, n = population.models, len(population.models.p)
    coded, found, phi, seasonal_phi, size, took = read_back(fleet)
    exported = rises(models, phi, seasonal_phi)
    poles, plain = direct(models)
    angles = rounded(models)
    eight = code(models, (8,), horizon=H)
    unstable = int((~found.stable).sum() + (~(largest_pole(decode(eight.codes, eight.scale)) < 1.0)).sum())
    line = {
        "what": population.name + (" (held out)" if population.held_out else ""), "n": n,
        "direct_unstable": float(np.mean(poles >= 1.0)), "direct_median": float(np.median(plain)),
        "arcsine_median": float(np.median(angles)), "arcsine_p99": float(np.quantile(angles, 0.99)),
        "int8_median": float(np.median(eight.rise)), "int8_p99": float(np.quantile(eight.rise, 0.99)),
        "mean": float(exported.mean()), "median": float(np.median(exported)),
        "p99": float(np.quantile(exported, 0.99)), "max": float(exported.max()),
        "share_16": coded.n16 / n, "share_4": coded.n4 / n, "bytes": size / n, "unstable": unstable,
        "max_pole": float(found.max_pole.max()), "min_margin": float(found.margin.min()),
        "ms_a_series": 1e3 * took / n,
        "oracle_difference": slow_difference(models, phi, seasonal_phi, exported),
    }  # fmt: skip
    kept = (
        line["mean"] <= MEAN_FLOOR and line["median"] <= MEDIAN_FLOOR and line["oracle_difference"] < ORACLE
    )
    few = line["share_16"] <= MOST_16.get(population.name, 1.0)
    line["passed"] = bool(unstable == 0 and kept and few)
    return line


def fleet_of(models):
    """The fleet of a population, all of variance 1 and mean 0."""
    n = len(models.p)
    phi, seasonal = step_up(models.parcor), step_up(models.seasonal_parcor)
    season = {"seasonal_phi": seasonal, "P": models.P, "season_length": models.s} if seasonal.size else {}
    width = int((models.p + models.s * models.P).max())
    return Fleet.of(make_records(n, phi=phi, p=models.p, levels=np.zeros((n, width)), **season))


def panels():
    """AR(aic) on every series of the panels that lie beside the repository: (population, fleet)."""
    import forecast as fc

    for row in pd.read_csv(FOLDER / "sets.csv").itertuples():
        train = pd.read_parquet(FOLDER / f"{row.set}_train.parquet")
        fleet = Fleet.of(fc.fit(train, model=fc.AR(lags="aic"), freq=1).records[0])
        models = Models(fleet.parcor, fleet.p, fleet.seasonal_parcor, fleet.P, fleet.s, fleet.d, fleet.D)
        yield Population(row.set, models), fleet


def rival_lines(all_populations):
    """What ONNX Runtime's own tools lose, on a sample of each population."""
    lines = []
    for population in all_populations:
        line = {"what": population.name}
        _, _, _, _, target = max(targets(population.models), key=lambda found: len(found[0]))
        some = target.take(np.arange(min(SAMPLE, len(target.a))))
        for name, tool in {"float32": lambda model, *_: model, **edge_rivals.tools()}.items():
            found, poles = edge_rivals.rises_and_poles(some, tool, np.random.default_rng(SEED))
            line[name], line[f"{name}, median"] = float(found.mean()), float(np.median(found))
            line[f"{name}, unstable"] = float(np.mean(~(poles < 1.0)))
        lines.append(line)
    return lines


def main():
    one_core()
    args = arguments(__doc__, models=1_250)
    drawn = populations(args.models)
    lines = [line_of(each, fleet_of(each.models)) for each in drawn]
    notes = [f"guard: {MAX_RISE:.2%} a series; seed {SEED}"]
    if FOLDER.is_dir():
        real = list(panels())
        lines += [line_of(*each) for each in real]
        drawn += [population for population, _ in real]
    else:
        notes.append("skipped: AR(aic) needs the panels at ../shared/data/panels, not part of the repository")
    columns = [
        ("what", "", ""), ("n", "models", "d"),
        ("direct_unstable", "direct: unstable", ".1%"), ("direct_median", "median", ".3%"),
        ("arcsine_median", "arcsine: median", ".4%"), ("arcsine_p99", "p99", ".2%"),
        ("int8_median", "int8: median", ".4%"), ("int8_p99", "p99", ".3%"),
        ("mean", "exported: mean", ".4%"), ("median", "median", ".4%"),
        ("p99", "p99", ".3%"), ("max", "max", ".3%"),
        ("share_16", "16 bits", ".1%"), ("share_4", "4 bits", ".1%"), ("bytes", "B/series", ".1f"),
        ("unstable", "unstable", "d"), ("ms_a_series", "ms", ".2f"),
    ]  # fmt: skip
    show(lines, columns, "Rise of the mean forecast RMSE, h = 1..24", notes)
    theirs = rival_lines(drawn)
    heads = [("what", "", "")]
    for name in ("float32", *edge_rivals.tools()):
        heads += [(f"{name}, unstable", f"{name}: unstable", ".0%")]
        heads += [(f"{name}, median", "median", ".3%"), (name, "mean", ".3g")]
    show(
        theirs, heads, f"\nONNX Runtime's own tools, p x {H} product, {SAMPLE} models; the mean as a ratio",
    )  # fmt: skip
    return conclude(
        "edge_quantize", args, lines, PACKAGES, rivals=theirs, guard=MAX_RISE, seed=SEED, horizon=H,
        floors={"mean": MEAN_FLOOR, "median": MEDIAN_FLOOR, "unstable": 0, "share_16": MOST_16},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
