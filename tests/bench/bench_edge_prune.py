"""Pruned models against unpruned ones: ``python -m tests.bench.bench_edge_prune [--json PATH]``.

Sixty sparse and sixty dense AR(24) truths, 1,500 points to fit and 1,500 to forecast from every origin,
h = 1..24: the mean over h of the RMSE, pruned against the same model with all its lags. Then AR(aic) on the
panels beside the repository, whose test parts nobody has seen, and the time for a fleet. One core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter

from edge.prune import prune_lags, prune_parcors
from forecast.models.ar import AR
from forecast.models.certificate import certify
from forecast.models.forecasting import forecast
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from tests.bench.measure import arguments, conclude, one_core, seconds, show
from tests.bench.panels import ar_paths

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "panels"
P, H, T, SEED = 24, 24, 1_500, 6
RISE_LIMIT, FEWER_FLOOR, FLEET_LIMIT_S = 0.2, 4.0, 60.0
PACKAGES = ("numpy", "numba", "scipy", "pandas")


def sparse_truth(rng):
    """Two to four of 24 lags, poles inside 0.98."""
    while True:
        phi = np.zeros(P)
        lags = rng.choice(P, rng.integers(2, 5), replace=False)
        phi[lags] = rng.uniform(0.15, 0.6, len(lags)) * rng.choice([-1.0, 1.0], len(lags))
        if certify(phi[None], np.array([P])).max_pole[0] < 0.98:
            return phi


def dense_truth(rng):
    """Partial autocorrelations uniform in +-0.6 at every lag."""
    phi = np.zeros(0)
    for k in rng.uniform(-0.6, 0.6, P):
        phi = np.append(phi - k * phi[::-1], k)
    return phi


def panel_of(paths):
    n, t = paths.shape
    ids = np.array([f"s{i}" for i in range(n)], dtype=object)
    indptr = np.arange(n + 1, dtype=np.int64) * t
    return Panel(np.ascontiguousarray(paths).ravel(), indptr, ids, np.zeros(n, dtype=np.int64), Freq("1"), {})


def rolling(records, i, y):
    """Mean over h of the RMSE of forecasts from every origin of `y`."""
    p = records.phi.shape[1]
    windows = sliding_window_view(y, p + H)
    path = np.concatenate([windows[:, :p], np.empty((len(windows), H))], axis=1)
    for h in range(H):
        path[:, p + h] = records.const[i] + path[:, h : p + h] @ records.phi[i, ::-1]
    return np.sqrt(((path - windows)[:, p:] ** 2).mean(axis=0)).mean()


def rises(full, made, tests):
    """Percent, one number a series."""
    return np.array([100 * (rolling(made, i, y) / rolling(full, i, y) - 1) for i, y in enumerate(tests)])


def truth_lines(name, draw, n=60):
    rng = np.random.default_rng(SEED)
    truths = [draw(rng) for _ in range(n)]
    noise = rng.normal(size=(n, 300 + 2 * T))
    paths = np.stack(
        [lfilter([1.0], np.r_[1.0, -phi], e)[300:] for phi, e in zip(truths, noise, strict=True)]
    )
    panel, tests = panel_of(paths[:, :T]), paths[:, T - P :]
    full = AR(lags=P, method="ols").fit(panel)
    lines = []
    for what, made in (
        ("lag subset", prune_lags(full, panel, H)),
        ("small parcors to 0", prune_parcors(full)),
    ):
        rise = rises(full, made.records, tests)
        fewer = made.lags_before.sum() / made.lags_kept.sum()
        gate = certify(made.records.phi, made.records.p).passed
        line = {
            "what": f"{name} truths, {what}", "n": n, "lags": made.lags_kept.mean(), "fewer": fewer,
            "mean": rise.mean(), "worst": rise.max(), "unstable": int((~gate).sum()),
            "alone": float((~made.changed).mean()),
        }  # fmt: skip
        if what == "lag subset":
            enough = fewer >= FEWER_FLOOR or name == "dense"
            line |= {"limit": RISE_LIMIT, "passed": bool(rise.mean() <= RISE_LIMIT and enough and gate.all())}
        else:  # the fallback loses more; what it promises is that nothing becomes unstable
            line["passed"] = bool(gate.all())
        lines.append(line)
    return lines


def real_panel(name):
    frame = pd.read_parquet(FOLDER / f"{name}_train.parquet").sort_values(["unique_id", "ds"])
    ids, counts = np.unique(frame["unique_id"].astype(str).to_numpy(), return_counts=True)
    order = frame.assign(unique_id=frame["unique_id"].astype(str)).sort_values(
        ["unique_id", "ds"], kind="stable"
    )
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    values = order["y"].to_numpy(dtype=np.float64)
    panel = Panel(values, indptr, ids.astype(object), np.zeros(len(ids), dtype=np.int64), Freq("1"), {})
    test = pd.read_parquet(FOLDER / f"{name}_test.parquet")
    test = test.assign(unique_id=test["unique_id"].astype(str)).sort_values(["unique_id", "ds"])
    return panel, {key: part["y"].to_numpy(dtype=np.float64) for key, part in test.groupby("unique_id")}


def panel_line(name, h):
    """RMSE on the test part in units of the series' steps: mean over all series, median over the pruned."""
    panel, tests = real_panel(name)
    full = AR(lags="aic", max_lags=P).fit(panel)
    made = prune_lags(full, panel, h)
    rmse = np.empty((2, panel.n_series))
    for row, records in enumerate((full, made.records)):
        mean = forecast(records, h).mean
        for i, key in enumerate(panel.ids):
            step = np.sqrt(np.mean(np.diff(panel.series(i)) ** 2))
            rmse[row, i] = np.sqrt(np.mean((tests[key][:h] - mean[i]) ** 2)) / max(step, 1e-300)
    before, after = rmse[:, np.isfinite(rmse).all(axis=0)].mean(axis=1)
    some, rise = made.changed, 100 * (after / before - 1)
    seasonal = (made.records.seasonal_phi, made.records.P, made.records.season_length)
    gate = certify(made.records.phi, made.records.p, *seasonal).passed
    return {
        "what": f"{name}, AR(aic)", "n": panel.n_series, "alone": float((~some).mean()), "mean": float(rise),
        "lags": made.lags_kept[some].mean(),
        "fewer": made.lags_before[some].sum() / made.lags_kept[some].sum(),
        "median": 100 * (np.median(rmse[1, some] / rmse[0, some]) - 1), "unstable": int((~gate).sum()),
        "limit": RISE_LIMIT, "passed": bool(gate.all() and rise <= RISE_LIMIT),
    }  # fmt: skip


