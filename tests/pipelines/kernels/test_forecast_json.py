import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.forecast_json import Rows, Texts, put_forecasts, room_for
from pipelines.wire import Forecast, Source, encode_forecast


def as_bytes(text):
    return np.frombuffer(text, dtype=np.uint8).copy()


def texts_of(ids, model, version, level, topic, partition):
    quoted = [msgspec.json.encode(name) for name in ids]
    source = b',"source":{"topic":' + msgspec.json.encode(topic) + b',"partition":%d,"offset":' % partition
    model_part = b',"model":' + msgspec.json.encode(model) + b',"version":' + msgspec.json.encode(version)
    return Texts(
        as_bytes(b"".join(quoted)),
        np.cumsum([0, *map(len, quoted)]),
        as_bytes(model_part + b',"dt_ms":'),
        as_bytes(b'],"level":' + msgspec.json.encode(level) + b',"lo":['),
        as_bytes(source),
    )


def encoded(texts, rows):
    out = np.zeros(room_for(texts, rows.slots, rows.mean.shape[1], len(rows.lo)), dtype=np.uint8)
    ends = np.zeros(len(rows.slots), dtype=np.int64)
    put_forecasts(texts, rows, out, ends)
    starts = np.concatenate([[0], ends[:-1]])
    return [out[a:b].tobytes() for a, b in zip(starts, ends, strict=True)]


def rows_of(n, horizon, n_levels, rng, scale=1.0):
    mean = rng.normal(size=(n, horizon)) * scale
    spread = np.abs(rng.normal(size=(n_levels, n, horizon))) * scale
    z = rng.normal(size=n)
    z[rng.random(n) < 0.3] = np.nan
    return Rows(
        rng.integers(0, 3, n), rng.integers(-(10**12), 10**13 // 2, n), rng.integers(1, 10**9, n), mean,
        mean - spread, mean + spread, z, rng.integers(0, 50, n), rng.integers(0, 2**62, n),
    )  # fmt: skip


def oracle(ids, rows, i, level):
    z = rows.z[i]
    return encode_forecast(
        Forecast(
            series_id=ids[rows.slots[i]], ts_ms=int(rows.ts_ms[i]), model="AR(8)", version="v" * 64,
            dt_ms=int(rows.dt_ms[i]), mean=rows.mean[i].tolist(), level=level,
            lo=rows.lo[:, i].tolist(), hi=rows.hi[:, i].tolist(),
            z=None if math.isnan(z) else float(f"{z:.7g}"), imputed=int(rows.imputed[i]),
            source=Source(topic="ticks", partition=3, offset=int(rows.offsets[i])), v=1,
        ),
        digits=7,
    )  # fmt: skip


IDS = ["a", 'quote " and \\ and \u2603', "x" * 256]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([[], [95.0], [50.0, 80.0, 99.9]]),
       st.sampled_from([1e-9, 1e-3, 1.0, 1e7, 1e20]))  # fmt: skip
def test_it_writes_the_bytes_of_the_wire(seed, horizon, level, scale):
    rows = rows_of(4, horizon, len(level), np.random.default_rng(seed), scale)
    got = encoded(texts_of(IDS, "AR(8)", "v" * 64, level, "ticks", 3), rows)
    assert got == [oracle(IDS, rows, i, level) for i in range(4)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e-200, 1e200])
def test_a_row_it_cannot_write_is_left_to_the_caller(bad):
    rows = rows_of(3, 5, 1, np.random.default_rng(0))
    rows.hi[0, 1, 4] = bad
    got = encoded(texts_of(IDS, "AR(8)", "v" * 64, [95.0], "ticks", 3), rows)
    assert got[1] == b""
    assert [json.loads(text)["v"] for text in (got[0], got[2])] == [1, 1]
    assert got[2] == oracle(IDS, rows, 2, [95.0])
