"""Faults of a feed, against one value at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.monitor.feed import CONSTANT, SILENT, Feed, active
from pipelines.monitor.rows import NEVER, Rows
from tests.oracles import monitor as oracle


def rows_of(n):
    rows = Rows()
    text = "".join(f"{i:03d}" for i in range(n)).encode() or b"0"
    at = 3 * np.arange(n, dtype=np.int64)
    rows.number(np.frombuffer(text, dtype=np.uint8), at, at + 3)
    return rows


TICKS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, 1.0, 1.0, np.nan])), min_size=1, max_size=60
)


@given(batches=st.lists(TICKS, min_size=1, max_size=4), constant=st.integers(2, 5))
def test_runs_are_those_of_one_value_at_a_time(batches, constant):
    rows, feed, slow, at = rows_of(3), Feed(constant, 0), oracle.ConstantFeed(constant), 0
    for batch in batches:
        row, y = (np.array(column) for column in zip(*batch, strict=True))
        ts_ms = 1000 * (at + np.arange(len(batch)))
        at += len(batch)
        got = [(f.row, f.ts_ms, int(f.statistic)) for f in feed.look(rows, row, ts_ms, y.astype(np.float64))]
        ticks = zip(row.tolist(), ts_ms.tolist(), y.tolist(), strict=True)
        want = [(one[0], *run) for one in ticks if (run := slow.take(*one)) is not None]
        assert sorted(got) == sorted(want)
        for series, (value, run, start) in slow.runs.items():
            assert (rows.value[series], rows.run[series], rows.run_ts[series]) == (value, run, start)


def test_a_run_is_told_once_and_again_after_it_was_over():
    rows, feed = rows_of(1), Feed(3, 0)
    told = []
    for ts, y in enumerate([5.0] * 8 + [6.0] + [5.0] * 3):
        told += feed.look(rows, np.array([0]), np.array([ts]), np.array([y]))
    assert [(fault.detector, fault.ts_ms) for fault in told] == [(CONSTANT, 0), (CONSTANT, 9)]
    assert feed.healed == 1


def test_infinite_values_and_gaps_are_no_values():
    rows, feed = rows_of(1), Feed(3, 0)
    y = np.array([1.0, np.nan, 1.0, np.inf, 1.0])
    (fault,) = feed.look(rows, np.zeros(5, dtype=np.int64), np.arange(5), y)
    assert fault.statistic == 3


class Clock:
    """Series that are heard of, in turn."""

    def __init__(self, n):
        self.rows, self.messages = rows_of(n), 0

    def hear(self, row, ts_ms):
        self.messages += 1
        self.rows.mark[row], self.rows.alive_ts[row] = self.messages, ts_ms


def test_a_series_that_stays_away_is_silent_once_until_it_is_back():
    clock, feed = Clock(3), Feed(0, 4)
    told = []
    for step in range(20):
        for row in (0, 1, 2):
            if not (row == 2 and 5 <= step < 15):
                clock.hear(row, step)
        told += [(step, *fault[:3]) for fault in feed.listen(clock.rows, clock.messages, 1)]
    assert told == [(8, 2, SILENT, 4)]
    assert feed.healed == 1


def test_one_clock_far_ahead_makes_nobody_silent():
    clock, feed = Clock(3), Feed(0, 4)
    for step in range(10):
        for row in (0, 1, 2):
            clock.hear(row, 10**9 if (step, row) == (3, 0) else step)
        assert feed.listen(clock.rows, clock.messages, 1) == []


def test_a_burst_of_one_series_makes_nobody_silent():
    clock, feed = Clock(50), Feed(0, 4)
    for row in range(50):
        clock.hear(row, 0)
    for step in range(1, 40):
        clock.hear(0, step)
    assert feed.listen(clock.rows, clock.messages, 1) == []


def test_who_was_never_heard_is_not_active_and_not_silent():
    clock = Clock(3)
    clock.hear(0, 7)
    assert active(clock.rows, clock.messages).tolist() == [0]
    assert clock.rows.alive_ts[1] == NEVER
    assert Feed(0, 1).listen(clock.rows, clock.messages, 1) == []


@pytest.mark.parametrize("n", [0, 1])
def test_a_series_alone_is_never_silent(n):
    assert Feed(0, 1).listen(rows_of(n), 100, 1) == []
