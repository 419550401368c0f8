"""What became of every series, as a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.api.fitted import Fitted
from forecast.errors import InputError
from forecast.models.filtering import innovations
from forecast.models.output import id_column
from forecast.models.panel import Panel
from forecast.models.records import Family, Records, Transform
from forecast.models.residual_tests import residual_tests
from forecast.types import F64, I32, status_names


def report(fitted: Fitted) -> pd.DataFrame:
    """See `Fitted.report`."""
    parts = []
    for model, records in zip(fitted.models, fitted.records, strict=True):
        frame = pd.DataFrame({fitted.schema.id_col: id_column(records.ids, 1, fitted.schema)})
        frame["model"] = model.alias
        frame["status"] = status_names(records.status)
        frame["order"] = order_texts(records)
        frame["d"], frame["D"] = records.d, records.D
        with np.errstate(over="ignore", under="ignore"):
            log = records.transform == Transform.LOG
            frame["sigma2"] = np.where(log, records.sigma2, records.sigma2 * records.scale**2)
        frame["loglik"] = loglik(records)
        frame["aicc"] = aicc(records)
        with np.errstate(divide="ignore"):
            frame["min_root"] = np.where(records.max_pole > 0, 1.0 / records.max_pole, np.inf)
        frame["roots_outside"] = records.margin > 0
        frame["ljung_box_p"] = records.ljung_box_p
        frame["message"] = [records.messages.get(i, "") for i in range(records.n_series)]
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def loglik(records: Records) -> F64:
    """(n,) log-likelihood in units of y: the density of y / scale is that of y times the scale."""
    return records.loglik - records.n_used * np.log(records.scale)


def aicc(records: Records) -> F64:
    """(n,) corrected information criterion (Hurvich & Tsai 1989); inf without spare observations."""
    k, n = records.n_params.astype(np.float64), records.n_used.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = -2.0 * loglik(records) + 2.0 * k * n / (n - k - 1.0)
    return np.where(np.isnan(records.loglik), np.nan, np.where(n - k - 1.0 > 0, value, np.inf))


def order_texts(records: Records) -> list[str]:
    """Return AR(3), AR[1,2,24] or (2,1,1)(0,1,1)[12], with "log" in front of a model of logarithms."""
    orders = (records.p, records.d, records.q, records.P, records.D, records.Q, records.season_length)
    keys = np.column_stack(
        [records.family, records.transform, *orders, np.packbits(records.phi != 0.0, axis=1)]
    ).astype(np.int32)
    _, first, which = np.unique(_rows(keys), return_index=True, return_inverse=True)
    distinct = [_order_text(records, i) for i in first.tolist()]  # a fleet has a few hundred at most
    return [distinct[k] for k in which.tolist()]


def _rows(table: I32) -> NDArray[np.void]:
    """Return a (n, k) table as n opaque values, which sort faster than rows do."""
    whole = np.ascontiguousarray(table)
    return whole.view(np.dtype((np.void, whole.itemsize * whole.shape[1]))).ravel()


def _order_text(records: Records, i: int) -> str:
    family = Family(int(records.family[i]))
    name = {Family.NAIVE: "Naive", Family.DRIFT: "Drift"}.get(family)
    if family is Family.SEASONAL_NAIVE:
        name = f"SeasonalNaive[{records.season_length[i]}]"
    if name is None:
        name = _ar_text(records, i, family) if family is not Family.ARIMA else _arima_text(records, i)
    return f"log {name}" if records.transform[i] == Transform.LOG else name


def _ar_text(records: Records, i: int, family: Family) -> str:
    lags = np.flatnonzero(records.phi[i, : records.p[i]]) + 1
    if records.d[i] or records.D[i]:
        return _arima_text(records, i)
    if len(lags) == records.p[i]:
        return f"{family.name}({len(lags)})"
    return f"{family.name}[{','.join(map(str, lags))}]"


def _arima_text(records: Records, i: int) -> str:
    text = f"({records.p[i]},{records.d[i]},{records.q[i]})"
    seasonal = (records.P[i], records.D[i], records.Q[i])
    return text + (f"({','.join(map(str, seasonal))})[{records.season_length[i]}]" if any(seasonal) else "")


def diagnostics(fitted: Fitted) -> pd.DataFrame:
    """See `Fitted.diagnostics`."""
    if fitted.panel is None:
        raise InputError("residual tests need the training data, which a loaded model does not hold")
    parts = []
    for model, records in zip(fitted.models, fitted.records, strict=True):
        tests = _residual_tests(records, fitted.panel, fitted.n_jobs)
        frame = pd.DataFrame({fitted.schema.id_col: id_column(records.ids, 1, fitted.schema)})
        frame["model"] = model.alias
        parts.append(pd.concat([frame, pd.DataFrame(tests)], axis=1))
    return pd.concat(parts, ignore_index=True)


def _residual_tests(records: Records, panel: Panel, jobs: int) -> dict[str, Any]:
    """Test every series with the degrees of freedom and the season of its own model."""
    resid, _ = innovations(records, panel)
    factors = (records.phi, records.seasonal_phi, records.theta, records.seasonal_theta)
    df = np.sum([np.count_nonzero(factor, axis=1) for factor in factors], axis=0).astype(np.int64)
    return residual_tests(resid, panel.indptr, df=df, season_length=records.season_length, jobs=jobs)
