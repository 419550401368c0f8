"""Published distributions of unit-root statistics: response surfaces and tables, vectorised.

Sources: MacKinnon (1994), *J. Business & Economic Statistics* 12, 167-176 (tables 3-6, one variable);
MacKinnon (1991, 2010), "Critical values for cointegration tests"; Fuller (1976), *Introduction to Statistical
Time Series*, table 8.5.2; Kwiatkowski, Phillips, Schmidt and Shin (1992), *J. Econometrics* 54, table 1.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polyval

from forecast.types import F64, I64

TRENDS = ("n", "c", "ct")
"""Deterministic part: none, constant, constant and trend. The position is what kernels take."""

# By trend: p is 0 below LOWEST and 1 above HIGHEST; up to SPLIT the left-tail surface holds.
TAU_LOWEST = (-19.04, -18.83, -16.18)
TAU_SPLIT = (-1.04, -1.61, -2.89)
TAU_HIGHEST = (np.inf, 2.74, 0.7)
# p = Phi(polynomial in tau), lowest power first.
TAU_LEFT = ((0.6344, 1.2378, 0.032496), (2.1659, 1.4412, 0.038269), (3.2512, 1.6047, 0.049588))
TAU_RIGHT = (
    (0.4797, 0.93557, -0.06999, 0.033066),
    (1.7339, 0.93202, -0.12745, -0.010368),
    (2.5261, 0.61654, -0.37956, -0.060285),
)
# The same for the normalised-bias statistic; the left surface is a polynomial in log |z|.
RHO_SPLIT = (-2.9, -8.9, -15.0)
RHO_LEFT = (
    (0.0342, -0.6376, 0.0, -0.03872),
    (2.2142, -1.7863, 0.32828, -0.07727),
    (4.6476, -2.8932, 0.5832, -0.0999),
)
RHO_RIGHT = (
    (0.4927, 0.6906, 0.132331, 0.012099, 0.0),
    (1.717, 0.55243, 0.043463, 0.0016671, 0.0),
    (2.7117, 0.45731, 0.022868, 0.0006362, 0.000005),
)

KPSS_P = (0.10, 0.05, 0.025, 0.01)
KPSS_CRITICAL = {1: (0.347, 0.463, 0.574, 0.739), 2: (0.119, 0.146, 0.176, 0.216)}
"""By trend (1 level, 2 line): upper-tail critical values at `KPSS_P`."""

TAU_P = (0.01, 0.05, 0.10)
# Fuller: critical values of tau at TAU_P, for fewer observations than 25, 50, 100, 250, 500, and for more.
FULLER_SIZES = (25, 50, 100, 250, 500)
FULLER_TAU = (
    [(-2.66, -1.95, -1.6), (-2.62, -1.95, -1.61), (-2.6, -1.95, -1.61), *[(-2.58, -1.95, -1.62)] * 3],
    [
        (-3.75, -3.0, -2.63),
        (-3.58, -2.93, -2.6),
        (-3.51, -2.89, -2.58),
        (-3.46, -2.88, -2.57),
        (-3.44, -2.87, -2.57),
        (-3.43, -2.86, -2.57),
    ],
    [
        (-4.38, -3.6, -3.24),
        (-4.15, -3.5, -3.18),
        (-4.04, -3.45, -3.15),
        (-3.99, -3.43, -3.13),
        (-3.98, -3.42, -3.13),
        (-3.96, -3.41, -3.12),
    ],
)
# MacKinnon (1991): critical value = b0 + b1 / n + b2 / n^2, at TAU_P.
MACKINNON_1991 = {
    1: ((-3.4335, -5.999, -29.25), (-2.8621, -2.738, -8.36), (-2.5671, -1.438, -4.48)),
    2: ((-3.9638, -8.353, -47.44), (-3.4126, -4.039, -17.83), (-3.1279, -2.418, -7.58)),
}


def tau_p(stat: F64, trend: int) -> F64:
    """Return MacKinnon's p-value (n,) of Dickey-Fuller t ratios and of Z-tau; NaN stays NaN."""
    from scipy.special import ndtr  # here: a tenth of a second, which a fit need not wait for

    left = ndtr(polyval(stat, np.asarray(TAU_LEFT[trend])))
    right = ndtr(polyval(stat, np.asarray(TAU_RIGHT[trend])))
    p = np.where(stat <= TAU_SPLIT[trend], left, right)
    p = np.where(stat > TAU_HIGHEST[trend], 1.0, np.where(stat < TAU_LOWEST[trend], 0.0, p))
    return np.where(np.isnan(stat), np.nan, p)


def rho_p(stat: F64, trend: int) -> F64:
    """Return MacKinnon's p-value of normalised-bias statistics n (rho - 1) and Z-rho, (n,)."""
    from scipy.special import ndtr

    tail = np.minimum(stat, RHO_SPLIT[trend])
    left = ndtr(polyval(np.log(-tail), np.asarray(RHO_LEFT[trend])))
    right = ndtr(polyval(stat, np.asarray(RHO_RIGHT[trend])))
    return np.asarray(np.where(stat <= RHO_SPLIT[trend], left, right))


def kpss_p(stat: F64, trend: int) -> F64:
    """Return the p-value (n,) interpolated in the table, held at 0.1 and 0.01 outside; NaN stays NaN."""
    return np.asarray(np.interp(stat, KPSS_CRITICAL[trend], KPSS_P))


def fuller_p(stat: F64, nobs: I64, trend: int) -> F64:
    """Return the p-value (n,) of a Dickey-Fuller t ratio interpolated in Fuller's table, within [0.01, 0.1].

    `nobs` counts the differences of the series, as R's ``urca::ur.df`` does.
    """
    critical = np.asarray(FULLER_TAU[trend])[np.searchsorted(FULLER_SIZES, nobs, side="right")]
    return _between(stat, critical)


def phillips_perron_p(stat: F64, nobs: I64, trend: int) -> F64:
    """Return the p-value (n,) of Z-tau between MacKinnon's (1991) critical values, within [0.01, 0.1]."""
    inverse = 1.0 / np.maximum(nobs, 1)
    critical = np.stack(
        [polyval(inverse, np.asarray(b)) for b in MACKINNON_1991[trend]], axis=-1, dtype=np.float64
    )
    return _between(stat, critical)


def _between(stat: F64, critical: F64) -> F64:
    """Interpolate `TAU_P` at `stat` (n,) between the rows of `critical` (n, 3), flat outside."""
    low, middle, high = critical.T
    lower = TAU_P[0] + (TAU_P[1] - TAU_P[0]) * (stat - low) / (middle - low)
    upper = TAU_P[1] + (TAU_P[2] - TAU_P[1]) * (stat - middle) / (high - middle)
    return np.asarray(np.clip(np.where(stat <= middle, lower, upper), TAU_P[0], TAU_P[2]))
