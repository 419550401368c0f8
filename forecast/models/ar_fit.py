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
    found = triage(panel, jobs=jobs)
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
        return [(complete, fit_detrended), (gapped, fit_regression)]
    return [(np.union1d(complete, gapped), fit_regression)]


def _fit_rows(
    plan: Plan, panel: Panel, scaled: Panel, found: Triage, rows: I64, fitter: Fitter, jobs: int
) -> tuple[list[Records], list[I64]]:
    draft = fitter(plan, _part(scaled, rows), jobs)
    bad = np.flatnonzero(~draft.ok)
    for i in bad:
        code, reason = draft.reasons.get(int(i), _too_short(plan, int(found.observed[rows[i]])))
        found.reject(rows[[i]], code, reason)
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


def _too_short(plan: Plan, observed: int) -> tuple[Status, str]:
    lags = f"lag {plan.lags.max()}" if len(plan.lags) and not plan.criterion else "the model"
    return Status.TOO_SHORT, f"{observed} observed points are too few for {lags}; naive instead"


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
        return _close(plan, panel.lengths, draft, ok)
    draft = _close(plan, panel.lengths - draft.order, draft, ok)
    _replace_exact(plan, panel, draft, jobs)
    return draft


def _replace_exact(plan: Plan, panel: Panel, draft: Draft, jobs: int) -> None:
    """Fit by Burg's method what least squares refuses though it is long enough: no residual is left."""
    need = 3 + int(plan.const) + (0 if plan.criterion else 2 * len(plan.lags))
    rows = np.flatnonzero(~draft.ok & (panel.lengths >= need))
    if not rows.size:
        return
    exact = _fit_pure(replace(plan, method="burg"), _part(panel, rows), jobs)
    for name in ("phi", "const", "sigma2", "loglik", "order", "n_params", "n_used", "ok"):
        getattr(draft, name)[rows] = getattr(exact, name)
    for i in rows.tolist():
        draft.messages[i] = "its past predicts it exactly: Burg's method in place of least squares"
        draft.reasons[i] = (Status.FAILED, "its past predicts it exactly: no variance; naive instead")


def _fit_gapped(plan: Plan, panel: Panel, jobs: int) -> Draft:
    """Series with gaps: exact likelihood, whatever the method."""
    n, m = panel.n_series, len(plan.lags)
    draft = empty_draft(n, m)
    ic, ok = np.empty((n, m + 1)), np.zeros(n, dtype=np.uint8)

    def work(first: int, last: int) -> None:
        fit_gaps(
            panel.values, panel.indptr, np.arange(first, last, dtype=np.int64), m, plan.criterion, plan.const,
            draft.phi, draft.const, draft.sigma2, draft.order, ic, draft.loglik, ok,
        )  # fmt: skip

    over_rows(work, n, jobs)
    draft.messages = dict.fromkeys(range(n), "gaps: fitted by exact likelihood (Kalman filter)")
    _center_to_intercept(draft)
    seen = np.concatenate([[0], np.cumsum(~np.isnan(panel.values))])
    return _close(plan, np.diff(seen[panel.indptr]), draft, ok)


def _center_to_intercept(draft: Draft) -> None:
    """Turn the mean, which these kernels estimate, into c = mu (1 - sum phi)."""
    draft.const *= 1.0 - draft.phi.sum(axis=1)


def _close(plan: Plan, n_used: I64, draft: Draft, ok: U8) -> Draft:
    """Write which fits hold, and what they count; a fixed order is kept whole or not at all."""
    draft.ok = (ok == 1) & (draft.sigma2 > 0)
    if plan.criterion == 0:
        draft.ok &= draft.order == len(plan.lags)
    draft.n_params = draft.order + int(plan.const) + 1
    draft.n_used = n_used
    return draft
