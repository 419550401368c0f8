"""Batches for the engine, and what comes out of it as plain values."""

from __future__ import annotations

import json

import numpy as np

from forecast.models.records import ExogTerm, Transform
from pipelines.log.records import Partition, make_batch
from pipelines.wire import Tick, decode_forecast, encode_tick
from tests.strategies import make_records

TICKS = Partition("ticks", 0)


def message(name, ts, value, exog=None):
    return encode_tick(Tick(series_id=name, ts_ms=ts, value=value, exog=exog or {}, v=1))


def batch_of(ticks, partition=TICKS):
    """Ticks (id, ts, value, exog, offset) as they are read."""
    pairs = [(name.encode(), message(name, ts, value, exog)) for name, ts, value, exog, _ in ticks]
    offsets = [offset for *_, offset in ticks]
    return make_batch(partition, offsets, [0] * len(ticks), pairs, (offsets or [-1])[-1] + 1)


def raw_batch(pairs, first=0, partition=TICKS):
    offsets = list(range(first, first + len(pairs)))
    return make_batch(partition, offsets, [0] * len(pairs), pairs, first + len(pairs))


def as_read(block, first=0):
    """A block as it is read again."""
    n = len(block.values)
    return make_batch(
        block.partition, range(first, first + n), [0] * n, [(block.key(i), block.value(i)) for i in range(n)],
        first + n,
    )  # fmt: skip


def blocks_by_topic(output):
    return {block.partition.topic: block for block in output.blocks}


def outcomes(output, topics):
    """{offset: ("forecast", {...}) or (reason,)} of what was written."""
    found, blocks = {}, blocks_by_topic(output)
    block = blocks.get(topics.forecasts)
    for i in range(0 if block is None else len(block.values)):
        forecast = decode_forecast(block.value(i))
        assert block.key(i) == forecast.series_id.encode()
        assert forecast.source.offset not in found
        found[forecast.source.offset] = (
            "forecast",
            {
                "model": forecast.model, "ts_ms": forecast.ts_ms, "mean": forecast.mean, "lo": forecast.lo,
                "hi": forecast.hi, "z": forecast.z, "imputed": forecast.imputed,
                "offset": forecast.source.offset,
            },
        )  # fmt: skip
    for topic in (topics.late, topics.dead):
        block = blocks.get(topic)
        for headers in () if block is None else block.headers:
            read = dict(headers)
            assert int(read["offset"]) not in found
            found[int(read["offset"])] = (read["error"].decode(),)
    return found


def check_counts(counts):
    kinds = ("forecasts", "duplicate", "late", "dead", "warming", "replayed", "null_ahead")
    assert counts.ticks == sum(getattr(counts, kind) for kind in kinds)


def assert_same(got, want):
    assert got[0] == want[0]
    if want[0] != "forecast":
        return
    for key, value in want[1].items():
        if key in ("mean", "lo", "hi"):
            np.testing.assert_allclose(got[1][key], value, rtol=5.1e-7, atol=1e-9)
        elif key == "z" and value is not None:
            assert got[1]["z"] is not None
            np.testing.assert_allclose(got[1]["z"], value, rtol=5.1e-7, atol=1e-9)
        else:
            assert got[1][key] == value, (key, json.dumps(got[1]), json.dumps(want[1]))


AR = {"phi": [0.5, 0.2], "const": 1.0, "levels": [1.0, 2.0], "start": 1000}
OTHER_AR = {"phi": [0.3, -0.1], "const": 0.5, "levels": [0.5, 1.0], "start": 1000, "nobs": 104}
FLEETS = {
    "ar": (AR, OTHER_AR),
    "arma": (
        {"phi": [0.5], "theta": [0.4], "d": 1, "levels": [1.5, 1.0], "innovations": [0.3], "start": 1000},
        AR,
    ),
    "log": ({"phi": [0.6], "const": 0.1, "transform": Transform.LOG, "levels": [0.2], "start": 1000}, AR),
    "driven": (
        {"phi": [0.6], "beta": [2.0, -1.0], "exog": (ExogTerm("a"), ExogTerm("b", 2)), "levels": [1.0],
         "exog_tail": np.full((3, 1, 2), 0.5), "start": 1000},
        {"phi": [0.2], "beta": [1.0], "exog": (ExogTerm("b"),), "levels": [1.0], "start": 1000, "nobs": 103},
    ),
}  # fmt: skip


def fleet(name, which=0, step=1, n=3):
    from forecast.models.freq import Freq

    fields = FLEETS[name][which]
    return make_records(n, freq=Freq(str(step)), sigma2=0.5, **fields)
