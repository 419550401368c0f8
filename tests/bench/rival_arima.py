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


def start_exactly(model):
    """Start at the stationary covariance, by doubling in extended precision.

    SARIMAX solves for it in double, which leaves 1e-3 of a log-likelihood with poles 1e-6 from the circle.
    """
    T, R, Q = (
        np.array(model.ssm[name], dtype=np.longdouble) for name in ("transition", "selection", "state_cov")
    )
    P = R @ Q @ R.T
    for _ in range(60):  # sums of 2^60 terms
        if not np.abs(T).max() > 1e-30:
            break
        P, T = P + T @ P @ T.T, T @ T
    model.ssm.initialize_known(np.zeros(len(P)), np.array((P + P.T) / 2, dtype=float))


def exact(y, order, seasonal, params):
    """Log-likelihood at ARMA parameters, the variance at its best, with a filter that never stops early."""
    model = sarimax(y, order, seasonal, simple_differencing=True,
                    enforce_stationarity=False, enforce_invertibility=False)  # fmt: skip
    model.ssm.tolerance = 0
    model.update(np.concatenate([params, [1.0]]))
    start_exactly(model)
    filtered = model.ssm.filter()
    seen = ~np.isnan(filtered.forecasts_error[0])
    v, f = filtered.forecasts_error[0, seen], filtered.forecasts_error_cov[0, 0, seen]
    n = len(v)
    found = float(-0.5 * (n * (np.log(2 * np.pi * np.mean(v**2 / f)) + 1.0) + np.log(f).sum()))
    return found if np.isfinite(found) else -np.inf  # not a stationary model


def fit_sarimax(y, order, seasonal):
    start = time.process_time()
    result = sarimax(y, order, seasonal, simple_differencing=True).fit(disp=False)
    result.bse  # noqa: B018  # standard errors are computed when they are asked for
    took = time.process_time() - start
    return took, exact(y, order, seasonal, result.params[:-1])


def fit_statsforecast(y, order, seasonal):
    from statsforecast.arima import arima

    start = time.process_time()
    fit = arima(y, order=order, seasonal={"order": seasonal[:3], "period": seasonal[3]}, include_mean=False,
                method="CSS-ML")  # fmt: skip
    took = time.process_time() - start
    coef = fit["coef"]
    names = [f"{kind}{i + 1}" for kind, k in zip(("ar", "ma", "sar", "sma"),
             (order[0], order[2], seasonal[0], seasonal[2]), strict=True) for i in range(k)]  # fmt: skip
    return took, exact(y, order, seasonal, [coef[name] for name in names])


def at_point(data, job):
    """Log-likelihoods at a point with its beta and sigma2: from its own start, and from the exact one."""
    y, params = data[job["name"]], data[job["name"] + "_params"]
    exog = data[job["name"] + "_exog"]
    model = sarimax(y, job["order"], job["seasonal"], exog=exog if exog.shape[1] else None,
                    simple_differencing=True)  # fmt: skip
    model.ssm.tolerance = 0
    own = model.loglike(params)
    model.update(params)
    start_exactly(model)
    return float(own), float(model.ssm.loglike())


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
