"""Records of state: what they hold, how long they are, and what is said of damaged ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import StreamError
from pipelines.log.records import Partition
from pipelines.stream.engine import Engine
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import serve
from tests.pipelines.stream.streams import as_read, batch_of, blocks_by_topic, fleet, raw_batch
from tests.strategies import make_records

STATE = Partition("forecasts-state", 0)
AR8 = {"phi": [0.3, 0.05, 0.1, 0.02, -0.05, 0.03, 0.1, 0.2], "const": 0.5, "levels": [1.0, 2.0] * 4}


def engine_of(records=None, options=None, version="a" * 64):
    engine = Engine(serve(fleet("ar") if records is None else records, version=version), options)
    engine.open(0)
    return engine


def tick(i, value=1.0, name="s0", base=1100):
    return (name, base + i, value, {}, i)


def records_of(engine):
    found = {}
    for block in engine.state_blocks(0):
        found |= {block.key(i): block.value(i) for i in range(len(block.keys))}
    return found


@pytest.mark.parametrize("grace", [0, 8])
def test_a_series_of_ar_8_in_a_gap_takes_less_than_a_kilobyte(grace):
    engine = engine_of(make_records(1, **AR8), StreamOptions(grace=grace))
    engine.process(batch_of([tick(0, base=100), tick(1, base=100), tick(9, None, base=100)]))
    (state,) = records_of(engine).values()
    assert len(state) + len(b"s0") <= 1000


def good():
    engine = engine_of()
    engine.process(batch_of([tick(0), tick(1), tick(0, name="new")]))
    return records_of(engine)


@given(st.data())
def test_a_damaged_record_is_named_or_read(data):
    state = bytearray(good()[b"s0"])
    kind = data.draw(st.sampled_from(["cut", "more", "flip"]))
    if kind == "cut":
        del state[data.draw(st.integers(0, len(state) - 1)) :]
    elif kind == "more":
        state += data.draw(st.binary(min_size=1, max_size=24))
    else:
        state[data.draw(st.integers(0, 23))] ^= data.draw(st.integers(1, 255))
    engine = engine_of()
    with pytest.raises(StreamError, match=r"'s0'.*tombstone"):
        engine.restore(0, raw_batch([(b"s1", good()[b"s0"]), (b"s0", bytes(state))], partition=STATE))


def test_a_state_that_is_not_finite_is_damaged():
    state = bytearray(good()[b"s0"])
    state[-8:] = np.array([np.nan]).tobytes()
    with pytest.raises(StreamError, match=r"'s0' is damaged"):
        engine_of().restore(0, raw_batch([(b"s0", bytes(state))], partition=STATE))


def test_a_record_without_a_key():
    with pytest.raises(StreamError, match="no key"):
        engine_of().restore(0, raw_batch([(None, good()[b"s0"])], partition=STATE))


def test_the_last_of_a_key_counts_and_a_tombstone_forgets():
    records, engine = good(), engine_of()
    engine.process(batch_of([tick(5)]))
    later = records_of(engine)[b"s0"]
    pairs = [
        (b"s0", records[b"s0"]),
        (b"new", records[b"new"]),
        (b"s0", later),
        (b"s1", later),
        (b"s1", None),
    ]
    fresh = engine_of()
    fresh.restore(0, raw_batch(pairs, partition=STATE))
    assert records_of(fresh) == records | {b"s0": later}
    fresh.restore(0, raw_batch([(b"s0", None)], first=5, partition=STATE))
    assert set(records_of(fresh)) == {b"new"}
    assert fresh.n_series(0) == 1
    assert fresh.process(batch_of([tick(0)])).counts.forecasts == 1


def history():
    """A series after each of three ticks, and another one: records, oldest first."""
    engine, found = engine_of(), []
    for i in range(3):
        engine.process(batch_of([tick(i, 1.0 + i)]))
        found.append((b"s0", records_of(engine)[b"s0"]))
    return found, (b"new", good()[b"new"])


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (3,), (1, 2, 3)])
def test_a_state_of_an_earlier_tick_that_came_later_is_passed_over(cuts):
    """Of a worker that was cut off, and wrote once more when another had its partition."""
    (first, second, third), other = history()
    records = [first, third, second, other]
    engine, edges = engine_of(), [0, *cuts, len(records)]
    for begin, end in itertools.pairwise(edges):
        engine.restore(0, raw_batch(records[begin:end], first=begin, partition=STATE))
    assert records_of(engine) == dict([third, other])


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (3,), (1, 2, 3)])
def test_after_a_tombstone_any_state_counts(cuts):
    (first, second, third), other = history()
    records = [third, (b"s0", None), first, other]
    engine, edges = engine_of(), [0, *cuts, len(records)]
    for begin, end in itertools.pairwise(edges):
        engine.restore(0, raw_batch(records[begin:end], first=begin, partition=STATE))
    assert records_of(engine) == dict([first, other])
    assert second != third


@pytest.mark.parametrize("damaged", [b"", b"short", b"\1" * 24, b"\2" + bytes(255)])
def test_a_damaged_record_behind_a_good_one_is_named(damaged):
    (first, second, _), _ = history()
    with pytest.raises(StreamError, match=r"'s0'.*tombstone"):
        engine_of().restore(0, raw_batch([first, second, (b"s0", damaged)], partition=STATE))
    engine = engine_of()
    engine.restore(0, raw_batch([first, (b"s0", damaged), second], partition=STATE))
    assert records_of(engine) == dict([second])
    engine.restore(0, raw_batch([(b"s0", damaged), (b"s0", None)], first=3, partition=STATE))
    assert records_of(engine) == {}


def test_a_series_is_written_once_a_batch():
    output = engine_of().process(batch_of([tick(0), tick(1), tick(0, name="s1"), tick(2)]))
    block = blocks_by_topic(output)["forecasts-state"]
    assert [block.key(i) for i in range(len(block.keys))] == [b"s0", b"s1"]


def test_duplicates_and_late_ticks_change_no_state():
    engine = engine_of()
    engine.process(batch_of([tick(0), tick(1)]))
    output = engine.process(batch_of([("s0", 1101, 5.0, {}, 7), ("s0", 1050, 5.0, {}, 8)]))
    assert set(blocks_by_topic(output)) == {"ticks-late"}


def test_partitions_are_apart():
    engine = engine_of()
    engine.open(3)
    engine.process(batch_of([tick(0)], Partition("ticks", 3)))
    assert (engine.n_series(0), engine.n_series(3)) == (0, 1)
    engine.drop(3)
    assert engine.partitions == {0}
    with pytest.raises(StreamError, match="not open"):
        engine.process(batch_of([tick(0)], Partition("ticks", 3)))
    with pytest.raises(StreamError, match="open already"):
        engine.open(0)


def test_a_window_of_another_length_is_taken_over():
    engine = engine_of(options=StreamOptions(window=4, warm_up=4))
    engine.process(batch_of([tick(i, float(i)) for i in range(6)]))
    (block,) = engine.state_blocks(0)
    for window, grace in ((9, 0), (2, 0), (4, 3)):
        other = engine_of(options=StreamOptions(window=window, warm_up=2, grace=grace))
        other.restore(0, as_read(block))
        wanted = engine.process(batch_of([])).blocks
        assert wanted == []
        got = other.process(batch_of([tick(6, 2.0)]))
        assert got.counts.forecasts == 1
