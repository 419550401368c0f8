"""Unit-root tests of a panel against statsmodels: ``python -m tests.bench.bench_stationarity [--json PATH]``.

One core, one BLAS thread. Ours and theirs take turns within the run, so that both meet the same machine.
"""

from __future__ import annotations

import statistics
import sys
import warnings

import numpy as np
from statsmodels.tsa.seasonal import STL
from statsmodels.tsa.stattools import adfuller, kpss

from forecast.models.decomposition import seasonal_strength
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.stationarity import ndiffs, stationarity_table
from forecast.models.unit_roots import adf_test, kpss_test, phillips_perron_test
from tests.bench.measure import arguments, conclude, one_core, seconds, show

T, SEASON, ROUNDS, SAMPLE = 200, 12, 5, 40
FLOORS = {"adf (aic) + kpss": 50.0, "seasonal strength": 1.0}
TABLE_LIMIT_S = 10.0  # for 10,000 series
PACKAGES = ("numpy", "numba", "statsmodels")


def make_panel(n):
    """White noise and random walks, half of each."""
    y = np.random.default_rng(0).normal(size=(n, T))
    y[::2] = y[::2].cumsum(axis=1)
    ids = np.arange(n).astype(object)
    return Panel(y.ravel(), np.arange(n + 1) * T, ids, np.ones(n, np.int64), Freq("1"))


def unit_roots_peer(sample):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # p-values outside of the table
        return [
            (adfuller(y, result_object=True).statistic, kpss(y, result_object=True).statistic) for y in sample
        ]


def strength_peer(sample):
    jumps = {"seasonal_jump": 2, "trend_jump": 3, "low_pass_jump": 2}
    found = []
    for y in sample:
        part = STL(y, period=SEASON, seasonal=11, seasonal_deg=0, **jumps).fit(2, 0)
        found.append(np.clip(1 - part.resid.var() / (part.resid + part.seasonal).var(), 0, 1))
    return found


def both(panel):
    unit, level = adf_test(panel.values, panel.indptr), kpss_test(panel.values, panel.indptr)
    return np.stack([unit.stat, level.stat], axis=1)


def measure(n):
    panel = make_panel(n)
    data = panel.values, panel.indptr
    ours = {
        "adf (aic) + kpss": lambda: both(panel),
        "seasonal strength": lambda: seasonal_strength(*data, SEASON),
        "phillips-perron": lambda: phillips_perron_test(*data),
        "ndiffs (kpss)": lambda: ndiffs(*data),
        "stationarity_table": lambda: stationarity_table(panel, SEASON),
    }
    peers = {"adf (aic) + kpss": unit_roots_peer, "seasonal strength": strength_peer}
    sample = panel.values.reshape(n, T)[:SAMPLE]
    took, theirs, worst = {k: [] for k in ours}, {k: [] for k in peers}, {}
    for run in ours.values():
        run()  # compile outside the clock
    for _ in range(ROUNDS):
        for name, run in ours.items():
            duration, result = seconds(run)
            took[name].append(duration / n)
            if name in peers:
                duration, want = seconds(peers[name], sample)
                theirs[name].append(duration / len(sample))
                worst[name] = float(np.abs(result[: len(sample)] - np.array(want)).max())
    return took, theirs, worst


def report(took, theirs, worst):
    lines = []
    for name, times in took.items():
        own = statistics.median(times)
        line = {"what": name, "us_per_series": own * 1e6}
        if name in theirs:
            ratio = statistics.median(theirs[name]) / own
            line |= {
                "peer_us_per_series": ratio * own * 1e6,
                "ratio": ratio,
                "floor": FLOORS.get(name, 0.0),
                "worst_difference": worst[name],
                "passed": ratio >= FLOORS.get(name, 0.0) and worst[name] <= 1e-8,
            }
        if name == "stationarity_table":
            line["passed"] = own * 10_000 <= TABLE_LIMIT_S
        lines.append(line)
    return lines


def main():
    one_core()
    args = arguments(__doc__, series=10_000)
    lines = report(*measure(args.series))
    columns = [
        ("what", "", ""), ("us_per_series", "us/series", ".2f"),
        ("peer_us_per_series", "statsmodels us", ".1f"),
        ("ratio", "ratio", ".1f"), ("floor", "floor", ".0f"), ("worst_difference", "worst diff", ".1e"),
    ]  # fmt: skip
    show(lines, columns, f"{args.series} series x {T} observations, one core, medians of {ROUNDS}")
    return conclude(
        "stationarity", args, lines, PACKAGES,
        n_series=args.series, n_obs=T, season_length=SEASON, rounds=ROUNDS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
