"""Wilcoxon's signed-rank test and Holm's correction, written out."""

from __future__ import annotations

import math
from itertools import product


def midranks(values):
    """Rank of each value among all; ties share the mean of their ranks."""
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def exact_p(differences):
    """Two-sided p of the sum of positive ranks, over every choice of signs; differences without zeros."""
    ranks = midranks([abs(d) for d in differences])
    seen = sum(r for r, d in zip(ranks, differences, strict=True) if d > 0)
    sums = [
        sum(r for r, up in zip(ranks, signs, strict=True) if up)
        for signs in product((0, 1), repeat=len(ranks))
    ]
    below = sum(s <= seen for s in sums) / len(sums)
    above = sum(s >= seen for s in sums) / len(sums)
    return min(1.0, 2 * min(below, above))


def normal_p(differences):
    """Two-sided p from the normal approximation: the variance is a quarter of the sum of squared ranks."""
    ranks = midranks([abs(d) for d in differences])
    seen = sum(r for r, d in zip(ranks, differences, strict=True) if d > 0)
    z = (seen - sum(ranks) / 2) / math.sqrt(sum(r * r for r in ranks) / 4)
    return math.erfc(abs(z) / math.sqrt(2))


def holm(p_values):
    """Step down: of m tests the k-th smallest p times m - k + 1, and no smaller than the one before."""
    m = len(p_values)
    out, floor = [0.0] * m, 0.0
    for k, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        floor = max(floor, min(1.0, (m - k) * p_values[i]))
        out[i] = floor
    return out
