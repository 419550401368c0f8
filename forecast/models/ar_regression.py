"""Autoregressions that are regressions: lag subsets, trend, season, regressors, lasso."""

from __future__ import annotations

import numpy as np

from forecast.kernels.arx_ols import fit_arx
from forecast.kernels.burg import fit_burg
from forecast.kernels.lasso import fit_lasso
from forecast.kernels.yule_walker import fit_yule_walker
from forecast.models.ar_records import exog_tail
from forecast.models.ar_spec import Plan
from forecast.models.assemble import lagged_names
from forecast.models.draft import Draft, empty_draft
from forecast.models.panel import Panel
from forecast.models.threads import over_rows
from forecast.types import F64, I64, U8, Status

# Beyond this many coefficients the covariance (k^2 doubles a series) outweighs the data of a short
# series; intervals then use the asymptotic covariance of the lags alone.
_MAX_COV = 64


def fit_regression(plan: Plan, panel: Panel, jobs: int = 1) -> Draft:
    """Least squares (or lasso) on the rows whose every member is observed."""
    columns = _Columns(plan, panel)
    n, k = panel.n_series, columns.width
    coef, kept = np.zeros((n, k)), np.zeros((n, k), dtype=np.uint8)
    size = 0 if plan.lasso or not _wants_covariance(plan) or k > _MAX_COV else k
    cov, sigma2 = np.zeros((n, size, size)), np.empty(n)
    order, used = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)

    def work(first: int, last: int) -> None:
        design = (
            panel.values, panel.indptr, first, last, columns.exog, columns.row, columns.lag,
            plan.const, plan.slope, plan.season, plan.lags,
        )  # fmt: skip
        if plan.lasso:
            fit_lasso(*design, coef, sigma2, kept, used)
        else:
            fit_arx(*design, plan.criterion, coef, cov, sigma2, kept, order, used)

    over_rows(work, n, jobs)
    draft = _draft(plan, columns, coef, sigma2, kept, used)
    if size:
        draft.param_cov = {i: _squeeze(cov[i], kept[i]) for i in np.flatnonzero(draft.ok).tolist()}
    _reject_unknown_past(panel, draft)
    _note_gaps(panel, draft)
    return draft


def fit_detrended(plan: Plan, panel: Panel, jobs: int = 1) -> Draft:
    """Trend and season by least squares, then Burg or Yule-Walker on what is left; complete series."""
    mean = fit_regression(Plan(plan.lags[:0], 0, "ols", plan.const, plan.slope, plan.season), panel, jobs)
    residuals = panel.values - _mean_function(mean, panel)
    n, m = panel.n_series, len(plan.lags)
    draft = empty_draft(n, m)
    ic, ok, none = np.empty((n, m + 1)), np.zeros(n, dtype=np.uint8), np.empty(n)
    kernel = fit_burg if plan.method == "burg" else fit_yule_walker

    def work(first: int, last: int) -> None:
        kernel(
            residuals, panel.indptr, first, last, m, plan.criterion, 0,
            draft.phi, none, draft.sigma2, draft.order, ic, draft.loglik, ok,
        )  # fmt: skip

    over_rows(work, n, jobs)
    draft.ok = ok.astype(np.bool_) & mean.ok & (draft.sigma2 > 0)
    if plan.criterion == 0:
        draft.ok &= draft.order == m
    draft.reasons = mean.reasons
    draft.regression = True
    draft.const, draft.slope, draft.seasonal = mean.const, mean.slope, mean.seasonal
    draft.n_params, draft.n_used = mean.n_params + draft.order, panel.lengths
    draft.ok &= draft.n_used > draft.n_params
    return draft


class _Columns:
    """Where each coefficient stands: const, slope, seasons, exog terms, lags."""

    def __init__(self, plan: Plan, panel: Panel) -> None:
        names = list(panel.exog) if plan.exog else []
        self.exog = np.ascontiguousarray(
            np.stack([panel.exog[name] for name in names]) if names else np.zeros((0, len(panel.values)))
        )
        self.row = np.array([names.index(term.name) for term in plan.exog], dtype=np.int64)
        self.lag = np.array([term.lag for term in plan.exog], dtype=np.int64)
        self.slope = int(plan.const)
        self.season = self.slope + int(plan.slope)
        self.terms = self.season + plan.season
        self.lags = self.terms + len(plan.exog)
        self.width = self.lags + len(plan.lags)


