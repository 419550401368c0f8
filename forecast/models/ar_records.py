"""From fitted AR parameters to records: the stationarity gate, the end state, the residual check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from forecast.models.assemble import lagged_names
from forecast.models.certificate import certify, repair
from forecast.models.draft import Draft
from forecast.models.filtering import end_state, innovations
from forecast.models.panel import Panel
from forecast.models.records import ExogTerm, Family, Form, Records
from forecast.models.residual_tests import whiteness
from forecast.types import F64, I64, U8, Status


def ar_records(
    panel: Panel,
    draft: Draft,
    status: U8,
    scale: F64,
    messages: Mapping[int, str],
    season: int,
    jobs: int = 1,
) -> Records:
    """Turn a draft into certified records.

    Parameters
    ----------
    panel
        The data in units of y; `draft` is in units of `scale`.
    season
        Length of the seasonal effects, and of the season the residual test looks at.
    """
    n = panel.n_series
    notes = dict(messages)
    for i, text in draft.messages.items():
        notes[i] = f"{notes[i]}; {text}" if i in notes else text
    status = status.copy()
    status[draft.dropped] = Status.COLLINEAR_EXOG
    width = int(draft.order.max(initial=0))
    records = Records(
        ids=panel.ids, freq=panel.freq, start=panel.start, nobs=panel.lengths.astype(np.int32),
        family=np.full(n, Family.ARX if draft.exog else Family.AR, dtype=np.uint8),
        form=np.full(n, Form.REGRESSION if draft.regression else Form.CONDITIONAL, dtype=np.uint8),
        status=status, season_length=np.full(n, season, dtype=np.int32),
        p=draft.order.astype(np.int32), d=_none(n), q=_none(n), P=_none(n), D=_none(n), Q=_none(n),
        phi=draft.phi[:, :width].copy(), const=draft.const, sigma2=draft.sigma2,
        levels=np.zeros((n, max(1, width))), slope=draft.slope, seasonal=draft.seasonal,
        beta=draft.beta, exog=draft.exog, exog_tail=exog_tail(panel, draft.exog), scale=scale,
        param_cov=draft.param_cov, loglik=draft.loglik,
        n_params=draft.n_params.astype(np.int32), n_used=draft.n_used.astype(np.int32), messages=notes,
    )  # fmt: skip
    return finish(_gate(records, panel, jobs), panel, jobs)


def finish(records: Records, panel: Panel, jobs: int = 1) -> Records:
    """Add what every published record carries: certificate, end state, residual check."""
    certificate = certify(
        records.phi, records.p, records.seasonal_phi, records.P, records.season_length, jobs
    )
    levels, shocks, state_cov = end_state(records, panel, jobs=jobs)
    lags = np.count_nonzero(records.phi, axis=1).astype(np.int64)
    return replace(
        records,
        parcor=certificate.parcor,
        seasonal_parcor=certificate.seasonal_parcor,
        margin=certificate.margin,
        max_pole=certificate.max_pole,
        levels=levels,
        innovations=shocks,
        state_cov=state_cov,
        ljung_box_p=whiteness(records, panel, lags, jobs=jobs),
    )


def _gate(records: Records, panel: Panel, jobs: int) -> Records:
    """Pull AR parts that are not stationary back inside, and say so.

    With other coefficients the equation has another constant and another variance: both are taken
    from its residuals over the data.
    """
    phi, changed = repair(records.phi, records.p, jobs=jobs)
    if not changed.any():
        return records
    rows = np.flatnonzero(changed)
    status, notes = records.status.copy(), dict(records.messages)
    status[rows] = Status.REPAIRED
    for row in rows:
        text = "AR part was not stationary: poles pulled inside the unit circle (difference the series?)"
        notes[int(row)] = f"{notes[int(row)]}; {text}" if int(row) in notes else text
    inside = replace(records, phi=phi, status=status, messages=notes, param_cov={
        i: cov for i, cov in records.param_cov.items() if not changed[i]
    })  # fmt: skip
    resid, _ = innovations(inside, panel)
    count, mean, variance = _moments(resid, panel, rows)
    const, sigma2 = records.const.copy(), records.sigma2.copy()
    free = (records.form[rows] == Form.CONDITIONAL) & (const[rows] != 0)
    const[rows] += np.where(free, mean, 0.0)
    sigma2[rows] = variance + np.where(free, 0.0, mean**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        loglik = records.loglik.copy()
        loglik[rows] = -0.5 * count * (np.log(2 * np.pi * sigma2[rows]) + 1.0)
    return replace(inside, const=const, sigma2=sigma2, loglik=loglik)


def _moments(resid: F64, panel: Panel, rows: I64) -> tuple[I64, F64, F64]:
    parts = [resid[panel.indptr[row] : panel.indptr[row + 1]] for row in rows]
    parts = [part[~np.isnan(part)] for part in parts]
    count = np.array([len(part) for part in parts])
    return count, np.array([part.mean() for part in parts]), np.array([part.var() for part in parts])


def _none(n: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.zeros(n, dtype=np.int32)


def exog_tail(panel: Panel, exog: tuple[ExogTerm, ...]) -> F64:
    """(n, names, max lag) last values of the regressors that enter with a lag, newest first.

    NaN where a value that a forecast needs is missing; 0 beyond the lags of a regressor.
    """
    names = lagged_names(exog)
    reach = max((term.lag for term in exog), default=0)
    out = np.zeros((panel.n_series, len(names), reach))
    for j, name in enumerate(names):
        need = max(term.lag for term in exog if term.name == name)
        where = panel.indptr[1:, None] - 1 - np.arange(need)
        inside = where >= panel.indptr[:-1, None]
        out[:, j, :need] = np.where(inside, panel.exog[name][np.maximum(where, 0)], np.nan)
    return out
