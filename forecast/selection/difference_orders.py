"""How often a series is differenced before its ARMA orders are looked for."""

from __future__ import annotations

import numpy as np

from forecast.models.panel import Panel
from forecast.models.stationarity import ndiffs_after, nsdiffs
from forecast.types import F64, I64


def difference_orders(
    panel: Panel, s: int, d: int | None, D: int | None, max_d: int, max_D: int, jobs: int = 1
) -> tuple[I64, I64]:
    """Choose d and D (n,) of every series, unless they are given.

    D is 1 where the seasonal strength exceeds 0.64, then d is the number of times that KPSS rejects
    stationarity at 5 %. With regressors both look at the residuals of least squares on them and a constant,
    so that what the regressors explain is not differenced away.
    Source: Hyndman and Khandakar (2008), sec. 3.1; the strength in place of their test.
    """
    n = panel.n_series
    values = residuals(panel) if panel.exog and (d is None or D is None) else panel.values
    seasonal = np.full(n, D or 0, dtype=np.int64)
    if s == 1:
        seasonal[:] = 0
    elif D is None and max_D > 0:
        seasonal = nsdiffs(values, panel.indptr, s, max_D=max_D, jobs=jobs)
    if d is not None:
        return np.full(n, d, dtype=np.int64), seasonal
    if max_d == 0:
        return np.zeros(n, dtype=np.int64), seasonal
    return ndiffs_after(values, panel.indptr, seasonal, s, max_d=max_d, jobs=jobs), seasonal


def residuals(panel: Panel) -> F64:
    """(N,) what least squares on a constant and the regressors leaves; NaN where anything is missing."""
    X = np.column_stack([np.ones(len(panel.values)), *panel.exog.values()])
    fine = ~np.isnan(panel.values) & np.isfinite(X).all(axis=1)
    out = np.full(len(panel.values), np.nan)
    for lo, hi in zip(panel.indptr[:-1].tolist(), panel.indptr[1:].tolist(), strict=True):
        at = lo + np.flatnonzero(fine[lo:hi])
        size = np.maximum(np.abs(X[at]).max(axis=0, initial=0.0), np.finfo(float).tiny)
        beta, *_ = np.linalg.lstsq(X[at] / size, panel.values[at], rcond=None)
        out[at] = panel.values[at] - X[at] / size @ beta
    return out
