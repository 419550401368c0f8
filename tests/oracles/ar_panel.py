"""Panels for the AR kernels, and the call with all its output arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

CODES = {"fixed": 0, "aic": 1, "aicc": 2, "bic": 3, "hqic": 4}


@dataclass
class Rows:
    phi: np.ndarray
    level: np.ndarray
    sigma2: np.ndarray
    order: np.ndarray
    ic: np.ndarray
    loglik: np.ndarray
    ok: np.ndarray

    def arrays(self):
        return (self.phi, self.level, self.sigma2, self.order, self.ic, self.loglik, self.ok)

    def same(self, other):
        """Bitwise equality."""
        return all(a.tobytes() == b.tobytes() for a, b in zip(self.arrays(), other.arrays(), strict=True))

    def take(self, rows):
        return Rows(*(np.ascontiguousarray(a[rows]) for a in self.arrays()))


def fit(kernel, series, max_lags, criterion="fixed", const=1, cuts=()):
    """Fit `kernel` to a list of series, in one call or in several that begin at `cuts`."""
    n = len(series)
    values = np.ascontiguousarray(np.concatenate(series), dtype=np.float64)
    indptr = np.concatenate([[0], np.cumsum([len(y) for y in series])]).astype(np.int64)
    rows = Rows(
        np.full((n, max_lags), 7.0),
        np.full(n, 7.0),
        np.full(n, 7.0),
        np.full(n, 7, dtype=np.int64),
        np.full((n, max_lags + 1), 7.0),
        np.full(n, 7.0),
        np.full(n, 7, dtype=np.uint8),
    )
    bounds = [0, *cuts, n]
    for first, last in pairwise(bounds):
        kernel(values, indptr, first, last, max_lags, CODES[criterion], const, *rows.arrays())
    return rows


def ragged(rng, n=40):
    """Series of many kinds and lengths, the awkward ones among them."""
    made = []
    for i in range(n):
        t = int(rng.integers(1, 160))
        y = rng.normal(size=t)
        kind = i % 5
        if kind == 1:
            y = np.cumsum(y)
        elif kind == 2:
            y = np.cumsum(np.cumsum(y)) + 1e4
        elif kind == 3:
            y = np.full(t, 0.1)
        elif kind == 4:
            y = np.sin(0.3 * np.arange(t)) + 1e-7 * y
        made.append(y)
    return made
