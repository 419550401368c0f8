r"""Backward elimination of lags by \|t\|, on every series of a batch at once.

With A = X'X, dropping regressor j changes the inverse by the rank-one term :math:`A^{-1}_{\cdot j} A^{-1}_{j
\cdot} / A^{-1}_{jj}`, the coefficients by :math:`-A^{-1}_{\cdot j} b_j / A^{-1}_{jj}` and the residual sum of
squares by :math:`b_j^2 / A^{-1}_{jj} = s^2 t_j^2`: a whole path costs O(k^3), as one regression does.
Source: Seber and Lee (2003), *Linear Regression Analysis*, 3.7 and 12.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.prune.moments import normalised
from forecast.types import F64, I64, Bool

# A share of the sum of squares. Where the past explains all but this, what is left is rounding.
_NO_RESIDUAL = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Nested sets of lags: after 0, 1, .., m drops."""

    dropped_at: I64
    """(S, m) the drop (1..m) with which a lag goes out."""
    rss: F64
    """(S, m + 1)"""
    sound: Bool
    """(S,) False where the regressors are collinear or leave no residual; the rest means nothing there."""

    def keep(self, drops: I64) -> Bool:
        """(S, m) the lags that are in after `drops` (S,) of them went."""
        kept: Bool = self.dropped_at > drops[:, None]
        return kept


def eliminate(products: F64, f: int) -> Path:
    r"""Drop the lag of smallest \|t\| again and again.

    Parameters
    ----------
    products
        (S, k + 1, k + 1) of `Rows.products`: f regressors that stay, m = k - f lags, y.
    """
    unit, length, fine = normalised(products)
    k = unit.shape[1] - 1
    S, m, row = len(unit), k - f, np.arange(len(unit))
    inverse = np.linalg.inv(unit[:, :k, :k])
    b = np.einsum("sij,sj->si", inverse, unit[:, :k, k])
    residual = np.concatenate([-b, np.ones((S, 1))], axis=1)
    rss = np.empty((S, m + 1))
    rss[:, 0] = np.einsum("si,sij,sj->s", residual, unit, residual)
    dropped_at = np.zeros((S, m), dtype=np.int64)
    for drop in range(1, m + 1):
        variance = np.einsum("sii->si", inverse)[:, f:]
        out = dropped_at > 0
        cost = np.where(out, np.inf, b[:, f:] ** 2 / np.where(out, 1.0, variance))
        j = np.argmin(cost, axis=1)
        dropped_at[row, j] = drop
        rss[:, drop] = rss[:, drop - 1] + cost[row, j]
        column, pivot = inverse[row, :, f + j], inverse[row, f + j, f + j]
        b = b - column * (b[row, f + j] / pivot)[:, None]
        inverse = inverse - column[:, :, None] * (column / pivot[:, None])[:, None, :]
        b[row, f + j] = 0.0
    fine &= rss[:, 0] > _NO_RESIDUAL
    return Path(dropped_at, rss * length[:, -1:] ** 2, fine)


def bic_drops(path: Path, n: I64) -> I64:
    """(S,) drops at the BIC minimum n log(rss / n) + (lags) log n of each path, fewest lags among equals."""
    m = path.rss.shape[1] - 1
    size = n[:, None].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bic = size * np.log(path.rss / size) + np.arange(m, -1, -1) * np.log(size)
    best: I64 = m - np.argmin(bic[:, ::-1], axis=1)
    return best
