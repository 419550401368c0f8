"""The rivals' side of `bench_core_arima`; runs in their environment: ``rival_arima.py IN.npz OUT.json``.

IN holds `jobs` (JSON: a list of {kind, name, order, seasonal}) and the data of each job under its name.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np


def sarimax(y, order, seasonal, exog=None, **options):
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    return SARIMAX(y, exog=exog, order=order, seasonal_order=seasonal if any(seasonal[:3]) else (0, 0, 0, 0),
                   trend="n", **options)  # fmt: skip


def exact(y, order, seasonal, params):
    """Log-likelihood at ARMA parameters, the variance at its best, with a filter that never stops early."""
    model = sarimax(y, order, seasonal, simple_differencing=True,
                    enforce_stationarity=False, enforce_invertibility=False)  # fmt: skip
    model.ssm.initialize_stationary()
    model.ssm.tolerance = 0
    model.update(np.concatenate([params, [1.0]]))
    filtered = model.ssm.filter()
    seen = ~np.isnan(filtered.forecasts_error[0])
    v, f = filtered.forecasts_error[0, seen], filtered.forecasts_error_cov[0, 0, seen]
    n = len(v)
    return float(-0.5 * (n * (np.log(2 * np.pi * np.mean(v**2 / f)) + 1.0) + np.log(f).sum()))


def fit_sarimax(y, order, seasonal):
    start = time.perf_counter()
    result = sarimax(y, order, seasonal, simple_differencing=True).fit(disp=False)
    result.bse  # noqa: B018  # standard errors are computed when they are asked for
    took = time.perf_counter() - start
    return took, exact(y, order, seasonal, result.params[:-1])


def fit_statsforecast(y, order, seasonal):
    from statsforecast.arima import arima

    start = time.perf_counter()
    fit = arima(y, order=order, seasonal={"order": seasonal[:3], "period": seasonal[3]}, include_mean=False,
                method="CSS-ML")  # fmt: skip
    took = time.perf_counter() - start
    coef = fit["coef"]
    names = [f"{kind}{i + 1}" for kind, k in zip(("ar", "ma", "sar", "sma"),
             (order[0], order[2], seasonal[0], seasonal[2]), strict=True) for i in range(k)]  # fmt: skip
    return took, exact(y, order, seasonal, [coef[name] for name in names])


def at_point(data, job):
    """Log-likelihood at a point whose beta and sigma2 are given too."""
    y, params = data[job["name"]], data[job["name"] + "_params"]
    exog = data[job["name"] + "_exog"]
    model = sarimax(y, job["order"], job["seasonal"], exog=exog if exog.shape[1] else None,
                    simple_differencing=True)  # fmt: skip
    model.ssm.tolerance = 0
    return float(model.loglike(params))


def main():
    import statsmodels.tsa.statespace.sarimax  # noqa: F401  # puts filters of its own in front

    warnings.simplefilter("ignore")
    data = np.load(sys.argv[1])
    found = []
    for job in json.loads(str(data["jobs"])):
        if job["kind"] == "point":
            found.append(at_point(data, job))
            continue
        fit = {"sarimax": fit_sarimax, "statsforecast": fit_statsforecast}[job["kind"]]
        sample = data[job["name"]]
        order, seasonal = tuple(job["order"]), tuple(job["seasonal"])
        fit(sample[0], order, seasonal)  # what the first call loads and compiles stays outside the clock
        found.append([fit(y, order, seasonal) for y in sample])
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
