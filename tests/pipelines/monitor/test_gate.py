"""Drift of series, or a fault of the feed."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import StreamError
from pipelines.monitor.gate import FLEET, Alarm, Gate, Held, crowds
from tests.oracles import monitor as oracle


def alarm(series, ts_ms=0, detector="mean", **given):
    return Alarm(series, given.pop("version", "v"), "AR", detector, ts_ms, 10, 9.0, 8.0)


def held(*alarms, now_s=0.0):
    found = Held()
    found.take(list(alarms), now_s)
    return found


GATE = Gate(share=0.2, steps=3, hold_s=5.0)


@given(
    seen=st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abcdefgh")), max_size=30),
    length=st.integers(0, 20),
    need=st.integers(2, 5),
)
def test_crowds_cover_what_every_window_by_itself_covers(seen, length, need):
    found = crowds(sorted((ts, 0, series) for ts, series in seen), length, need)
    got = {one for one in seen if any(first <= one[0] <= last for first, last, _ in found)}
    assert got == oracle.crowds(seen, length, need)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))


def test_an_alarm_waits_for_its_window_and_then_goes():
    one = held(alarm("a", 100))
    assert GATE.judge({0: one}, 100, {0: 130}, 1.0).real == {}
    assert GATE.judge({0: one}, 100, {0: 131}, 1.0).real == {0: [alarm("a", 100)]}
    assert one.waiting == []
    assert one.recent == [(100, "a")]
    one.take([alarm("b", 200)], 1.0)
    GATE.judge({0: one}, 100, {0: 300}, 1.0)
    assert one.recent == []


def test_an_alarm_waits_no_longer_than_it_may():
    one = held(alarm("a", 100))
    assert GATE.judge({0: one}, 100, {0: 100}, 4.9).real == {}
    assert GATE.judge({0: one}, 100, {0: 100}, 5.0).real == {0: [alarm("a", 100)]}


def test_at_the_end_nothing_waits():
    assert GATE.judge({0: held(alarm("a", 100))}, 100, {}, 0.0, all_=True).real == {0: [alarm("a", 100)]}


def test_many_together_are_one_fault_of_the_feed_over_partitions():
    some = {
        0: held(*(alarm(f"a{i}", 100) for i in range(10))),
        1: held(*(alarm(f"b{i}", 120) for i in range(10))),
    }
    verdict = GATE.judge(some, 100, {0: 999, 1: 999}, 99.0)
    assert verdict.real == {}
    assert sorted(map(len, verdict.faults.values())) == [10, 10]
    ((whole,),) = verdict.fleet.values()
    assert (whole.series, whole.detector, whole.ts_ms, whole.statistic, whole.threshold) == (
        "",
        FLEET,
        100,
        0.2,
        0.2,
    )


def test_one_fewer_is_drift():
    some = {0: held(*(alarm(f"a{i}", 100) for i in range(19)))}
    verdict = GATE.judge(some, 100, {0: 999}, 0.0)
    assert len(verdict.real[0]) == 19
    assert not verdict.faults
    assert not verdict.fleet


def test_two_series_are_no_fleet_and_one_series_twice_is_one():
    verdict = GATE.judge({0: held(alarm("a"), alarm("b"), alarm("a", detector="slow"))}, 2, {0: 999}, 0.0)
    assert len(verdict.real[0]) == 3


def test_those_who_alarm_later_in_the_window_belong_to_the_same_fault():
    one = held(*(alarm(f"a{i}", 100) for i in range(20)))
    GATE.judge({0: one}, 100, {0: 100}, 0.0)
    one.take([alarm("z", 125)], 1.0)
    verdict = GATE.judge({0: one}, 100, {0: 999}, 1.0)
    assert verdict.faults == {0: [alarm("z", 125)]}
    assert not verdict.fleet
    assert not verdict.real


def test_those_told_just_before_count_for_the_share():
    one = held(*(alarm(f"a{i}", 100) for i in range(19)))
    GATE.judge({0: one}, 100, {0: 100}, 5.0)
    one.take([alarm("z", 125)], 6.0)
    verdict = GATE.judge({0: one}, 100, {0: 126}, 6.0)
    assert verdict.faults == {0: [alarm("z", 125)]}
    assert len(verdict.fleet[0]) == 1


def test_a_later_fault_is_told_again_and_one_of_a_clock_gone_wrong_hides_none():
    one = held(*(alarm(f"a{i}", 10**9) for i in range(20)))
    assert len(GATE.judge({0: one}, 100, {0: 100}, 0.0).fleet[0]) == 1
    one.take([alarm(f"a{i}", 500) for i in range(20)], 1.0)
    assert len(GATE.judge({0: one}, 100, {0: 500}, 1.0).fleet[0]) == 1


def test_what_waits_survives_as_json():
    one = held(alarm("a", 1), alarm("b", 2))
    one.recent, one.closed = [(3, "c")], (4, 5)
    again = Held.of(json.loads(json.dumps(one.to_json())), 7.0)
    assert again.waiting == [(alarm("a", 1), 7.0), (alarm("b", 2), 7.0)]
    assert (again.recent, again.closed) == ([(3, "c")], (4, 5))


def test_a_snapshot_with_something_else_is_refused():
    with pytest.raises(StreamError, match="no alarm"):
        Held.of({"waiting": [{"series": "a"}], "recent": [], "closed": None}, 0.0)


def test_keys_are_equal_for_repeats_only_and_never_too_long():
    assert alarm("a").key("f") == alarm("a").key("f")
    others = [alarm("b"), alarm("a", 1), alarm("a", detector="slow"), alarm("a", version="w")]
    assert len({one.key("f") for one in [alarm("a"), *others]} | {alarm("a").key("g")}) == 6
    assert len(alarm("a" * 256).key("f")) == 64
    assert alarm("a" * 256).key("f") != alarm("b" * 256).key("f")


def test_what_is_long_past_is_forgotten():
    one = held()
    one.recent = [(100, "a"), (200, "b")]
    one.forget(150)
    assert one.recent == [(200, "b")]