def fleet_line(n):
    panel = panel_of(ar_paths(n, 500))
    records = AR(lags=P).fit(panel)
    took, made = seconds(lambda: prune_lags(records, panel, H))
    per_ten_thousand = took * 10_000 / n
    return {
        "what": f"10,000 AR({P}) of 500 points, seconds (from {n})", "n": n, "lags": made.lags_kept.mean(),
        "seconds": per_ten_thousand, "limit": FLEET_LIMIT_S, "passed": per_ten_thousand <= FLEET_LIMIT_S,
    }  # fmt: skip


def main():
    one_core()
    args = arguments(__doc__, series=2_000)
    lines = [*truth_lines("sparse", sparse_truth), *truth_lines("dense", dense_truth)]
    notes = []
    if FOLDER.is_dir():
        sets = pd.read_csv(FOLDER / "sets.csv").itertuples()
        lines += [panel_line(row.set, int(row.horizon)) for row in sets]
    else:
        notes.append("panels skipped: they lie at ../shared/data/panels and are not part of the repository")
    lines.append(fleet_line(args.series))
    columns = [
        ("what", "", ""), ("n", "series", "d"), ("lags", "lags", ".1f"), ("fewer", "fewer", ".1f"),
        ("mean", "mean %", "+.2f"), ("median", "median %", "+.2f"), ("worst", "worst %", "+.2f"),
        ("limit", "at most", ".1f"), ("unstable", "unstable", "d"), ("alone", "left alone", ".0%"),
        ("seconds", "s", ".1f"),
    ]  # fmt: skip
    show(lines, columns, f"Forecast RMSE of pruned models against unpruned ones, h = 1..{H}", notes)
    return conclude("edge_prune", args, lines, PACKAGES, seed=SEED, n_lags=P, horizon=H, n_obs=T)


if __name__ == "__main__":
    sys.exit(main())
