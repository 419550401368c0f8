"""Fit AR(p) to a panel, against statsmodels: ``python -m tests.bench.bench_ar_fit [--json PATH]``.

One core, one BLAS thread. Ours and theirs take turns within the run, so that both meet the same machine.
"""

from __future__ import annotations

import statistics
import sys

import numpy as np
from statsmodels.regression.linear_model import burg
from statsmodels.tsa.ar_model import ar_select_order

from forecast.kernels.ar_exact import fit_exact
from forecast.kernels.ar_ols import fit_ols
from forecast.kernels.burg import fit_burg
from forecast.kernels.yule_walker import fit_yule_walker
from tests.bench.measure import arguments, conclude, one_core, seconds, show
from tests.bench.panels import ar_paths
from tests.oracles.ar_panel import CODES, Rows

T, MAX_LAGS, ROUNDS = 1_000, 24, 5
OLS_SAMPLE, BURG_SAMPLE = 20, 200
FLOORS = {"ols": 2_000.0, "burg": 50.0}
TOLERANCE = {"ols": 1e-10, "burg": 1e-12}
PACKAGES = ("numpy", "numba", "statsmodels")


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
    panel = ar_paths(n, T)
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
                "orders": "same" if same else "DIFFER",
                "worst_coefficient_difference": worst,
                "passed": peer / own >= FLOORS[name] and same and worst <= TOLERANCE[name],
            }
        lines.append(line)
    return lines


def main():
    one_core()
    args = arguments(__doc__, series=10_000)
    took, theirs, agree, peak = measure(args.series)
    lines = report(took, theirs, agree, peak)
    columns = [
        ("method", "method", ""), ("us_per_series", "us/series", ".2f"), ("share_of_peak", "of peak", ".1%"),
        ("peer_us_per_series", "statsmodels us", ".1f"), ("ratio", "ratio", ".0f"), ("floor", "floor", ".0f"),
        ("orders", "orders", ""), ("worst_coefficient_difference", "worst diff", ".1e"),
    ]  # fmt: skip
    show(
        lines,
        columns,
        f"{args.series} series x {T} observations, orders 0..{MAX_LAGS}, one core, medians of {ROUNDS}",
        [
            f"peak of a float64 matrix product in this run: {peak:.1f} GFLOP/s",
            "share of peak counts the lag products only: 2 T (m + 1) operations a series",
        ],
    )
    return conclude(
        "ar_fit", args, lines, PACKAGES,
        n_series=args.series, n_obs=T, max_lags=MAX_LAGS, rounds=ROUNDS, peak_gflops=peak,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
