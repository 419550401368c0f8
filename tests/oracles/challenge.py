"""What a challenge computes, point by point from the formulas."""

from __future__ import annotations

import math

import numpy as np


def last_change(z) -> int:
    """Page's recursion S = max(0, S + increment) for each of four alternatives."""
    best, began = 8.0, -1
    for kind in ("up", "down", "wide", "narrow"):
        s, start = 0.0, 0
        for t, value in enumerate(z):
            if math.isnan(value) or value == 0.0:
                continue
            v = min(max(value, -3.0), 3.0)
            step = {
                "up": v - 0.5,
                "down": -v - 0.5,
                "wide": v * v / 2 * (1 - 1 / 1.5**2) - math.log(1.5),
                "narrow": v * v / 2 * (1 - 1.5**2) + math.log(1.5),
            }[kind]
            if s <= 0.0:
                s, start = 0.0, t
            s += step
        if s > best:
            best, began = s, start
    return began


def binomial_below(hits: int, n: int, p: float) -> float:
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(hits + 1))


def t_of_means(d) -> tuple[float, float]:
    """Mean of the means of rows, and their t with the small-sample factor of Harvey and others for h = 1."""
    means = [np.nanmean(row) for row in d if not np.isnan(row).all()]
    n = len(means)
    mean = sum(means) / n
    variance = sum((m - mean) ** 2 for m in means) / n
    return mean, mean / math.sqrt(variance / n) * math.sqrt((n - 1) / n)
