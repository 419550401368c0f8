"""What becomes of single ticks, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forecast.models.freq import Freq
from forecast.models.records import ExogTerm
from pipelines.errors import SettingsError
from pipelines.log.records import Partition, make_batch
from pipelines.stream.engine import Engine
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import serve
from pipelines.stream.topics import Topics, topics_for
from pipelines.wire import decode_forecast
from tests.pipelines.stream.streams import (
    batch_of,
    blocks_by_topic,
    check_counts,
    message,
    outcomes,
    raw_batch,
)
from tests.strategies import make_records

AR1 = {"phi": [0.5], "const": 1.0, "levels": [2.0], "sigma2": 4.0}


def engine_of(records=None, version="a" * 64, **options):
    engine = Engine(
        serve(make_records(3, **AR1) if records is None else records, version=version),
        StreamOptions(**options),
    )
    engine.open(0)
    return engine


def run(engine, *ticks):
    """Outcomes of ticks (id, ts, value[, exog]) with offsets from 0, and counts."""
    whole = [(*tick, {}, i) if len(tick) == 3 else (*tick, i) for i, tick in enumerate(ticks)]
    output = engine.process(batch_of(whole))
    check_counts(output.counts)
    return outcomes(output, engine.topics), output.counts


def test_a_tick_by_hand():
    found, _ = run(engine_of(horizon=2, levels=()), ("s0", 100, 5.0))
    forecast = found[0][1]
    assert forecast["mean"] == [3.5, 2.75]  # 1 + 0.5 * 5, 1 + 0.5 * 3.5
    assert forecast["z"] == 1.5  # (5 - 2) / 2
    assert (forecast["ts_ms"], forecast["imputed"]) == (100, 0)


def test_the_bytes_of_a_message():
    output = engine_of(horizon=1, levels=()).process(batch_of([("s0", 100, 5.0, {}, 7)]))
    block = blocks_by_topic(output)["forecasts"]
    assert json.loads(block.value(0)) == {
        "series_id": "s0", "ts_ms": 100, "model": "model", "version": "a" * 64, "dt_ms": 1, "mean": [3.5],
        "level": [], "lo": [], "hi": [], "z": 1.5, "imputed": 0,
        "source": {"topic": "ticks", "partition": 0, "offset": 7}, "v": 1,
    }  # fmt: skip


def test_a_gap_is_imputed_and_widens_the_interval():
    found, counts = run(engine_of(horizon=1), ("s0", 100, 2.0), ("s0", 101, None), ("s0", 104, None))
    assert [found[i][1]["imputed"] for i in range(3)] == [0, 1, 4]
    assert [found[i][1]["z"] for i in (1, 2)] == [None, None]
    width = [found[i][1]["hi"][0][0] - found[i][1]["lo"][0][0] for i in range(3)]
    assert width[0] < width[1] < width[2]
    assert counts.imputed == 4


def test_late_and_dead_ticks_say_why():
    engine = engine_of()
    ticks = [("s0", 105, 1.0, {}, 3), ("s0", 101, 1.0, {}, 4)]
    output = engine.process(batch_of(ticks))
    block = blocks_by_topic(output)["ticks-late"]
    assert block.partition == Partition("ticks-late", 0)
    assert (block.key(0), block.value(0)) == (b"s0", message("s0", 101, 1.0))
    assert dict(block.headers[0]) == {
        "error": b"late", "detail": b"4 steps behind the newest, grace 0", "topic": b"ticks",
        "partition": b"0", "offset": b"4",
    }  # fmt: skip
    output = engine.process(raw_batch([(b"s0", b"not json"), (b"x", None)], first=5))
    block = blocks_by_topic(output)["ticks-dead"]
    assert [dict(headers)["error"] for headers in block.headers] == [b"malformed", b"empty"]
    assert [block.value(0), block.value(1)] == [b"not json", None]


def test_a_tick_off_the_grid_is_a_dead_letter():
    records = make_records(1, freq=Freq("10"), **AR1)
    found, counts = run(
        engine_of(records, tolerance=0.2), ("s0", 1003, 1.0), ("s0", 1001, 1.0), ("s0", 10**12, 1.0)
    )
    assert found[0] == ("off_grid",)
    assert found[1][1]["ts_ms"] == 1000
    assert counts.dead == 1


def test_a_tick_ahead_of_the_clock_of_the_log_is_a_dead_letter():
    records = make_records(1, freq=Freq("h"), **AR1)
    engine, hour = engine_of(records, lead_ms=1000), 3_600_000
    pairs = [(b"s0", message("s0", (100 + i) * hour, 1.0)) for i in range(2)]
    output = engine.process(make_batch(Partition("ticks", 0), [0, 1], [100 * hour] * 2, pairs, 2))
    assert outcomes(output, engine.topics)[1] == ("too_early",)


def test_a_forecast_that_is_not_finite_is_a_dead_letter_and_the_series_goes_on():
    records = make_records(1, phi=[0.5], levels=[0.0], scale=1e200)
    engine = engine_of(records, horizon=1)
    found, counts = run(engine, ("s0", 100, 1e308))
    assert found[0][0] == "forecast"  # beyond what the kernel writes, so it is written otherwise
    records = make_records(1, phi=[0.5], levels=[0.0], sigma2=1e300, scale=1e200)
    found, counts = run(engine_of(records, horizon=1), ("s0", 100, 1.0))
    assert found[0] == ("not_finite",)
    assert (counts.dead, counts.forecasts) == (1, 0)


def test_a_message_too_large_is_a_dead_letter():
    found, counts = run(engine_of(horizon=10_000, levels=tuple(range(50, 99, 6))), ("s0", 100, 1 / 3))
    assert found[0] == ("too_large",)
    assert counts.dead == 1


def test_an_id_that_json_writes_otherwise():
    name = 'a "b" \\ \u2603\n'
    engine = engine_of(make_records(1, ids=np.array([name], dtype=object), **AR1), horizon=1)
    output = engine.process(batch_of([(name, 100, 1.0, {}, 0), ("new", 100, 1.0, {}, 1)]))
    block = blocks_by_topic(output)["forecasts"]
    assert block.key(0) == name.encode()
    assert decode_forecast(block.value(0)).series_id == name


def test_a_series_without_level_is_served_as_an_unknown_one():
    records = make_records(1, **(AR1 | {"levels": [np.nan], "status": 18}))
    found, counts = run(
        engine_of(records, warm_up=2, horizon=1), *(("s0", 100 + i, float(i)) for i in range(4))
    )
    assert counts.warming == 2
    assert found[3][1]["model"] == "Naive"


def test_a_late_tick_within_the_grace_is_forecast_with_its_own_offset():
    engine = engine_of(horizon=1, levels=(), grace=2)
    found, counts = run(
        engine, ("s0", 100, 2.0), ("s0", 102, 4.0), ("s0", 101, 8.0), ("s0", 101, 9.0), ("s0", 99, 1.0)
    )
    assert found[2][1]["mean"] == found[1][1]["mean"] == [3.0]
    assert found[2][1]["z"] == -0.5  # (4 - 5) / 2
    assert found[2][1]["ts_ms"] == 102
    assert (found[3], found[4]) == (("late",), ("late",))
    assert (counts.patched, counts.forecasts, counts.late) == (1, 3, 2)


def test_a_null_is_patched_at_its_own_time():
    found, _ = run(engine_of(horizon=1, levels=(), grace=1), ("s0", 100, None), ("s0", 100, 5.0))
    assert found[1][1]["mean"] == [3.5]
    assert found[1][1]["imputed"] == 0


DRIVEN = AR1 | {"exog": (ExogTerm("x"),), "beta": [10.0]}


def test_regressors_known_ahead():
    engine = engine_of(make_records(1, **DRIVEN), horizon=2, levels=())
    found, counts = run(
        engine,
        ("s0", 100, 2.0, {"x": 0.0}),
        ("s0", 102, None, {"x": 1.0}),
        ("s0", 101, 2.0),
        ("s0", 102, 2.0),
    )
    assert found[0][1]["mean"] == [2.0, 2.0]
    assert found[2][1]["mean"] == [12.0, 17.0]  # 1 + 0.5 * 2 + 10, and persisting
    assert found[3][1]["z"] == -5.0  # (2 - 12) / 2
    assert counts.null_ahead == 1


def test_without_regressors_nothing_moves():
    engine = engine_of(make_records(1, **DRIVEN), horizon=1, levels=(), exog="require", exog_ahead=3)
    ticks = [
        ("s0", 100, 2.0),
        ("s0", 100, 2.0, {"x": 1.0}),
        ("s0", 102, None, {"x": 1.0}),
        ("s0", 101, 2.0, {"x": 1.0}),
    ]
    found, _ = run(engine, *ticks)
    assert [found[i][0] for i in (0, 1, 3)] == ["missing_exog", "missing_future", "forecast"]
    found, _ = run(
        engine_of(make_records(1, **DRIVEN), horizon=1), ("s0", 100, 2.0), ("s0", 200, None, {"x": 1.0})
    )
    assert [found[i][0] for i in (0, 1)] == ["missing_exog", "too_far_ahead"]


def test_a_day_of_the_wall_clock():
    # 2024-03-31 in Berlin has 23 hours.
    berlin = Freq("D", "Europe/Berlin")
    start = int(np.datetime64("2024-03-20", "ns").astype(np.int64))
    records = make_records(1, freq=berlin, **(AR1 | {"start": start, "nobs": 10}))
    ticks = [
        int(np.datetime64(t, "ms").astype(np.int64))
        for t in ("2024-03-29T23", "2024-03-30T23", "2024-03-31T22")
    ]
    found, counts = run(engine_of(records, horizon=1, tolerance=0.01), *(("s0", ts, 1.0) for ts in ticks))
    assert [found[i][1]["ts_ms"] for i in range(3)] == ticks
    assert counts.imputed == 0


@pytest.mark.parametrize(
    "wrong",
    [{"horizon": 0}, {"levels": (95, 80)}, {"levels": (100,)}, {"tolerance": 0.0}, {"tolerance": 0.6},
     {"grace": -1}, {"warm_up": 17}, {"window": 1}, {"gap_cap": -1}, {"lead_ms": -1}, {"horizon": 1.5},
     {"exog_ahead": 0}],
)  # fmt: skip
def test_options_out_of_range(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        StreamOptions(**wrong)


def test_names_of_topics():
    assert topics_for("ticks", "forecasts") == Topics()


def test_a_dead_letter_that_no_topic_would_take_is_cut_and_says_so():
    from pipelines.log.kafka.outbox import pieces

    records = [(b"s0", b"{" + b"x" * 2_000_000), (b"k" * 1_000_000, b""), (None, None), (b"s0", b"{}")]
    block = blocks_by_topic(engine_of().process(raw_batch(records)))["ticks-dead"]
    assert sum(len(piece.keys) for piece in pieces(block)) == 4
    assert [dict(headers).get("cut") for headers in block.headers] == [b"2 2000001", b"1000000 0", None, None]
    assert block.value(0) == b"{" + b"x" * (len(block.value(0)) - 1)
    assert (block.key(2), block.value(2), block.value(3)) == (None, None, b"{}")
