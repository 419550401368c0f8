"""Small manifests and frames for tests of the store."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from forecast.models.freq import Freq
from forecast.models.manifest import Chunk, Manifest, ModelEntry


def manifest(seed=0, aliases=("AutoAR",), parent=None, freq="h", tz=None, n_chunks=2):
    entries = tuple(
        ModelEntry(
            alias,
            {"name": alias, "seed": seed},
            tuple(
                Chunk(hashlib.sha256(f"{seed} {alias} {i}".encode()).hexdigest(), 1000 + i, 10 * i, 10)
                for i in range(n_chunks)
            ),
        )
        for alias in aliases
    )
    return Manifest(
        "tests 1", entries, Freq(freq, tz), {"y": "float64"}, 10 * n_chunks, parent, 1_700_000_000_000
    )


def predictions(
    ids=("a", "b"), h=3, levels=("80", "95"), alias="AutoAR", start="2024-01-01", freq="h", tz=None
):
    """What `Fitted.predict` returns."""
    n = len(ids) * h
    mean = np.arange(n, dtype=np.float64)
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(ids), h),
            "ds": np.tile(pd.date_range(start, periods=h, freq=freq), len(ids)),
            alias: mean,
        }
    )
    if tz is not None:
        frame["ds"] = np.tile(pd.date_range(start, periods=h, freq=freq, tz=tz).astype(object), len(ids))
        frame["ds"] = pd.DatetimeIndex(frame["ds"])
    for text in levels:
        frame[f"{alias}-lo-{text}"] = mean - float(text)
        frame[f"{alias}-hi-{text}"] = mean + float(text)
    return frame
