"""Panels and records that the tests of pruning share."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from forecast.models.freq import Freq
from forecast.models.panel import Panel

SPARSE = np.zeros(12)
SPARSE[[0, 4, 11]] = [0.5, 0.2, -0.3]


def paths(n, t, phi=SPARSE, seed=0, level=10.0):
    """(n, t) AR paths about a level of their own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, t + 300))
    return lfilter([1.0], np.concatenate([[1.0], -np.asarray(phi)]), noise)[:, 300:] + level * rng.normal(
        size=(n, 1)
    )


def panel_of(series, exog=None, start=0):
    """A panel of arrays of any lengths."""
    series = [np.asarray(y, dtype=np.float64) for y in series]
    indptr = np.concatenate([[0], np.cumsum([len(y) for y in series])]).astype(np.int64)
    ids = np.array([f"s{i}" for i in range(len(series))], dtype=object)
    starts = np.full(len(series), start, dtype=np.int64)
    columns = {name: np.concatenate(parts) for name, parts in (exog or {}).items()}
    return Panel(np.concatenate(series), indptr, ids, starts, Freq("1"), columns)
