"""The contract of a log (`pipelines.log.protocol`): the same suite for every back end; members beside."""

from __future__ import annotations

import time

import pytest

from pipelines.errors import LogError
from pipelines.log import open_log
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition, make_block, split
from tests.contracts.log_places import drain, numbered, rows, texts, wait_for

# A mistake in an address or a name is answered by then.
SOON_S = 12.0


def test_records_are_read_as_they_were_written_and_in_order(scene):
    topic = scene.topic(2)
    zero, one = Partition(topic, 0), Partition(topic, 1)
    odd = [(None, b"no key"), (b"gone", None), (b"", b""), ("ключ".encode(), bytes(range(256)))]
    writer = scene.writer()
    writer.write(make_block(zero, numbered(500)))
    writer.write(make_block(one, odd))
    writer.write(make_block(zero, numbered(500, 500)))
    writer.flush()
    assert writer.pending() == 0
    found = scene.read(zero, one)
    assert [(key, value) for _, key, value in found[zero]] == numbered(1000)
    assert [offset for offset, _, _ in found[zero]] == list(range(1000))
    assert [(key, value) for _, key, value in found[one]] == odd


def test_a_record_has_the_time_of_its_writing(scene):
    partition = Partition(scene.topic(), 0)
    before = time.time_ns() // 1_000_000
    writer = scene.writer()
    writer.write(make_block(partition, numbered(3)))
    writer.flush()
    reader = scene.reader()
    reader.assign({partition: 0})
    batches = []
    wait_for(lambda: bool(batches), lambda: batches.extend(reader.poll(0.5, 10)))
    assert all(before <= ts_ms <= before + 60_000 for ts_ms in batches[0].ts_ms.tolist())


def test_headers_are_kept(scene):
    partition = Partition(scene.topic(), 0)
    headers = [(("reason", b"malformed"), ("raw", bytes(range(256)))), (), (("reason", b""),)]
    writer = scene.writer()
    writer.write(make_block(partition, numbered(3), headers))
    writer.write(make_block(partition, numbered(1)))
    writer.flush()
    assert scene.place.headers(partition) == [*headers, ()]


def test_a_large_block_is_written_whole(scene):
    partition = Partition(scene.topic(), 0)
    many = [(b"%d" % i, b"x" * 5000) for i in range(600)]
    writer = scene.writer()
    writer.write(make_block(partition, many))
    writer.write(make_block(partition, []))
    writer.flush()
    assert [(key, value) for _, key, value in scene.read(partition)[partition]] == many


def test_a_reader_begins_where_it_is_told(scene):
    topic = scene.topic(2)
    zero, one = Partition(topic, 0), Partition(topic, 1)
    writer = scene.writer()
    for each in (zero, one):
        writer.write(make_block(each, numbered(20)))
    writer.flush()
    reader = scene.reader()
    reader.assign({zero: 15, one: None})
    found = drain(reader, [zero, one])
    assert [offset for offset, _, _ in found[zero]] == list(range(15, 20))
    assert len(found[one]) == 20
    assert reader.positions() == {zero: 20, one: 20}
    reader.assign({one: 19})
    assert len(drain(reader, [one])[one]) == 1
    assert reader.positions() == {one: 20}


def test_a_poll_without_records_ends_in_time(scene):
    partition = Partition(scene.topic(), 0)
    reader = scene.reader()
    reader.assign({partition: None})
    reader.poll(0.1, 10)
    started = time.monotonic()
    assert reader.poll(0.3, 10) == []
    assert time.monotonic() - started < 2.0


def test_a_small_limit_loses_nothing(scene):
    topic = scene.topic(2)
    partitions = [Partition(topic, 0), Partition(topic, 1)]
    writer = scene.writer()
    for each in partitions:
        writer.write(make_block(each, numbered(50)))
    writer.flush()
    reader = scene.reader()
    reader.assign(dict.fromkeys(partitions))
    found = {each: [] for each in partitions}

    def turn():
        for batch in reader.poll(0.5, 7):
            found[batch.partition] += rows(batch)

    wait_for(lambda: all(len(each) >= 50 for each in found.values()), turn)
    assert all(texts(each) == [value for _, value in numbered(50)] for each in found.values())


def test_the_last_record_of_a_key_is_kept_in_a_compact_topic(scene):
    partition = Partition(scene.topic(compact=True), 0)
    writer = scene.writer()
    writer.write(make_block(partition, [(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]))
    writer.write(make_block(partition, [(b"c", b"1"), (b"a", b"3"), (b"c", None)]))
    writer.flush()
    last = {key: value for _, key, value in scene.read(partition)[partition]}
    assert last == {b"a": b"3", b"b": b"1", b"c": None}
    with pytest.raises(LogError, match="key"):  # noqa: PT012  # at once, or when the broker has answered
        writer.write(make_block(partition, [(None, b"1")]))
        writer.flush()


def test_topics_are_made_once(scene):
    topic = scene.topic(3)
    assert scene.log.partitions(topic) == 3
    scene.log.make_topics([Topic(topic, 5, compact=True)])
    assert scene.another().partitions(topic) == 3


@pytest.mark.parametrize("name", ["", "a b", "x" * 250, "..", "tick/s"])
def test_a_name_that_no_topic_can_have_is_refused(scene, name):
    with pytest.raises(LogError, match="topic"):
        scene.log.make_topics([Topic(name, 1)])


def test_an_unknown_topic_is_named_soon(scene):
    known, missing = scene.topic(2), "no-such-topic"
    started = time.monotonic()
    with pytest.raises(LogError, match=missing):
        scene.log.partitions(missing)
    with pytest.raises(LogError, match=missing):
        scene.worker([missing])
    with pytest.raises(LogError, match=missing):
        scene.reader().assign({Partition(missing, 0): None})
    writer = scene.writer()
    with pytest.raises(LogError, match=missing):
        writer.write(make_block(Partition(missing, 0), numbered(1)))
    with pytest.raises(LogError, match="2 partitions"):
        writer.write(make_block(Partition(known, 2), numbered(1)))
    assert time.monotonic() - started < SOON_S


def test_an_address_that_leads_nowhere_is_told_soon(scene):
    for address in scene.place.wrong():
        started = time.monotonic()
        with pytest.raises(LogError) as caught:
            open_log(address, client=getattr(scene.place, "client", "kafka-python")).partitions("t")
        assert address.removeprefix("embedded:") in str(caught.value)
        assert time.monotonic() - started < SOON_S


def test_batches_hold_what_their_columns_say(scene):
    partition = Partition(scene.topic(), 0)
    writer = scene.writer()
    writer.write(make_block(partition, [(b"k", b"v"), (b"gone", None)]))
    writer.flush()
    reader = scene.reader()
    reader.assign({partition: None})
    batches = []
    wait_for(
        lambda: sum(len(each.offsets) for each in batches) == 2, lambda: batches.extend(reader.poll(0.5, 10))
    )
    keys = [key for each in batches for key in split(each.data, each.keys)]
    assert keys == [b"k", b"gone"]
    assert batches[0].key(0) == b"k"
    assert batches[0].value(0) == b"v"
    assert batches[-1].position == 2
    with pytest.raises(ValueError, match="read-only"):
        batches[0].data[0] = 0
