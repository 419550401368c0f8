"""Innovations of regressions with ARMA errors that have no gap: the fast road of `filtering`."""

from __future__ import annotations

import numpy as np

from forecast.kernels.innovation_filter import innovation_rows
from forecast.models.dynamics import fixed
from forecast.models.panel import Panel
from forecast.models.records import Form, Records
from forecast.types import F64, I64, Bool

_ORDERS = ("p", "d", "q", "P", "D", "Q", "season_length")


def orders_of(records: Records) -> I64:
    """(n, 7) p, d, q, P, D, Q, s."""
    return np.column_stack([getattr(records, name) for name in _ORDERS]).astype(np.int64)


def regression_innovations(
    records: Records, panel: Panel, lags: I64, u: F64, wanted: Bool, e: F64, f: F64
) -> Bool:
    """Filter the REGRESSION rows among `wanted` that have no gap; return the (n,) rows that are left.

    Parameters
    ----------
    lags
        (n,) p + d + s (P + D): the first innovations of differenced rows that are left NaN.
    u
        (N,) series without their deterministic part.
    e, f
        (N,) out: innovations and their variances.
    """
    left: Bool = ~wanted | (records.form != Form.REGRESSION)
    if left.all():
        return wanted
    other = left.copy()
    innovation_rows(
        0, records.n_series, np.array(u), np.array(panel.indptr), orders_of(records), fixed(records.phi),
        fixed(records.theta), fixed(records.seasonal_phi), fixed(records.seasonal_theta),
        np.array(records.sigma2), left, e, f,
    )  # fmt: skip
    done: Bool = ~other & ~left
    for i in np.flatnonzero(done & (records.d + records.D > 0)):
        head = slice(panel.indptr[i], min(panel.indptr[i] + lags[i], panel.indptr[i + 1]))
        e[head], f[head] = np.nan, np.nan
    return wanted & ~done
