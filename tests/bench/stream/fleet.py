"""The model and the ticks of the benchmarks of the stream: many series of AR(8), an hour apart.

Runs in the rivals' environment too, but for `make_model`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

ORDER = 8
HORIZON = 24
LEVEL = 95
HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01
HISTORY = 200
# Series that are fitted; all others have the parameters of one of these.
FITTED = 64
PHI = np.array([0.5, 0.1, 0.05, 0.1, -0.1, 0.05, 0.05, 0.1])
MEAN = 20.0


def name_of(i):
    return f"series-{i:07d}"


def simulated(n_series, length, seed=0):
    """(n_series, length) values of a stationary AR(8) around a mean."""
    rng = np.random.default_rng(seed)
    burn = 100
    y = np.zeros((n_series, burn + length))
    noise = rng.normal(size=y.shape)
    for t in range(ORDER, y.shape[1]):
        y[:, t] = y[:, t - ORDER : t][:, ::-1] @ PHI + noise[:, t]
    return MEAN + y[:, burn:]


def make_model(folder, n_series):
    """Save a model version of so many series; ticks go on behind its history."""
    import pandas as pd

    import forecast as fc
    from forecast.models.assemble import take
    from forecast.models.version import StoredModel, save

    history = simulated(FITTED, HISTORY)
    times = pd.date_range("2024-01-01", periods=HISTORY, freq="h")
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([name_of(i) for i in range(FITTED)], HISTORY),
            "ds": np.tile(times, FITTED),
            "y": history.ravel(),
        }
    )
    fitted = fc.fit(frame, model=fc.AR(lags=ORDER), freq="h")
    many = take(fitted.records[0], np.arange(n_series) % FITTED)
    ids = np.array([name_of(i) for i in range(n_series)], dtype=object)
    stored = StoredModel("AR", {"name": "AR", "arguments": {"lags": ORDER}}, replace(many, ids=ids))
    save(folder, [stored], schema=fitted.schema.to_json(), created_by="benchmark")


def partition_of(series, partitions):
    """(n,) of series by number."""
    return series % partitions


def ticks(first, count, n_series, seed=1):
    """Keys and values of ticks `first` to `first + count` of a stream that goes round all series.

    A series has one tick an hour, so none is late and none is missing.
    """
    numbers = np.arange(first, first + count)
    series, rounds = numbers % n_series, numbers // n_series
    times = START_MS + HOUR_MS * (HISTORY + rounds)
    # Seven digits, as a meter has; the sequence is the same wherever it is cut.
    noise = np.random.default_rng(seed).normal(MEAN, 2.0, size=1 << 16)
    values = np.round(noise[numbers % len(noise)], 5)
    rows = zip(series.tolist(), times.tolist(), values.tolist(), strict=True)
    text = b'{"series_id":"series-%07d","ts_ms":%d,"value":%s,"v":1}'
    return series, [(b"series-%07d" % i, text % (i, t, repr(y).encode())) for i, t, y in rows]
