"""Panels and records that the tests of pruning share."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from scipy.signal import lfilter

from forecast.models.freq import Freq
from forecast.models.panel import Panel
from forecast.models.records import Records

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


def kept(records, i):
    return (np.flatnonzero(records.phi[i]) + 1).tolist()


def assert_row(after, before, i):
    """Row i of both is the same, zero-padding aside."""
    for f in fields(Records):
        a, b = getattr(after, f.name), getattr(before, f.name)
        if isinstance(a, dict):
            assert (i in a) == (i in b), f.name
        elif isinstance(a, np.ndarray) and a.ndim > 1:
            short = min(a.shape[1], b.shape[1])
            np.testing.assert_array_equal(a[i, :short], b[i, :short], err_msg=f.name)
            assert not np.any(a[i, short:]), f.name
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a[i], b[i], err_msg=f.name)