def _wants_covariance(plan: Plan) -> bool:
    """Return False for a plain set of lags, whose covariance has a closed form."""
    return bool(plan.slope or plan.season or plan.exog)


def _draft(plan: Plan, at: _Columns, coef: F64, sigma2: F64, kept: U8, used: I64) -> Draft:
    n = len(coef)
    width = int(plan.lags.max(initial=0))
    draft = empty_draft(n, width)
    draft.phi[:, plan.lags - 1] = coef[:, at.lags :]
    draft.order = _largest_lag(draft.phi)
    draft.const = coef[:, 0].copy() if plan.const else np.zeros(n)
    draft.slope = coef[:, at.slope].copy() if plan.slope else np.zeros(n)
    draft.seasonal = coef[:, at.season : at.terms].copy()
    draft.beta, draft.exog = coef[:, at.terms : at.lags].copy(), plan.exog
    draft.sigma2, draft.n_used = sigma2, used
    draft.ok = (used > 0) & (sigma2 > 0)
    no_residual = (Status.FAILED, "the regression leaves no residual: no variance; naive instead")
    draft.reasons = dict.fromkeys(np.flatnonzero((used > 0) & ~draft.ok).tolist(), no_residual)
    draft.n_params = kept.sum(axis=1).astype(np.int64) + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        draft.loglik = -0.5 * used * (np.log(2 * np.pi * sigma2) + 1.0)
    _note_collinear(plan, at, kept, draft)
    return draft


def _note_collinear(plan: Plan, at: _Columns, kept: U8, draft: Draft) -> None:
    if plan.lasso or not plan.exog:
        return
    out = kept[:, at.terms : at.lags] == 0
    draft.dropped = np.flatnonzero(out.any(axis=1) & draft.ok)
    for i in draft.dropped:
        names = ", ".join(
            f"{t.name}[{t.lag}]" if t.lag else t.name for t, o in zip(plan.exog, out[i], strict=True) if o
        )
        draft.messages[int(i)] = f"left out, constant or linear in other regressors: {names}"


def _reject_unknown_past(panel: Panel, draft: Draft) -> None:
    """Without the last values of a lagged regressor there is no forecast."""
    unknown = np.isnan(exog_tail(panel, draft.exog)).any(axis=(1, 2))
    names = ", ".join(lagged_names(draft.exog))
    why = f"a lagged regressor ({names}) is missing at one of the last times; naive instead"
    for i in np.flatnonzero(unknown & draft.ok).tolist():
        draft.ok[i] = False
        draft.reasons[i] = (Status.FAILED, why)


def _note_gaps(panel: Panel, draft: Draft) -> None:
    missing = np.add.reduceat(np.isnan(panel.values).astype(np.int64), panel.indptr[:-1])
    for i in np.flatnonzero(missing):
        note = f"gaps: least squares on the {draft.n_used[i]} rows whose every member is observed"
        draft.messages[int(i)] = "; ".join(filter(None, [draft.messages.get(int(i)), note]))


def _largest_lag(phi: F64) -> I64:
    if not phi.shape[1]:
        return np.zeros(len(phi), dtype=np.int64)
    used = phi != 0
    return np.where(used.any(axis=1), phi.shape[1] - np.argmax(used[:, ::-1], axis=1), 0).astype(np.int64)


def _squeeze(cov: F64, kept: U8) -> F64:
    """Drop the columns that were left out, and the zero lags behind the chosen order."""
    where = np.flatnonzero(kept)
    return np.ascontiguousarray(cov[np.ix_(where, where)])


def _mean_function(mean: Draft, panel: Panel) -> F64:
    t = np.arange(len(panel.values)) - np.repeat(panel.indptr[:-1], panel.lengths)
    level = np.repeat(mean.const, panel.lengths) + np.repeat(mean.slope, panel.lengths) * (t + 1)
    if mean.seasonal.shape[1]:
        row = np.repeat(np.arange(panel.n_series), panel.lengths)
        level += mean.seasonal[row, t % mean.seasonal.shape[1]]
    return level
