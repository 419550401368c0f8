"""Is the challenger better than the champion, or did the champion leave its coverage band: the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import bdtr, stdtr

from forecast.selection.compare import diebold_mariano
from forecast.types import F64

# Fewer means of origins than this leave Student's t too few degrees of freedom to see anything.
ENOUGH_FOLDS: Final = 5
# Two origins of one series are no sample; a bootstrap of them would find anything significant.
LEAST_FOLDS: Final = 3
LEAST_PAIRS: Final = 12
_DRAWS: Final = 2_000

DM: Final = "Diebold-Mariano over the means of the origins"
BOOTSTRAP: Final = "block bootstrap over series and origins"
NONE: Final = "none: too few pairs of losses"


@dataclass(frozen=True, slots=True)
class GainTest:
    """Outcome of the one-sided test that the challenger has the smaller expected loss."""

    method: str
    gain: float
    """Mean of loss of the champion - loss of the challenger; above zero the challenger is better."""
    statistic: float
    p_value: float
    """Small: better. Near 1: worse. NaN where nothing could be tested."""
    n: int
    """Origins."""


def judge_gain(champion: F64, challenger: F64, seed: int = 0) -> GainTest:
    """Test paired losses (k, n) by origin, the earliest first, and series; NaN where there is none.

    Series at one origin share the weather, so what is tested are the means over the series, as a series
    in time; its origins do not overlap. Only where those are too few are series resampled as well, and the
    larger p of both tests counts: a bootstrap of three or four origins finds a gain of luck too often.
    """
    d = champion - challenger
    paired = ~np.isnan(d)
    count = paired.sum(axis=1)
    total = np.where(paired, d, 0.0).sum(axis=1)
    means = total[count > 0] / count[count > 0]
    k = len(means)
    gain = float(means.mean()) if k else np.nan
    if k < LEAST_FOLDS or (k < ENOUGH_FOLDS and int(paired.sum()) < LEAST_PAIRS):
        return GainTest(NONE, gain, np.nan, np.nan, k)
    statistic = -float(diebold_mariano(-means, np.zeros(k)).statistic)
    p_value = 1.0 - float(stdtr(k - 1, statistic))
    if k >= ENOUGH_FOLDS:
        return GainTest(DM, gain, statistic, p_value, k)
    return GainTest(BOOTSTRAP, gain, statistic, max(p_value, _bootstrap(d[count > 0], seed)), k)


def _bootstrap(d: F64, seed: int) -> float:
    """One-sided p-value of a mean above zero, resampling blocks of origins and, independently, series.

    Notes
    -----
    Blocks of ceil(k^(1/3)) origins in a circle (Politis and Romano 1992); the draws are studentised by
    nothing but centred at the mean, and widened by sqrt(k / (k - 1)), because k means about their
    own mean vary too little.
    """
    rng = np.random.default_rng(seed)
    k, n = d.shape
    block = int(np.ceil(k ** (1 / 3)))
    known = ~np.isnan(d)
    values = np.where(known, d, 0.0)
    mean = values.sum() / known.sum()
    starts = rng.integers(0, k, size=(_DRAWS, -(-k // block)))
    origins = ((starts[:, :, None] + np.arange(block)) % k).reshape(_DRAWS, -1)[:, :k]
    weights = np.zeros((_DRAWS, n))
    np.add.at(weights, (np.arange(_DRAWS)[:, None], rng.integers(0, n, size=(_DRAWS, n))), 1.0)
    total = (values @ weights.T)[origins.T, np.arange(_DRAWS)].sum(axis=0)
    count = (known @ weights.T)[origins.T, np.arange(_DRAWS)].sum(axis=0)
    drawn = total[count > 0] / count[count > 0]
    centred = (drawn - mean) * np.sqrt(k / (k - 1))
    return float((1 + np.count_nonzero(centred >= mean)) / (1 + len(centred)))


@dataclass(frozen=True, slots=True)
class BandTest:
    """Whether the share of points inside an interval left its band by more than chance."""

    coverage: float
    n: int
    """Points."""
    n_effective: float
    """As many independent points say as much."""
    p_below: float
    p_above: float

    def left(self, alpha: float) -> bool:
        """Whether it left the band at a level of significance."""
        return min(self.p_below, self.p_above) < alpha / 2


def judge_band(inside: F64, count: F64, band: tuple[float, float]) -> BandTest:
    """Test the coverage of (k, n) origins and series against ``lo <= true coverage <= hi``.

    Parameters
    ----------
    inside, count
        Points inside the interval, and points observed.

    Notes
    -----
    Misses come in runs: the points of an origin share one path, and series share the weather. So the
    points are counted as n / deff independent ones, with deff the variance of the means of the origins
    over what independent points would have (at least 1), and tested by the exact binomial tails.
    """
    n = float(count.sum())
    if n == 0:
        return BandTest(np.nan, 0, 0.0, 1.0, 1.0)
    share = float(inside.sum()) / n
    origins = count.sum(axis=1)
    some = origins > 0
    means, weight = inside.sum(axis=1)[some] / origins[some], origins[some]
    k = len(means)
    spread = share * (1.0 - share)
    deff = 1.0
    if k > 1 and spread > 0:
        between = float((weight * np.square(means - share)).sum()) / (k - 1)
        deff = max(1.0, between / spread)
    # Of one origin, or where all points agree, nothing is known of the dependence: origins are counted.
    effective = n / deff if k > 1 and spread > 0 else float(k)
    m = max(1, int(effective + 1e-9))
    hits = share * m
    below = float(bdtr(np.floor(hits + 1e-9), m, band[0]))
    above = 1.0 - float(bdtr(np.ceil(hits - 1e-9) - 1, m, band[1])) if hits > 0 else 1.0
    return BandTest(share, int(n), effective, below, above)
