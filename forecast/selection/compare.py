"""Is one forecast better than another, or was it luck: the Diebold-Mariano test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from forecast.errors import InputError
from forecast.types import F64, I64


@dataclass(frozen=True, slots=True, eq=False)
class DieboldMariano:
    """Outcome of the test for a batch of pairs; each array has the leading axes of the losses."""

    difference: F64
    """Mean of loss a - loss b: below zero, a is better."""
    statistic: F64
    """Student t with n - 1 degrees of freedom when the forecasts are equally good."""
    p_value: F64
    """Two-sided."""
    n: I64
    """Pairs of losses that were compared."""


def diebold_mariano(loss_a: ArrayLike, loss_b: ArrayLike, h: int = 1) -> DieboldMariano:
    r"""Test whether two forecasts have the same expected loss.

    With d_t = loss a - loss b, its mean :math:`\bar d` and autocovariances :math:`\gamma_k` (divisor n),

    .. math:: S = \bar d \Big/ \sqrt{\tfrac1n \Big(\gamma_0 + 2 \sum_{k=1}^{h-1} \gamma_k\Big)}, \qquad
              S^* = S \sqrt{\frac{n + 1 - 2h + h(h-1)/n}{n}}

    Parameters
    ----------
    loss_a, loss_b
        (..., n) losses by origin, the earliest first: absolute or squared errors at one step, or the
        scores of whole windows. A pair with a NaN is left out.
    h
        Steps ahead of the forecasts, in units of the distance between origins: losses of origins closer
        than h overlap and are correlated. 1 for windows that do not overlap.

    Notes
    -----
    Diebold and Mariano (1995), *J. Bus. Econ. Stat.* 13, eq. 3; the correction is eq. 9 of Harvey, Leybourne
    and Newbold (1997), *Int. J. Forecasting* 13. The sum of autocovariances can be negative; it is then
    replaced by the one with Bartlett weights 1 - k / h, which cannot. Losses that are equal throughout give
    statistic 0 and p 1; one loss always larger by the same amount gives an infinite statistic and p 0.
    Fewer than two pairs, or not more than h, give NaN.
    """
    if h < 1:
        raise InputError(f"h must be 1 or more, got {h!r}")
    d = np.asarray(loss_a, dtype=np.float64) - np.asarray(loss_b, dtype=np.float64)
    flat = d.reshape(-1, d.shape[-1])
    out = np.array([_test(row[~np.isnan(row)], h) for row in flat]).reshape(*d.shape[:-1], 4)
    return DieboldMariano(out[..., 0], out[..., 1], out[..., 2], out[..., 3].astype(np.int64))


def _test(d: F64, h: int) -> tuple[float, float, float, int]:
    """Return mean, statistic, p-value and n of one series of loss differences."""
    n = len(d)
    if n < 2 or n <= h:
        return float(d.mean()) if n else np.nan, np.nan, np.nan, n
    mean = float(d.mean())
    around = d - mean
    # Differences that agree to rounding are constant: their variance is rounding too.
    if np.abs(around).max() <= 4 * np.finfo(np.float64).eps * np.abs(d).max():
        return (0.0, 0.0, 1.0, n) if mean == 0 else (mean, float(np.copysign(np.inf, mean)), 0.0, n)
    gamma = np.array([around[k:] @ around[: n - k] for k in range(h)]) / n
    variance = gamma[0] + 2.0 * gamma[1:].sum()
    if variance <= 0:
        variance = gamma[0] + 2.0 * (gamma[1:] * (1.0 - np.arange(1, h) / h)).sum()
    shrink = (n + 1 - 2 * h + h * (h - 1) / n) / n
    statistic = mean / np.sqrt(variance / n) * np.sqrt(shrink)
    return mean, float(statistic), float(2.0 * stdtr(n - 1, -abs(statistic))), n
