"""Forecasts as an application reads them."""

import subprocess
import sys
import threading

import msgspec
import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from pipelines import wire
from pipelines.consumer import ForecastStream
from pipelines.errors import LogError, Reason, WireError
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition
from tests.pipelines.memory_log import MemoryLog

HOUR = 3_600_000


def forecast(series_id="a", ts_ms=0, offset=0, partition=0, h=2, **changes):
    mean = [offset + k / 10 for k in range(h)]
    made = wire.Forecast(
        series_id=series_id, ts_ms=ts_ms, model="AutoAR", version="v" * 8, dt_ms=HOUR, mean=mean,
        level=[80.0, 97.5], lo=[[m - 1 for m in mean], [m - 2 for m in mean]],
        hi=[[m + 1 for m in mean], [m + 2 for m in mean]], z=0.5, imputed=0,
        source=wire.Source(topic="ticks", partition=partition, offset=offset), v=1,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def log():
    log = MemoryLog()
    log.make_topics([Topic("forecasts", 2)])
    return log


def put(log, number, *forecasts):
    pairs = [(f.series_id.encode(), wire.encode_forecast(f)) for f in forecasts]
    log.append("forecasts", number, *pairs)


def test_iterates_over_all_partitions_and_ends_where_the_topic_ended(log):
    put(log, 0, *(forecast("a", k * HOUR, k) for k in range(3)))
    put(log, 1, forecast("b", 0, 0, 1))
    with ForecastStream(log, follow=False) as stream:
        got = list(stream)
        assert [(f.series_id, f.ts_ms) for f in got] == [("a", 0), ("a", HOUR), ("a", 2 * HOUR), ("b", 0)]
        assert stream.positions == {0: 3, 1: 1}
        assert stream.counts.read == stream.counts.forecasts == 4


def test_positions_resume_where_an_iteration_was_left(log):
    put(log, 0, *(forecast("a", k * HOUR, k) for k in range(5)))
    stream = ForecastStream(log, follow=False)
    for f in stream:
        if f.source.offset == 1:
            break
    assert stream.positions == {0: 2, 1: 0}
    assert [f.source.offset for f in ForecastStream(log, follow=False, start=stream.positions)] == [2, 3, 4]
    assert [f.source.offset for f in stream] == [2, 3, 4]  # nothing that was polled is lost


def test_end_means_what_comes_next(log):
    put(log, 0, forecast())
    stream = ForecastStream(log, start="end")
    assert stream.poll(0.0) is None
    put(log, 0, forecast(ts_ms=HOUR, offset=1))
    assert stream.poll(0.0).source.offset == 1


def test_repeats_are_dropped_within_the_window_and_corrections_are_not(log):
    put(log, 0, forecast(), forecast(), forecast(offset=9), forecast(version="w" * 8), forecast())
    stream = ForecastStream(log, follow=False)
    assert [(f.source.offset, f.version[0]) for f in stream] == [(0, "v"), (9, "v"), (0, "w")]
    assert stream.counts.duplicates == 2
    assert len(list(ForecastStream(log, follow=False, recent=1))) == 4
    assert len(list(ForecastStream(log, follow=False, recent=0))) == 5


def test_bad_messages_are_counted_or_raised(log, caplog):
    log.append("forecasts", 0, (b"a", b"{"), (b"a", None), (b"a", b"["))
    put(log, 0, forecast())
    stream = ForecastStream(log, follow=False)
    with caplog.at_level("WARNING", "forecast"):
        assert len(list(stream)) == 1
    assert stream.counts.bad == {Reason.MALFORMED: 2, Reason.EMPTY: 1}
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == [
        "forecasts/0@0",
        "forecasts/0@1",
    ]
    strict = iter(ForecastStream(log, follow=False, strict=True))
    with pytest.raises(WireError, match="malformed"):
        next(strict)


def test_some_series_only(log):
    put(log, 0, forecast("a"), forecast("b", offset=1))
    stream = ForecastStream(log, follow=False, series=["b"])
    assert [f.series_id for f in stream] == ["b"]
    assert stream.counts.others == 1


def test_batches_are_columns_of_one_shape(log):
    put(
        log, 0, forecast(), forecast(offset=1, z=None, imputed=2), forecast(offset=2, h=3), forecast(offset=3)
    )
    stream = ForecastStream(log, follow=False)
    first = next(it := stream.batches())
    assert (len(first), stream.positions[0]) == (2, 2)
    assert first.mean.tolist() == [[0, 0.1], [1, 1.1]]
    np.testing.assert_array_equal(first.level, [80, 97.5])
    np.testing.assert_allclose(first.lo[1], first.mean - 2)
    np.testing.assert_allclose(first.hi[0], first.mean + 1)
    assert np.isnan(first.z).tolist() == [False, True]
    assert first.imputed.tolist() == [0, 2]
    assert first.source_offset.tolist() == [0, 1]
    assert [(len(b), b.mean.shape) for b in it] == [(1, (1, 3)), (1, (1, 2))]
    assert [len(b) for b in ForecastStream(log, follow=False).batches(most=1)] == [1, 1, 1, 1]


def test_forecasts_without_levels_have_none(log):
    put(log, 0, forecast(level=[], lo=[], hi=[]))
    (batch,) = ForecastStream(log, follow=False).batches()
    assert batch.lo.shape == batch.hi.shape == (0, 1, 2)
    assert list(batch.to_pandas().columns) == ["unique_id", "ds", "cutoff", "AutoAR"]


def test_a_frame_is_named_as_those_of_the_library(log):
    put(log, 0, forecast("a", 10 * HOUR, 1), forecast("b", 11 * HOUR, 2, model="Naive"))
    frame = ForecastStream(log, follow=False).to_pandas()
    assert list(frame.columns) == [
        "unique_id", "ds", "cutoff", "AutoAR", "AutoAR-lo-80", "AutoAR-hi-80", "AutoAR-lo-97.5",
        "AutoAR-hi-97.5", "Naive", "Naive-lo-80", "Naive-hi-80", "Naive-lo-97.5", "Naive-hi-97.5",
    ]  # fmt: skip
    assert frame["unique_id"].tolist() == ["a", "a", "b", "b"]
    assert frame["ds"].tolist() == list(pd.to_datetime(["1970-01-01T11", "1970-01-01T12"] * 1)) + list(
        pd.to_datetime(["1970-01-01T12", "1970-01-01T13"])
    )
    assert frame["cutoff"].iloc[2] == pd.Timestamp("1970-01-01T11")
    assert frame["AutoAR"].tolist()[:2] == [1.0, 1.1]
    assert frame["AutoAR"].isna().tolist() == [False, False, True, True]


def test_months_wall_clocks_and_ints_follow_the_frequency(log):
    january = pd.Timestamp("2026-01-01").value // 10**6
    put(log, 0, forecast("a", january, 1, dt_ms=31 * 24 * HOUR))
    months = ForecastStream(log, follow=False).to_pandas(freq="MS")
    assert months["ds"].tolist() == list(pd.to_datetime(["2026-02-01", "2026-03-01"]))
    assert months["cutoff"].iloc[0] == pd.Timestamp("2026-01-01")
    log.topics["forecasts"][0].clear()
    change = pd.Timestamp("2026-03-28", tz="Europe/Berlin")  # the clocks change on the 29th
    put(log, 0, forecast("a", change.value // 10**6, 1, dt_ms=24 * HOUR))
    days = ForecastStream(log, follow=False).to_pandas(freq="D", tz="Europe/Berlin")
    assert days["ds"].tolist() == [pd.Timestamp(f"2026-03-{d}", tz="Europe/Berlin") for d in (29, 30)]
    log.topics["forecasts"][0].clear()
    put(log, 0, forecast("a", 1700, 1, dt_ms=1))
    assert ForecastStream(log, follow=False).to_pandas(freq=1)["ds"].tolist() == [1701, 1702]


def test_an_empty_topic_gives_an_empty_frame(log):
    frame = ForecastStream(log, follow=False).to_pandas()
    assert len(frame) == 0
    assert "unique_id" in frame
    with pytest.raises(InputError, match="has no end"):
        ForecastStream(log).to_pandas()


def test_positions_no_longer_kept_move_up_and_those_beyond_the_end_are_an_error(log, caplog):
    put(log, 0, *(forecast("a", k * HOUR, k) for k in range(5)))
    log.first[Partition("forecasts", 0)] = 3
    with caplog.at_level("WARNING", "forecast"):
        got = list(ForecastStream(log, follow=False, start={0: 1}))
    assert [f.source.offset for f in got] == [3, 4]
    assert "2 records of forecasts/0 are no longer kept" in caplog.text
    with pytest.raises(LogError, match="beyond its end, 5"):
        ForecastStream(log, start={0: 6})


def test_a_group_keeps_positions(log):
    put(log, 0, *(forecast("a", k * HOUR, k) for k in range(4)))
    stream = ForecastStream(log, group="g", instance="one")
    assert [stream.poll(0).source.offset for _ in range(2)] == [0, 1]
    stream.commit()
    again = ForecastStream(log, group="g", instance="one")
    assert again.poll(0).source.offset == 2
    fresh = ForecastStream(log, group="other", instance="one", start="end")
    assert fresh.poll(0) is None


def test_partitions_that_another_member_took_are_forgotten(log):
    put(log, 0, *(forecast("a", k * HOUR, k) for k in range(4)))
    stream = ForecastStream(log, group="g", instance="one")
    assert stream.poll(0).series_id == "a"
    put(log, 1, forecast("b", partition=1))
    stream._source._member.lose(Partition("forecasts", 0))
    assert [stream.poll(0).series_id, stream.poll(0)] == ["b", None]
    assert stream.positions == {1: 1}


@pytest.mark.parametrize(
    "given", [{"group": "g"}, {"group": "g", "instance": "i", "follow": False}, {"recent": -1}]
)
def test_arguments_that_do_not_go_together_are_refused(log, given):
    with pytest.raises(InputError):
        ForecastStream(log, **given)


def test_no_group_no_commit_and_a_group_has_its_own_positions(log):
    with pytest.raises(LogError, match="no group"):
        ForecastStream(log).commit()
    with pytest.raises(LogError, match="its own positions"):
        ForecastStream(log, group="g", instance="i", start={0: 1})
    with pytest.raises(LogError, match="no topic"):
        ForecastStream(log, "nothing")


def test_stop_ends_an_iteration_from_another_thread(log):
    stream = ForecastStream(log)
    threading.Timer(0.1, stream.stop).start()
    assert list(stream) == []


def test_the_sdk_needs_no_pandas():
    heavy = "('pandas', 'kafka', 'mlflow')"
    code = f"import sys, pipelines.consumer; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
