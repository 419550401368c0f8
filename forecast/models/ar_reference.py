"""The reference backend of AR: statsmodels' AutoReg, one series after another."""

from __future__ import annotations

import numpy as np

from forecast.errors import InputError
from forecast.models.ar_spec import CRITERIA, Plan
from forecast.models.draft import Draft, empty_draft
from forecast.models.panel import Panel
from forecast.types import F64, Status

_NAMES = {code: name for name, code in CRITERIA.items()}


def fit_reference(plan: Plan, panel: Panel, jobs: int = 1) -> Draft:
    """Fit complete series by `statsmodels.tsa.ar_model.AutoReg`; slow, kept to hold the kernels to it.

    Raises
    ------
    InputError
        For the criterion "aicc", which statsmodels does not offer.
    """
    if _NAMES.get(plan.criterion) == "aicc":
        raise InputError("backend='statsmodels' offers 'aic', 'bic' and 'hqic', not 'aicc'")
    draft = empty_draft(panel.n_series, int(plan.lags[-1]) if len(plan.lags) else 0)
    draft.slope = np.zeros(panel.n_series)
    draft.seasonal = np.zeros((panel.n_series, plan.season))
    for i in range(panel.n_series):
        try:
            _fit_one(plan, panel.series(i), draft, i)
        except (ValueError, np.linalg.LinAlgError) as error:
            draft.reasons[i] = (Status.FAILED, f"statsmodels: {error}; naive instead")
    return draft


def _fit_one(plan: Plan, y: F64, draft: Draft, i: int) -> None:
    from statsmodels.tsa.ar_model import AutoReg, ar_select_order

    trend = {(0, 0): "n", (1, 0): "c", (1, 1): "ct"}[(int(plan.const), int(plan.slope))]
    options = {"trend": trend, "seasonal": plan.season > 0, "period": plan.season or None}
    lags = plan.lags.tolist() or 0
    if plan.criterion:
        lags = ar_select_order(y, len(plan.lags), ic=_NAMES[plan.criterion], **options).ar_lags or 0
    result = AutoReg(y, lags, **options).fit()
    params = np.asarray(result.params)
    fixed = int(plan.const) + int(plan.slope)
    dummies = plan.season - int(plan.const) if plan.season else 0
    draft.const[i] = params[0] if plan.const else 0.0
    draft.slope[i] = params[int(plan.const)] if plan.slope else 0.0
    if dummies:
        draft.seasonal[i, plan.season - dummies :] = params[fixed : fixed + dummies]
    used = np.asarray(result.ar_lags if result.ar_lags is not None else [], dtype=np.int64)
    draft.phi[i, used - 1] = params[fixed + dummies :]
    draft.order[i] = used.max(initial=0)
    draft.sigma2[i], draft.loglik[i] = result.sigma2, result.llf
    draft.n_params[i], draft.n_used[i] = len(params) + 1, result.nobs
    draft.ok[i] = result.sigma2 > 0
