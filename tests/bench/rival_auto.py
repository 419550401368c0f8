"""The rivals' side of `bench_core_auto`; runs in their environment: ``rival_auto.py IN.npz OUT.json``.

IN holds `values`, `indptr`, `season_length` and `horizon`. OUT: of every series CPU seconds, orders
(p, d, q, P, D, Q), the coefficients of each factor, whether a mean or drift is in, and forecasts; null where
no model was found.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import warnings

import numpy as np


def choose(y, season_length, horizon):
    from statsforecast.arima import auto_arima_f, forecast_arima

    start = time.process_time()
    fit = auto_arima_f(y, period=season_length)
    took = time.process_time() - start
    p, q, P, Q, _, d, D = (int(k) for k in fit["arma"])
    coef = fit["coef"]
    factors = [[float(coef[f"{kind}{i + 1}"]) for i in range(k)]
               for kind, k in (("ar", p), ("ma", q), ("sar", P), ("sma", Q))]  # fmt: skip
    const = any(name in coef for name in ("intercept", "drift"))
    mean = np.asarray(forecast_arima(fit, h=horizon, level=None)["mean"], dtype=float)
    order = [p, d, q, P, D, Q]
    return {"seconds": took, "order": order, "factors": factors, "const": const, "mean": mean.tolist()}


def main():
    warnings.simplefilter("ignore")
    data = np.load(sys.argv[1])
    values, indptr = data["values"], data["indptr"]
    s, horizon = int(data["season_length"]), int(data["horizon"])
    series = [values[a:b] for a, b in itertools.pairwise(indptr)]
    choose(series[0], s, horizon)  # what the first call loads and compiles stays outside the clock
    found = []
    for y in series:
        try:
            found.append(choose(y, s, horizon))
        except (ValueError, RuntimeError):
            found.append(None)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
