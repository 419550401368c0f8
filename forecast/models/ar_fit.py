"""Fitting an autoregression to a panel: which series go which way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from forecast.kernels.ar_exact import fit_exact
from forecast.kernels.ar_gaps import fit_gaps
from forecast.kernels.ar_ols import fit_ols
from forecast.kernels.burg import fit_burg
from forecast.kernels.yule_walker import fit_yule_walker
from forecast.models.ar_records import ar_records
from forecast.models.ar_reference import fit_reference
from forecast.models.ar_regression import fit_detrended, fit_regression
from forecast.models.ar_spec import Plan
from forecast.models.assemble import place
from forecast.models.baselines import fallback
from forecast.models.draft import Draft, empty_draft
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.threads import over_rows
from forecast.models.triage import Triage, triage
from forecast.types import I64, U8, Status

_KERNELS: Final = {"burg": fit_burg, "ols": fit_ols, "mle": fit_exact, "yule_walker": fit_yule_walker}

Fitter = Callable[[Plan, Panel, int], Draft]


def fit_plan(plan: Plan, panel: Panel, jobs: int = 1, backend: str = "native") -> Records:
    """Fit `plan` to every series; series that cannot be fitted get a status and the naive forecast."""
    found = triage(panel)
    scaled = replace(panel, values=found.values)
    parts, places = [], []
    for rows, fitter in _routes(plan, found, panel, backend):
        if rows.size:
            part, at = _fit_rows(plan, panel, scaled, found, rows, fitter, jobs)
            parts += part
            places += at
    rest = found.hopeless()
    if rest.size:
        why = {i: found.messages[int(row)] for i, row in enumerate(rest) if int(row) in found.messages}
        parts.append(fallback(panel, rest, found.status[rest], why))
        places.append(rest)
    return place(parts, places, panel.n_series)


def _routes(plan: Plan, found: Triage, panel: Panel, backend: str) -> list[tuple[I64, Fitter]]:
    """Rows of the panel, and the function that fits them."""
    complete, gapped = found.complete(panel), found.gapped(panel)
    if backend == "statsmodels":
        found.reject(gapped, Status.FAILED, "the statsmodels reference takes no gaps: use backend='native'")
        return [(complete, fit_reference)]
    if plan.pure:
        return [(complete, _fit_pure), (gapped, _fit_gapped)]
    if plan.method != "ols":
        return [(np.union1d(complete, gapped), fit_detrended)]
    return [(np.union1d(complete, gapped), fit_regression)]


def _fit_rows(
    plan: Plan, panel: Panel, scaled: Panel, found: Triage, rows: I64, fitter: Fitter, jobs: int
) -> tuple[list[Records], list[I64]]:
    draft = fitter(plan, _part(scaled, rows), jobs)
    bad = np.flatnonzero(~draft.ok)
    for i in bad:
        reason = draft.messages.get(int(i), "too few points for the lags asked for; naive instead")
        found.reject(rows[[i]], Status.TOO_SHORT, reason)
    good = np.flatnonzero(draft.ok)
    if not good.size:
        return [], []
    kept = rows[good]
    gaps = (found.status[kept] == Status.OK) & (found.observed[kept] < panel.lengths[kept])
    status = np.where(gaps, Status.GAPS, found.status[kept]).astype(np.uint8)
    notes = {i: found.messages[int(row)] for i, row in enumerate(kept) if int(row) in found.messages}
    draft = draft.take(good) if bad.size else draft
    season = max(1, plan.season)
    return [ar_records(_part(panel, kept), draft, status, found.scale[kept], notes, season, jobs)], [kept]


def _part(panel: Panel, rows: I64) -> Panel:
    return panel if len(rows) == panel.n_series else panel.take(rows)


def _fit_pure(plan: Plan, panel: Panel, jobs: int) -> Draft:
    """Complete series, lags 1..p, at most a constant."""
    n, m = panel.n_series, len(plan.lags)
    draft = empty_draft(n, m)
    ic, ok = np.empty((n, m + 1)), np.zeros(n, dtype=np.uint8)
    kernel = _KERNELS[plan.method]

    def work(first: int, last: int) -> None:
        kernel(
            panel.values, panel.indptr, first, last, m, plan.criterion, int(plan.const),
            draft.phi, draft.const, draft.sigma2, draft.order, ic, draft.loglik, ok,
        )  # fmt: skip

    over_rows(work, n, jobs)
    if plan.method != "ols":
        _center_to_intercept(draft)
    return _close(plan, panel, draft, ok)


def _fit_gapped(plan: Plan, panel: Panel, jobs: int) -> Draft:
    """Series with gaps: exact likelihood, whatever the method."""
    n, m = panel.n_series, len(plan.lags)
    draft = empty_draft(n, m)
    ic, ok = np.empty((n, m + 1)), np.zeros(n, dtype=np.uint8)

    def work(first: int, last: int) -> None:
        fit_gaps(
            panel.values, panel.indptr, np.arange(first, last), m, plan.criterion, plan.const,
            draft.phi, draft.const, draft.sigma2, draft.order, ic, draft.loglik, ok,
        )  # fmt: skip

    over_rows(work, n, jobs)
    note = "gaps: fitted by exact likelihood (Kalman filter)"
    draft.messages = dict.fromkeys(range(n), note)
    _center_to_intercept(draft)
    return _close(plan, panel, draft, ok)


def _center_to_intercept(draft: Draft) -> None:
    """c = mu (1 - sum phi): these kernels estimate the mean."""
    draft.const *= 1.0 - draft.phi.sum(axis=1)


def _close(plan: Plan, panel: Panel, draft: Draft, ok: U8) -> Draft:
    draft.ok = (ok == 1) & (draft.sigma2 > 0)
    if plan.criterion == 0:
        draft.ok &= draft.order == len(plan.lags)
    draft.n_params = draft.order + int(plan.const) + 1
    draft.n_used = panel.lengths - (draft.order if plan.method == "ols" else 0)
    return draft
