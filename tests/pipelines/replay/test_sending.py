"""Ticks arrive whole, in order, each in the partition of its key."""

import threading

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from pipelines import wire
from pipelines.log.partitioning import partition_of
from pipelines.log.protocol import Topic
from pipelines.replay import Pace, replay, sending, tick_table
from tests.pipelines.memory_log import MemoryLog


@pytest.fixture
def table():
    ds = pd.date_range("2026-01-01", periods=100, freq="min")
    frames = [pd.DataFrame({"unique_id": f"s{i}", "ds": ds, "y": np.arange(100.0)}) for i in range(7)]
    whole = pd.concat(frames)
    whole.loc[whole["y"] == 5, "y"] = np.nan
    return tick_table(whole)


@pytest.fixture
def log():
    log = MemoryLog()
    log.make_topics([Topic("ticks", 3)])
    return log


def test_every_tick_is_sent_once_in_order(log, table):
    told = []
    sent = replay(log, "ticks", table, progress=told.append)
    assert (sent.ticks, sent.total, sent.missing, sent.series) == (700, 700, 7, 7)
    assert sum(told) == 700
    got = [[wire.decode_tick(value) for value in part] for part in log.values("ticks")]
    assert sent.partitions == tuple(map(len, got))
    for number, part in enumerate(got):
        times = [tick.ts_ms for tick in part]
        assert times == sorted(times)
        assert all(partition_of(tick.series_id.encode(), 3) == number for tick in part)
    assert log.topics["ticks"][0][0][0] == got[0][0].series_id.encode()


def test_blocks_are_cut_to_what_a_log_takes(log, table, monkeypatch):
    monkeypatch.setattr(sending, "_BLOCK_BYTES", 150)
    assert replay(log, "ticks", table).ticks == 700
    assert sum(map(len, log.values("ticks"))) == 700


def test_a_rate_is_kept(log, table):
    sent = replay(log, "ticks", table, Pace(rate=2000.0))
    assert 0.3 < sent.seconds < 3.0


def test_due_times_follow_the_clock_of_the_data():
    due = Pace(speed=60.0).due(np.array([1_000, 61_000, 121_000]))
    np.testing.assert_allclose(due, [0, 1, 2])
    assert Pace().due(np.arange(3)) is None


def test_stopping_flushes_and_counts(log, table):
    stopping = threading.Event()
    threading.Timer(0.2, stopping.set).start()
    sent = replay(log, "ticks", table, Pace(rate=100.0), stopping)
    assert 0 < sent.ticks < 100
    assert sum(map(len, log.values("ticks"))) == sent.ticks == sum(sent.partitions)


@pytest.mark.parametrize(
    "given", [{"speed": 0.0}, {"rate": -1.0}, {"rate": np.inf}, {"speed": 1.0, "rate": 1.0}]
)
def test_a_pace_that_cannot_be_is_refused(given):
    with pytest.raises(InputError, match=r"speed|rate"):
        Pace(**given)
