"""Is one set of scores better than another over the same series: Wilcoxon's test, Holm's correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtrit

from forecast.errors import InputError
from forecast.types import F64

# The ends of an interval of 95% are steady to a few percent of its width from about 2,000 resamples on; a
# fleet of 100,000 series, whose mean is all but normal, makes do with fewer: 500 take half a second.
_DRAWS: Final = 20_000_000
_MOST_RESAMPLES: Final = 4_000
_FEWEST_RESAMPLES: Final = 500

# Resampled at once: 8 MB of indices.
_CHUNK: Final = 1_000_000

# Scores that agree to nine digits are the same score: sums in another order would else be a finding.
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Paired:
    """Scores a against scores b of the same series; lower is better."""

    n: int
    """Series with both scores."""
    difference: float
    """Mean of a - b: below zero, a is better. NaN without series."""
    lo: float
    hi: float
    """Interval of `difference` at the level asked for, by bootstrap over series; NaN under two series."""
    p_value: float
    """Wilcoxon signed-rank, two-sided; 1 where all scores are equal, NaN without series."""
    rank_sign: int
    """-1 where the ranks say that a is better, 1 that b is, 0 where they balance."""
    better: int
    """Series where a is lower."""
    worse: int
    """Series where a is higher."""


def paired(a: ArrayLike, b: ArrayLike, level: float = 95.0, seed: int = 0) -> Paired:
    """Compare two scores of each series.

    Parameters
    ----------
    a, b
        (n,) scores of the same series in the same order, lower is better. A pair with a value that is not
        finite is left out; scores that agree to nine digits are equal.
    level
        Of the interval, percent.
    seed
        Of the resamples: the same scores give the same interval.

    Notes
    -----
    Wilcoxon (1945), *Biometrics Bulletin* 1: a test by ranks, because scaled errors have tails that a mean
    over series would follow; series without a difference are left out of it. Exact for up to 50 series
    without ties. The interval is the percentile bootstrap of the mean with the percentiles widened to those
    of Student's t (Hesterberg 2015, *The American Statistician* 69, sec. 3.2), since the plain ones are
    narrow for few series. Both take series as independent: where one shock moves a whole fleet, p is smaller
    than it should be.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"scores must be two vectors of the same length, got {a.shape} and {b.shape}")
    if not 0 < level < 100:
        raise InputError(f"level must be between 0 and 100, got {level!r}")
    with np.errstate(over="ignore", invalid="ignore"):  # scores of 1e308
        d = a - b
    known = np.isfinite(d)
    same = np.abs(d) <= _SAME * np.maximum(np.abs(a), np.abs(b))
    d = np.where(same, 0.0, d)[known]
    n = len(d)
    if n == 0:
        return Paired(0, np.nan, np.nan, np.nan, np.nan, 0, 0, 0)
    p, sign = _wilcoxon(d)
    lo, hi = _interval(d, level, seed)
    return Paired(n, _mean(d), lo, hi, p, sign, int((d < 0).sum()), int((d > 0).sum()))


def holm(p_values: ArrayLike) -> F64:
    """Return p-values corrected for their number; NaN stays NaN and counts for nothing.

    Notes
    -----
    Holm (1979), *Scandinavian J. Statistics* 6: the k-th smallest of m times m - k + 1, never below the one
    before it, at most 1. Holds whatever the dependence between the tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    out = np.full(p.shape, np.nan)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return out


def _wilcoxon(d: F64) -> tuple[float, int]:
    """Return the p-value and the sign of the larger sum of ranks."""
    from scipy.stats import rankdata, wilcoxon

    moved = d[d != 0]
    if not len(moved):
        return 1.0, 0
    ranks = rankdata(np.abs(moved))
    balance = float(ranks @ np.sign(moved))
    return float(wilcoxon(moved).pvalue), int(np.sign(balance))


def _mean(d: F64) -> float:
    """Return the mean, in units of the largest: a sum of 1e308 would pass the largest double."""
    scale = float(np.abs(d).max())
    return float((d / scale).mean() * scale) if scale > 0 else 0.0


def _interval(d: F64, level: float, seed: int) -> tuple[float, float]:
    n = len(d)
    scale = float(np.abs(d).max())
    if n < 2:
        return np.nan, np.nan
    if scale == 0:
        return 0.0, 0.0
    d = d / scale
    rng = np.random.default_rng(seed)
    wanted = int(np.clip(_DRAWS // n, _FEWEST_RESAMPLES, _MOST_RESAMPLES))
    rows = max(1, min(wanted, _CHUNK // n))
    means = np.concatenate(
        [d[rng.integers(0, n, (min(rows, wanted - k), n))].mean(axis=1) for k in range(0, wanted, rows)]
    )
    tail = (1.0 - level / 100.0) / 2.0
    wide = float(ndtr(np.sqrt(n / (n - 1.0)) * stdtrit(n - 1.0, tail)))
    lo, hi = np.quantile(means, [wide, 1.0 - wide])
    return float(lo) * scale, float(hi) * scale
