"""Fit AR(p) to a panel, against statsmodels: ``python -m tests.bench.bench_ar_fit [--json PATH]``.

One core, one BLAS thread. Ours and theirs take turns within the run, so that both meet the same machine.
"""

# ruff: noqa: E402 -- the thread counts must be set before numpy is imported
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported, or it has no effect

import argparse
import json
import platform
import statistics
import sys
import time

import numba
import numpy as np
import statsmodels
from scipy.signal import lfilter
from statsmodels.regression.linear_model import burg
from statsmodels.tsa.ar_model import ar_select_order

from forecast.kernels.ar_exact import fit_exact
from forecast.kernels.ar_ols import fit_ols
from forecast.kernels.burg import fit_burg
from forecast.kernels.yule_walker import fit_yule_walker
from tests.oracles.ar_panel import CODES, Rows

T, MAX_LAGS, ROUNDS = 1_000, 24, 5
OLS_SAMPLE, BURG_SAMPLE = 20, 200
FLOORS = {"ols": 2_000.0, "burg": 50.0}
TOLERANCE = {"ols": 1e-10, "burg": 1e-12}


def make_panel(n, seed=0):
    """Stationary AR(4) paths about different levels, (n, T)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, T + 200))
    return lfilter([1.0], [1.0, -0.6, 0.2, 0.0, 0.1], noise)[:, 200:] + rng.normal(size=(n, 1))


def outputs(n):
    return Rows(
        np.empty((n, MAX_LAGS)),
        np.empty(n),
        np.empty(n),
        np.empty(n, dtype=np.int64),
        np.empty((n, MAX_LAGS + 1)),
        np.empty(n),
        np.empty(n, dtype=np.uint8),
    )


def seconds(call, *args):
    start = time.perf_counter()
    result = call(*args)
    return time.perf_counter() - start, result


def runner(kernel, panel, criterion):
    n = len(panel)
    values, indptr, rows = panel.ravel(), np.arange(n + 1, dtype=np.int64) * T, outputs(n)

    def run():
        kernel(values, indptr, 0, n, MAX_LAGS, CODES[criterion], 1, *rows.arrays())
        return rows

    kernel(values, indptr, 0, 1, MAX_LAGS, CODES[criterion], 1, *rows.arrays())  # compile outside the clock
    return run


def ols_peer(sample):
    fits = []
    for y in sample:
        select = ar_select_order(y, MAX_LAGS, "aic")
        fits.append((len(select.ar_lags or []), select.model.fit().params[1:]))
    return fits


def burg_peer(sample):
    return [(MAX_LAGS, burg(y, MAX_LAGS)[0]) for y in sample]


def matrix_product(a):
    took, _ = seconds(np.matmul, a, a)
    return 2.0 * len(a) ** 3 / took / 1e9


def compare(rows, fits):
    """Whether orders agree, and the largest difference of a coefficient."""
    same = all(rows.order[i] == order for i, (order, _) in enumerate(fits))
    worst = max(
        float(np.abs(rows.phi[i, : len(phi)] - phi).max(initial=0.0)) for i, (_, phi) in enumerate(fits)
    )
    return same, worst


def measure(n):
    panel = make_panel(n)
    square = np.random.default_rng(1).normal(size=(1_200, 1_200))
    small = panel[: max(1, n // 20)]
    ours = {
        "ols": runner(fit_ols, panel, "aic"),
        "burg": runner(fit_burg, panel, "fixed"),
        "burg, aic": runner(fit_burg, panel, "aic"),
        "yule-walker, aic": runner(fit_yule_walker, panel, "aic"),
        "exact ml, aic": runner(fit_exact, small, "aic"),
    }
    sizes = {name: len(small) if name.startswith("exact") else n for name in ours}
    peers = {"ols": (ols_peer, panel[:OLS_SAMPLE]), "burg": (burg_peer, panel[:BURG_SAMPLE])}
    took, theirs, peak = {name: [] for name in ours}, {name: [] for name in peers}, 0.0
    agree = {}
    for _ in range(ROUNDS):
        peak = max(peak, matrix_product(square))
        for name, run in ours.items():
            duration, rows = seconds(run)
            took[name].append(duration / sizes[name])
            if name in peers:
                peer, sample = peers[name]
                duration, fits = seconds(peer, sample)
                theirs[name].append(duration / len(sample))
                agree[name] = compare(rows, fits)
    return took, theirs, agree, peak


def report(took, theirs, agree, peak):
    lines, flops = [], 2.0 * T * (MAX_LAGS + 1)
    for name, times in took.items():
        own = statistics.median(times)
        line = {
            "method": name,
            "us_per_series": own * 1e6,
            "lag_products_gflops": flops / own / 1e9,
            "share_of_peak": flops / own / 1e9 / peak,
        }
        if name in theirs:
            peer = statistics.median(theirs[name])
            same, worst = agree[name]
            line |= {
                "peer_us_per_series": peer * 1e6,
                "ratio": peer / own,
                "floor": FLOORS[name],
                "same_orders": same,
                "worst_coefficient_difference": worst,
                "passed": peer / own >= FLOORS[name] and same and worst <= TOLERANCE[name],
            }
        lines.append(line)
    return lines


def show(lines, n, peak):
    write = sys.stdout.write
    write(f"{n} series x {T} observations, orders 0..{MAX_LAGS}, one core, medians of {ROUNDS}\n")
    write(f"peak of a float64 matrix product in this run: {peak:.1f} GFLOP/s\n")
    write(f"{'method':18}{'us/series':>10}{'% of peak':>11}{'statsmodels us':>16}{'ratio':>8}{'floor':>7}")
    write("  orders  worst diff\n")
    for line in lines:
        write(f"{line['method']:18}{line['us_per_series']:10.2f}{100 * line['share_of_peak']:11.1f}")
        if "ratio" in line:
            write(f"{line['peer_us_per_series']:16.1f}{line['ratio']:8.0f}{line['floor']:7.0f}")
            orders = "same" if line["same_orders"] else "DIFFER"
            write(f"  {orders:6}{line['worst_coefficient_difference']:12.1e}")
            write("" if line["passed"] else "  BELOW FLOOR")
        write("\n")
    write("share of peak counts the lag products only: 2 T (m + 1) operations a series\n")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="PATH", help="also write the numbers to this file")
    parser.add_argument("--series", type=int, default=10_000)
    args = parser.parse_args(argv)
    took, theirs, agree, peak = measure(args.series)
    lines = report(took, theirs, agree, peak)
    show(lines, args.series, peak)
    if args.json:
        result = {
            "benchmark": "ar_fit",
            "command": "python -m tests.bench.bench_ar_fit",
            "n_series": args.series,
            "n_obs": T,
            "max_lags": MAX_LAGS,
            "rounds": ROUNDS,
            "peak_gflops": peak,
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "versions": {m.__name__: m.__version__ for m in (np, numba, statsmodels)},
            "results": lines,
        }
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 0 if all(line.get("passed", True) for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
