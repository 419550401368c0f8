"""The AR path at the limit of the machine: ``python -m tests.bench.bench_core_ar [--json PATH]``.

One core and one BLAS thread, but for the row that compares two threads with one. Peaks (a loop of nothing but
multiply-adds, the best matrix product, the triad) are measured in the same run, in turns with the rest.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import numpy as np

from forecast import online
from forecast.kernels._jit import kernel
from forecast.kernels.ar_ols import fit_ols
from forecast.kernels.forecast_lanes import forecast_lanes
from forecast.kernels.philox import normals
from forecast.kernels.simd import WIDTH, WIDTH32, fma, load_at, store_at
from forecast.models.ar import AR
from forecast.models.arima import ARIMA
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.threads import over_rows
from tests.bench.bench_ar_fit import MAX_LAGS, T, compare, ols_peer, outputs
from tests.bench.measure import arguments, conclude, one_core, seconds, show
from tests.bench.panels import ar_paths
from tests.oracles.ar_panel import CODES
from tests.strategies import make_records

ROUNDS, PEER_SAMPLE, REPEATS = 5, 20, 25
FIT_FLOOR, SHARE_FLOOR, THREADS_FLOOR = 3_000.0, 0.75, 1.8
# Share of a core that one thread gets where nothing else runs.
QUIET = 0.9
STEP_FLOOR_US = {"p50": 5.0, "p99": 15.0}
TICKS, SLOTS, H = 100_000, 1_000, 24
# By ticks a call; 20 are what a stream sees when there is little to do.
BANK_FLOOR_US = {20: 3.0, 5_000: 1.5}
BANK_LAGS, BANK_SLOTS = 8, 100_000
SHAPES = ((24, 24, 10_240), (48, 48, 2_048))
PACKAGES = ("numpy", "numba", "statsmodels")


@kernel
def multiply_adds(a, n):
    """Ten chains of multiply-adds, which is more than their latency needs."""
    x, y = load_at(a, 0), load_at(a, 16)
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 = x, x, x, x, x, x, x, x, x, x
    for _ in range(n):
        s0, s1, s2, s3, s4 = fma(s0, x, y), fma(s1, x, y), fma(s2, x, y), fma(s3, x, y), fma(s4, x, y)
        s5, s6, s7, s8, s9 = fma(s5, x, y), fma(s6, x, y), fma(s7, x, y), fma(s8, x, y), fma(s9, x, y)
    store_at(a, 32, (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))) + (s8 + s9))


@kernel
def triad(a, b, c):
    for i in range(len(a)):
        a[i] = b[i] + 0.5 * c[i]


def best(call, *args, repeats=REPEATS):
    return min(seconds(call, *args)[0] for _ in range(repeats))


class Peaks:
    """GFLOP/s by precision, and GB/s of the triad; the best of all that was seen in the run."""

    def __init__(self):
        self.flops, self.products, self.bandwidth = {}, {}, 0.0
        rng = np.random.default_rng(0)
        self.work = {dtype: np.full(64, 0.5, dtype) for dtype in (np.float64, np.float32)}
        self.squares = {dtype: rng.normal(size=(1_000, 1_000)).astype(dtype) for dtype in self.work}
        self.long = [np.ones(8_000_000) for _ in range(3)]
        for a in self.work.values():
            multiply_adds(a, 1)
        triad(*self.long)

    def look(self):
        for dtype, lanes in ((np.float64, WIDTH), (np.float32, WIDTH32)):
            took = best(multiply_adds, self.work[dtype], 50_000, repeats=5)
            self.flops[dtype] = max(self.flops.get(dtype, 0.0), 50_000 * 20 * lanes / took / 1e9)
            square = self.squares[dtype]
            took = best(np.matmul, square, square, repeats=3)
            self.products[dtype] = max(self.products.get(dtype, 0.0), 2.0 * len(square) ** 3 / took / 1e9)
        self.bandwidth = max(
            self.bandwidth, 24 * len(self.long[0]) / best(triad, *self.long, repeats=3) / 1e9
        )

    def of(self, dtype):
        return max(self.flops[dtype], self.products[dtype])


def fit_row(panel, peaks):
    n = len(panel)
    values, indptr, rows = panel.ravel(), np.arange(n + 1, dtype=np.int64) * T, outputs(n)
    run = (values, indptr, 0, n, MAX_LAGS, CODES["aic"], 1, *rows.arrays())
    fit_ols(*run)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(fit_ols, *run)[0] / n)
        took, fits = seconds(ols_peer, panel[:PEER_SAMPLE])
        theirs.append(took / PEER_SAMPLE)
        peaks.look()
    own, peer = statistics.median(ours), statistics.median(theirs)
    same, worst = compare(rows, fits)
    return {
        "what": f"AR, orders 0..{MAX_LAGS} by AIC, against ar_select_order",
        "value": peer / own, "unit": "x", "floor": FIT_FLOOR, "aim": 8_000.0,
        "us_per_series": own * 1e6, "peer_us_per_series": peer * 1e6, "best_us_per_series": min(ours) * 1e6,
        "orders": "same" if same else "DIFFER", "worst_coefficient_difference": worst,
        "passed": peer / own >= FIT_FLOOR and same and worst <= 1e-10,
    }  # fmt: skip


def forecast_rows(peaks):
    lines = []
    for dtype, lanes in ((np.float64, WIDTH), (np.float32, WIDTH32)):
        for p, h, n in SHAPES:
            rng, blocks = np.random.default_rng(0), n // lanes
            a = (rng.normal(size=(blocks, p, lanes)) * 0.3 / p).astype(dtype)
            w = rng.normal(size=(blocks, p + h, lanes)).astype(dtype)
            forecast_lanes(a, w, 0, blocks)
            w[:, p:] = 0.0
            took = []
            for _ in range(ROUNDS):
                took.append(best(forecast_lanes, a, w, 0, blocks))
                w[:, p:] = 0.0
                peaks.look()
            lines.append((dtype, p, h, n, 2.0 * n * p * h / min(took) / 1e9))
    return lines


def share_lines(measured, peaks):
    return [
        {
            "what": f"forecast kernel {np.dtype(dtype).name}, p={p}, h={h}, of the peak",
            "value": 100 * gflops / peaks.of(dtype), "unit": "%", "floor": 100 * SHARE_FLOOR, "aim": 90.0,
            "gflops": gflops, "million_series_per_s": gflops * 1e3 / (2.0 * p * h),
            "passed": gflops / peaks.of(dtype) >= SHARE_FLOOR,
        }
        for dtype, p, h, n, gflops in measured
    ]  # fmt: skip


def step_lines():
    """One tick of one series and its 24 forecasts, from Python; the percentiles are medians of the rounds."""
    rng = np.random.default_rng(0)
    fields = {"phi": [0.9 / MAX_LAGS] * MAX_LAGS, "const": 1.0, "sigma2": 0.5}
    slots = online.load(make_records(SLOTS, **fields, levels=rng.normal(size=MAX_LAGS).tolist()), H)
    ticks = list(zip(rng.integers(0, SLOTS, TICKS).tolist(), rng.normal(size=TICKS).tolist(), strict=True))
    online.step(slots, 0, float("nan"))  # compile outside the clock, the gap as well
    found = {"p50": [], "p99": []}
    clock, step, ahead = time.perf_counter_ns, online.step, online.ahead
    took = np.empty(TICKS)
    for _ in range(ROUNDS):
        for k, (slot, y) in enumerate(ticks):
            begin = clock()
            step(slots, slot, y)
            ahead(slots, slot)
            took[k] = clock() - begin
        for name, values in found.items():
            values.append(float(np.percentile(took, float(name[1:]))) / 1e3)
    return [
        {
            "what": f"online.step and a forecast of {H} steps, {name}",
            "value": statistics.median(values), "unit": "us", "floor": STEP_FLOOR_US[name],
            "aim": {"p50": 2.0, "p99": 6.0}[name], "passed": statistics.median(values) <= STEP_FLOOR_US[name],
        }
        for name, values in found.items()
    ]  # fmt: skip


def bank_lines():
    """Ticks of many series in one call, each with 24 forecasts and one interval; CPU time, the median."""
    rng = np.random.default_rng(0)
    fields = {"phi": [0.9 / BANK_LAGS] * BANK_LAGS, "const": 1.0, "sigma2": 0.5, "levels": [1.0] * BANK_LAGS}
    bank = online.Bank(make_records(1, **fields), H, (95,))
    slots = rng.permutation(bank.add(np.zeros(BANK_SLOTS, np.int64)))
    lines = []
    for n, floor in BANK_FLOOR_US.items():
        took, gaps, y = [], np.zeros(n, np.int64), rng.normal(size=n)
        for first in range(0, len(slots) - n + 1, n):
            begin = time.thread_time_ns()
            bank.step(slots[first : first + n], gaps, y)
            took.append(time.thread_time_ns() - begin)
        value = statistics.median(took) / 1e3 / n
        lines.append(
            {
                "what": f"online.Bank.step, AR({BANK_LAGS}), {H} steps, one level, {n} ticks a call, a tick",
                "value": value, "unit": "us", "floor": floor, "bytes_a_slot": bank.nbytes / len(slots),
                "passed": value <= floor,
            }
        )  # fmt: skip
    return lines


class Clock:
    """Wall seconds of a call; CPU seconds of the process, and of the thread that calls."""

    def __init__(self, call, jobs):
        wall, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
        self.result = call(jobs)
        self.own, self.cpu = time.thread_time() - own, time.process_time() - cpu
        self.wall = time.perf_counter() - wall


def thread_line(what, call, cores, rounds=ROUNDS):
    """One thread and two, turn and turn about: best wall times, and the same bits.

    Where something else runs on the cores, wall times say little. Then CPU seconds judge: those of one
    thread over those that two free cores would take, the calling thread's and half of the workers'.
    """
    call(1), call(2)
    one, two = ([Clock(call, jobs) for _ in range(rounds)] for jobs in (1, 2))
    same = all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(one[-1].result, two[-1].result, strict=True)
    )
    wall = min(c.wall for c in one) / min(c.wall for c in two)
    alone, shared = min(one, key=lambda c: c.cpu), min(two, key=lambda c: c.cpu)
    by_cpu = alone.cpu / (shared.own + (shared.cpu - shared.own) / 2)
    busy = max(c.cpu / c.wall for c in one) < QUIET
    value = by_cpu if busy and by_cpu > wall else wall
    return {
        "what": f"two threads, {what} ({'same bits' if same else 'BITS DIFFER'}{', by CPU time' * busy})",
        "value": value, "unit": "x", "floor": THREADS_FLOOR, "aim": 1.95,
        "wall_ratio": wall, "cpu_ratio": by_cpu, "share_of_a_core": max(c.cpu / c.wall for c in one),
        "passed": (value >= THREADS_FLOOR or len(cores) < 2) and same,
    }  # fmt: skip


def thread_lines(paths, cores):
    """Panel in and arrays out: fits of AR, of ARIMA, and forecasts."""
    n = len(paths)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    values, indptr = paths.ravel(), np.arange(n + 1, dtype=np.int64) * T
    ids = np.array([f"s{i}" for i in range(n)], dtype=object)
    panel = Panel(values, indptr, ids, np.zeros(n, dtype=np.int64), Freq("1"), {})
    rows = {1: outputs(n), 2: outputs(n)}

    def orders(jobs):
        out = rows[jobs].arrays()

        def work(first, last):
            fit_ols(values, indptr, first, last, MAX_LAGS, CODES["aic"], 1, *out)

        over_rows(work, n, jobs)
        return out

    def fit(model):
        def call(jobs):
            records = model.fit(panel, jobs)
            return records.phi, records.sigma2, records.levels, records.ljung_box_p

        return call

    arima = ARIMA((1, 0, 1))
    records = arima.fit(panel, 2)

    def ahead(jobs):
        made = forecast(records, H, (80, 95), jobs=jobs)
        return made.mean, made.lo, made.hi

    return [
        thread_line(f"{n} fits of AR, orders 0..{MAX_LAGS}", orders, cores, 2 * ROUNDS),
        thread_line(f"{n} AR(24) to records", fit(AR(lags=MAX_LAGS)), cores),
        thread_line(f"{n} fits of ARIMA(1,0,1)", fit(arima), cores, 3),
        thread_line(f"{n} forecasts of {H} steps with intervals", ahead, cores),
    ]


def normals_line():
    out, key = np.empty((20_000, H)), np.array([1, 2], dtype=np.uint64)
    normals(key, 0, out)
    own, theirs = [], []
    for _ in range(ROUNDS):
        own.append(best(normals, key, 0, out, repeats=3))
        rng = np.random.default_rng(0)
        theirs.append(best(rng.standard_normal, out.shape, repeats=3))
    million = out.size / statistics.median(own) / 1e6
    return {
        "what": "normal numbers by counter", "value": million, "unit": "M/s",
        "numpy_million_per_s": out.size / statistics.median(theirs) / 1e6,
    }  # fmt: skip


def main():
    cores = set(range(os.cpu_count() or 1))
    one_core()
    args = arguments(__doc__, series=10_000)
    panel, peaks = ar_paths(args.series, T), Peaks()
    fit, measured = fit_row(panel, peaks), forecast_rows(peaks)
    rng = normals_line()
    lines = [
        fit,
        *share_lines(measured, peaks),
        *step_lines(),
        *bank_lines(),
        rng,
        *thread_lines(panel, cores),
    ]
    columns = [
        ("what", "", ""),
        ("value", "value", ".2f"),
        ("unit", "", ""),
        ("floor", "floor", ".1f"),
        ("aim", "aim", ".2f"),
    ]
    flops = {np.dtype(dtype).name: peaks.flops[dtype] for dtype in peaks.flops}
    products = {np.dtype(dtype).name: peaks.products[dtype] for dtype in peaks.products}
    show(
        lines, columns, f"{args.series} series x {T} observations; one core unless said, {ROUNDS} rounds",
        [
            *(f"peak {name}: loop {flops[name]:.1f}, product {products[name]:.1f} GFLOP/s" for name in flops),
            f"triad: {peaks.bandwidth:.1f} GB/s",
            f"fit: {fit['us_per_series']:.2f} us a series (best {fit['best_us_per_series']:.2f}); "
            f"ar_select_order {fit['peer_us_per_series']:.0f} us; orders {fit['orders']}, coefficients "
            f"within {fit['worst_coefficient_difference']:.0e}",
            f"numpy draws {rng['numpy_million_per_s']:.0f} M/s normal numbers",
        ],
    )  # fmt: skip
    return conclude(
        "core_ar", args, lines, PACKAGES, n_series=args.series, n_obs=T, max_lags=MAX_LAGS, rounds=ROUNDS,
        loop_gflops=flops, product_gflops=products, triad_gb_per_s=peaks.bandwidth,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
