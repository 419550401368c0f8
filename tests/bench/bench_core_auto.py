"""Choose orders for M3 monthly, against a rival: ``python -m tests.bench.bench_core_auto [--json PATH]``.

Ours: `AutoARIMA.fit` of a panel, differences, search, standard errors, certificates, end states and residual
tests included, one core. Theirs: `auto_arima_f` of statsforecast on the same series, in an environment of its
own (``make rivals``), one BLAS thread. Where both difference alike, AICc of both is computed again by one
dense likelihood; the series where ours is higher are listed with the errors of the forecasts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import forecast as fc
from forecast.kernels._jit import SIMD_WIDTH
from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.selection.auto_arima import AutoARIMA
from tests.bench.measure import arguments, conclude, one_core, show
from tests.oracles import arma as oracle
from tests.oracles import filtering

ROOT = Path(__file__).parents[2]
RIVALS = ROOT / ".venv-rivals" / "bin" / "python"
PANELS = ROOT.parent / "shared" / "data" / "panels"
SEASON, HORIZON, ROUNDS = 12, 18, 3
RATIO_FLOOR, SAME_FLOOR, AICC_FLOOR, MARGIN = 30.0, 0.9, 0.99, 1e-3
PACKAGES = ("numpy", "numba", "scipy")


def cpu_seconds(call, *args):
    """CPU time of one call: the rival takes minutes, and what else runs meanwhile must not decide."""
    start = time.process_time()
    call(*args)
    return time.process_time() - start


def m3_monthly(n):
    """n series spread over the panel, and what followed each."""
    if not PANELS.exists():
        raise SystemExit(f"no data: {PANELS} is missing")
    parts = [pd.read_parquet(PANELS / f"m3_monthly_{part}.parquet") for part in ("train", "test")]
    train, test = (dict(list(part.groupby("unique_id", sort=False)["y"])) for part in parts)
    ids = list(train)
    chosen = [ids[k] for k in np.linspace(0, len(ids) - 1, min(n, len(ids))).astype(int)]
    return [train[k].to_numpy(float) for k in chosen], [test[k].to_numpy(float) for k in chosen]


def as_panel(series):
    indptr = np.cumsum([0, *map(len, series)])
    ids = np.array([f"s{i}" for i in range(len(series))], dtype=object)
    start = np.zeros(len(series), dtype=np.int64)
    return Panel(np.concatenate(series), indptr, ids, start, Freq("1"), {})


def ask(series):
    """Run the rival in its environment."""
    if not RIVALS.exists():
        raise SystemExit("the rivals' environment is missing: make rivals")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.json"
        panel = as_panel(series)
        np.savez(source, values=panel.values, indptr=panel.indptr, season_length=SEASON, horizon=HORIZON)
        subprocess.run([RIVALS, Path(__file__).with_name("rival_auto.py"), source, target], check=True)
        return json.loads(target.read_text())


def model_of(records, i):
    """What the rival answers, of ours."""
    p, d, q, P, D, Q = (int(getattr(records, name)[i]) for name in ("p", "d", "q", "P", "D", "Q"))
    factors = [records.phi[i, :p], records.theta[i, :q], records.seasonal_phi[i, :P],
               records.seasonal_theta[i, :Q]]  # fmt: skip
    const = int(records.n_params[i]) - 1 - (p + q + P + Q) > 0
    return {"order": [p, d, q, P, D, Q], "factors": factors, "const": const}


def aicc(model, y):
    """By dense matrices in extended precision, variance and constant at their best."""
    p, d, q, P, D, Q = model["order"]
    phi, theta, Phi, Theta = (np.array(factor, dtype=float) for factor in model["factors"])
    X = None
    if model["const"]:
        X = np.ones((len(y), 1)) if d + D == 0 else np.arange(1.0, len(y) + 1.0)[:, None]
    ar, ma = filtering.polynomial(phi, Phi, SEASON, -1), filtering.polynomial(theta, Theta, SEASON, 1)
    loglik = oracle.loglik(ar, ma, filtering.differencing(d, D, SEASON), y, X)[0]
    n, k = len(y) - d - SEASON * D, p + q + P + Q + int(model["const"]) + 1
    return float(-2 * loglik + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def mase(forecast, y, future):
    return float(np.abs(np.asarray(forecast) - future).mean() / np.abs(y[SEASON:] - y[:-SEASON]).mean())


def title(model):
    p, d, q, P, D, Q = model["order"]
    return f"({p},{d},{q})({P},{D},{Q})" + ("c" if model["const"] else "")


def compare(records, series, futures, forecasts, answers):
    """A line for every series: orders and AICc of both, errors of both forecasts."""
    lines = []
    for i, (y, theirs) in enumerate(zip(series, answers, strict=True)):
        ours = model_of(records, i)
        line = {"model": str(records.ids[i]), "ours": title(ours), "same": False,
                "ours_mase": mase(forecasts[i], y, futures[i])}  # fmt: skip
        if theirs is not None:
            same = all(ours["order"][k] == theirs["order"][k] for k in (1, 4))
            line |= {"theirs": title(theirs), "same": same,
                     "theirs_mase": mase(theirs["mean"], y, futures[i])}  # fmt: skip
            if same:
                line["excess"] = aicc(ours, y) - aicc(theirs, y)
        lines.append(line)
    return lines


def forecasts_of(spec, series):
    """(n, HORIZON) by the public door."""
    frame = pd.concat(
        pd.DataFrame({"unique_id": f"s{i}", "ds": np.arange(len(y)), "y": y}) for i, y in enumerate(series)
    )
    table = fc.fit(frame, spec, freq=1).predict(HORIZON)
    by_id = dict(list(table.groupby("unique_id")))
    column = next(name for name in table.columns if name not in ("unique_id", "ds"))
    return np.array([by_id[f"s{i}"][column].to_numpy() for i in range(len(series))])


def main():
    one_core()
    args = arguments(__doc__, series=200)
    series, futures = m3_monthly(args.series)
    panel, spec = as_panel(series), AutoARIMA(season_length=SEASON)
    spec.fit(as_panel(series[:2]))
    times = [cpu_seconds(spec.fit, panel) for _ in range(ROUNDS)]
    records = spec.fit(panel)
    answers = ask(series)
    lines = compare(records, series, futures, forecasts_of(spec, series), answers)
    ours = statistics.median(times) / len(series)
    theirs = statistics.mean(a["seconds"] for a in answers if a is not None)
    alike = [line for line in lines if line["same"]]
    worse = [line for line in alike if line["excess"] > MARGIN]
    same, fine = len(alike) / len(lines), 1.0 - len(worse) / max(len(alike), 1)
    total = {
        "model": f"{len(series)} series", "ms": ours * 1e3, "statsforecast_ms": theirs * 1e3,
        "ratio": theirs / ours, "same_differences": same, "aicc_fine": fine,
        "ours_mase": statistics.mean(line["ours_mase"] for line in lines),
        "theirs_mase": statistics.mean(line["theirs_mase"] for line in lines if "theirs_mase" in line),
        "passed": theirs / ours >= RATIO_FLOOR and same >= SAME_FLOOR and fine >= AICC_FLOOR,
    }  # fmt: skip
    columns = [("model", "M3 monthly", ""), ("ms", "ms/series", ".1f"),
               ("statsforecast_ms", "theirs ms", ".0f"), ("ratio", "ratio", ".0f"),
               ("same_differences", "same d, D", ".1%"),
               ("aicc_fine", "AICc no worse", ".1%"), ("ours_mase", "MASE", ".3f"),
               ("theirs_mase", "theirs", ".3f")]  # fmt: skip
    show([total], columns, "AutoARIMA, CPU time", ["floors: 30, 90 %, 99 % of those with the same d and D"])
    others = worse + [line for line in lines if not line["same"]]
    if others:
        show(others, [("model", "series", ""), ("ours", "ours", ""), ("theirs", "theirs", ""),
                      ("excess", "AICc higher by", ".3f"), ("ours_mase", "MASE", ".3f"),
                      ("theirs_mase", "theirs", ".3f")], "the others")  # fmt: skip
    return conclude("core_auto", args, [total, *others], PACKAGES, simd_width=SIMD_WIDTH, rounds=ROUNDS)


if __name__ == "__main__":
    sys.exit(main())
