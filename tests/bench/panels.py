"""Series and long frames for the benchmarks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.signal import lfilter


def ar_paths(n, t):
    """Stationary AR(4) paths about different levels, (n, t)."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(n, t + 200))
    return lfilter([1.0], [1.0, -0.6, 0.2, 0.0, 0.1], noise)[:, 200:] + rng.normal(size=(n, 1))


def long_frame(n, t, dtype="str", y=None):
    """`n` monthly series of `t` points, noise or `y` (n, t); ids "series_0000012"."""
    names = pd.Series([f"series_{i:07d}" for i in range(n)], dtype=dtype)
    ids = names.iloc[np.repeat(np.arange(n), t)].reset_index(drop=True)
    months = pd.date_range("1920-01-01", periods=t, freq="MS").to_numpy()
    values = np.random.default_rng(0).normal(size=n * t) if y is None else y.ravel()
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(months, n), "y": values})
