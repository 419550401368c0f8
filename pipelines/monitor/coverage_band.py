"""Which series have intervals that cover too little, or too much."""

from __future__ import annotations

from typing import Final

import numpy as np

from forecast.types import F64, Bool
from pipelines.monitor.score_sums import Sums

# Of a hundred series that are as they should be one is told.
BAND: Final = 0.99
# Degrees of freedom, paths less series, below which the dependence within a path is not measured but taken
# to be complete.
_FEWEST: Final = 30


def outside(sums: Sums, level: int, nominal: float, band: float = BAND) -> tuple[Bool, Bool]:
    """(n,) series outside their band, and whether each was judged at all.

    Points of one path hang together: errors of h steps are sums of the same innovations. So counts are
    divided by the design effect of the fleet, the variance of the hits of a path within its series over
    that of independent points, before they are held against the binomial distribution.

    Parameters
    ----------
    level
        Position of the level.
    nominal
        Its coverage, 0 to 1.

    Notes
    -----
    Source of the adjusted counts: Rao and Scott (1992), *Biometrics* 48, 577-585. The tails are those of
    the binomial of a real number of trials, by the incomplete beta function.
    """
    from scipy.special import betainc

    n, hits = sums["n"], sums["hits"][:, level]
    judged = n > 0
    effect = design_effect(sums, level)
    trials = np.where(judged, n / effect, 1.0)
    successes = np.clip(hits / effect, 0.0, trials)
    # P(X <= x) = I_{1-p}(n - x, x + 1), P(X >= x) = I_p(x, n - x + 1)
    with np.errstate(invalid="ignore"):
        low = np.where(
            successes < trials,
            betainc(np.maximum(trials - successes, 1e-300), successes + 1.0, 1.0 - nominal),
            1.0,
        )
        high = np.where(
            successes > 0, betainc(np.maximum(successes, 1e-300), trials - successes + 1.0, nominal), 1.0
        )
    tail = (1.0 - band) / 2.0
    return np.asarray(judged & ((low < tail) | (high < tail))), np.asarray(judged)


def design_effect(sums: Sums, level: int) -> float:
    """Return by how much the hits of a path vary more than those of independent points would; 1 or more."""
    paths, n, nn = sums["paths"], sums["n"], sums["nn"]
    hits, squares, products = (sums[name][:, level] for name in ("hits", "hits_hits", "hits_n"))
    some = (paths > 0) & (n > 0)
    if not some.any():
        return 1.0
    whole = float(nn[some].sum() / n[some].sum())  # points of a path
    several = some & (paths > 1)
    freedom = float((paths[several] - 1).sum())
    share = _ratio(hits, n)
    mean = float(hits[some].sum() / n[some].sum())
    if freedom < _FEWEST or not 0.0 < mean < 1.0:
        return max(whole, 1.0)
    within = squares - 2.0 * share * products + share**2 * nn
    each = float((n[several] / paths[several] * (paths[several] - 1)).sum())
    return float(np.clip(within[several].sum() / (mean * (1.0 - mean) * each), 1.0, max(whole, 1.0)))


def _ratio(a: F64, b: F64) -> F64:
    return np.asarray(a / np.where(b > 0, b, 1.0))
