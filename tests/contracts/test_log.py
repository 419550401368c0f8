"""The contract of a log (`pipelines.log.protocol`): the same suite for every back end."""

from __future__ import annotations

import time

import pytest

from pipelines.errors import FencedError, LogError
from pipelines.log import open_log
from pipelines.log.protocol import Delivery, Topic
from pipelines.log.records import Partition, make_block, split
from tests.contracts.log_places import EmbeddedPlace, KafkaPlace, Scene, drain, new_membership, rows, wait_for

# A mistake in an address or a name is answered by then.
SOON_S = 12.0


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("kafka-python", marks=pytest.mark.stream),
        pytest.param("confluent", marks=pytest.mark.stream),
    ]
)
def scene(request, tmp_path):
    if request.param == "embedded":
        place = EmbeddedPlace(tmp_path)
    else:
        place = KafkaPlace(request.getfixturevalue("kafka_address"), request.param)
    scene = Scene(place, place.open())
    yield scene
    scene.close()


def pairs(count, start=0):
    return [(b"key-%d" % (i % 3), b"value-%d" % i) for i in range(start, start + count)]


def values(records):
    return [value for _, _, value in records]


def test_records_are_read_as_they_were_written_and_in_order(scene):
    topic = scene.topic(2)
    zero, one = Partition(topic, 0), Partition(topic, 1)
    odd = [(None, b"no key"), (b"gone", None), (b"", b""), ("ключ".encode(), bytes(range(256)))]
    writer = scene.writer()
    writer.write(make_block(zero, pairs(500)))
    writer.write(make_block(one, odd))
    writer.write(make_block(zero, pairs(500, 500)))
    writer.flush()
    assert writer.pending() == 0
    found = scene.read(zero, one)
    assert [(key, value) for _, key, value in found[zero]] == pairs(1000)
    assert [offset for offset, _, _ in found[zero]] == list(range(1000))
    assert [(key, value) for _, key, value in found[one]] == odd


def test_a_record_has_the_time_of_its_writing(scene):
    partition = Partition(scene.topic(), 0)
    before = time.time_ns() // 1_000_000
    writer = scene.writer()
    writer.write(make_block(partition, pairs(3)))
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
    writer.write(make_block(partition, pairs(3), headers))
    writer.write(make_block(partition, pairs(1)))
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
        writer.write(make_block(each, pairs(20)))
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
        writer.write(make_block(each, pairs(50)))
    writer.flush()
    reader = scene.reader()
    reader.assign(dict.fromkeys(partitions))
    found = {each: [] for each in partitions}

    def turn():
        for batch in reader.poll(0.5, 7):
            found[batch.partition] += rows(batch)

    wait_for(lambda: all(len(each) >= 50 for each in found.values()), turn)
    assert all(values(each) == [value for _, value in pairs(50)] for each in found.values())


def test_outputs_and_positions_become_visible_together(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    writer = scene.writer()
    writer.write(make_block(source, pairs(10)))
    writer.flush()
    worker = scene.worker([ticks])
    worker.until_saw(source, 10)
    assert worker.member.committed([source]) == {source: None}
    worker.member.begin()
    worker.member.write(make_block(target, pairs(5)))
    worker.member.write(make_block(target, pairs(5, 5)))
    reader = scene.reader()
    reader.assign({target: None})
    assert reader.poll(0.5, 100) == []
    worker.member.commit({source: 10})
    assert worker.member.pending() == 0
    assert worker.member.committed([source]) == {source: 10}
    assert values(drain(reader, [target])[target]) == values([(0, *pair) for pair in pairs(10)])
    worker.member.begin()
    worker.member.commit({source: 11})
    assert worker.member.committed([source]) == {source: 11}


def test_aborted_records_are_never_seen_and_positions_pass_them(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    worker = scene.worker([ticks])
    worker.until_owns(1)
    for start in range(0, 40, 10):
        worker.member.begin()
        worker.member.write(make_block(target, pairs(10, start)))
        if start % 20:
            worker.member.abort()
        else:
            worker.member.commit({source: start})
    worker.member.begin()
    worker.member.write(make_block(target, pairs(10, 100)))
    worker.member.abort()
    reader = scene.reader()
    reader.assign({target: None})
    found = drain(reader, [target])[target]
    assert values(found) == [value for _, value in pairs(10) + pairs(10, 20)]
    assert reader.positions()[target] >= reader.ends([target])[target] > found[-1][0]
    assert worker.member.committed([source]) == {source: 20}


def test_who_reads_to_the_end_has_waited_for_open_transactions(scene):
    ticks, outputs = scene.topic(), scene.topic()
    target = Partition(outputs, 0)
    worker = scene.worker([ticks])
    worker.until_owns(1)
    worker.member.begin()
    worker.member.write(make_block(target, pairs(3)))
    wait_for(lambda: not scene.place.shares or worker.member.pending() == 0, lambda: time.sleep(0.05))
    reader = scene.reader()
    reader.assign({target: None})
    ends = reader.ends([target])
    assert ends == {target: 3 if scene.place.shares else 0}
    assert reader.poll(0.5, 100) == []
    assert reader.positions()[target] == 0
    worker.member.commit({})
    assert len(drain(reader, [target])[target]) == 3
    assert reader.positions()[target] >= ends[target]


def test_a_member_that_died_in_a_transaction_leaves_nothing(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    writer = scene.writer()
    writer.write(make_block(source, pairs(10)))
    writer.flush()
    dead = scene.worker([ticks])
    dead.until_saw(source, 10)
    dead.member.begin()
    dead.member.write(make_block(target, pairs(3)))
    dead.member.commit({source: 3})
    dead.member.begin()
    dead.member.write(make_block(target, pairs(4, 3)))
    heir = Scene(scene.place, scene.another()).worker([ticks], dead.membership)
    try:
        heir.until_owns(1)
        assert heir.member.committed([source]) == {source: 3}
        heir.until_saw(source, 7)
        assert [offset for offset, _, _ in heir.seen[source]] == list(range(3, 10))
        assert values(scene.read(target)[target]) == [value for _, value in pairs(3)]
    finally:
        heir.member.close()


def test_a_zombie_of_the_same_name_is_fenced(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    zombie = scene.worker([ticks])
    zombie.until_owns(1)
    zombie.member.begin()
    zombie.member.write(make_block(target, pairs(2)))
    heir = scene.worker([ticks], zombie.membership)
    heir.until_owns(1)
    with pytest.raises(FencedError, match="worker-1"):
        zombie.member.commit({source: 5})
    with pytest.raises(FencedError):
        zombie.member.poll(0.1, 10)
    heir.member.begin()
    heir.member.write(make_block(target, [(b"heir", b"only")]))
    heir.member.commit({source: 1})
    assert heir.member.committed([source]) == {source: 1}
    assert values(scene.read(target)[target]) == [b"only"]


def test_a_zombie_that_only_polls_is_fenced(scene):
    ticks = scene.topic()
    zombie = scene.worker([ticks])
    zombie.until_owns(1)
    scene.worker([ticks], zombie.membership).until_owns(1)
    with pytest.raises(FencedError):
        wait_for(lambda: False, zombie.turn)


@pytest.mark.slow
def test_partitions_move_to_a_second_member_and_back(scene):
    topic = scene.topic(4)
    first = scene.worker([topic])
    first.until_owns(4)
    second = scene.worker([topic], first.membership, instance="worker-2")
    if scene.place.shares:

        def both():
            first.turn()
            second.turn()

        wait_for(lambda: len(first.owned) == len(second.owned) == 2, both)
        assert not first.owned & second.owned
        assert [what for what, _ in first.diary if what != "assigned"] == ["revoked"]
        moved = next(each for what, each in first.diary if what == "revoked")
        assert moved == second.owned  # those that stay were never given up
    else:
        for _ in range(3):
            first.turn()
            second.turn()
        assert second.owned == set()
    first.member.close()
    second.until_owns(4)


def test_work_on_revoked_partitions_can_still_be_committed(scene):
    if not scene.place.shares:
        pytest.skip("one member at a time")
    ticks, outputs = scene.topic(2), scene.topic()
    writer = scene.writer()
    for number in range(2):
        writer.write(make_block(Partition(ticks, number), pairs(10)))
    writer.flush()
    first = scene.worker([ticks])
    first.until_owns(2)
    listener = first.listener()
    committed = []

    def revoked(partitions):
        first.member.commit(dict.fromkeys(partitions, 7))
        committed.extend(partitions)
        first._note("revoked", partitions)

    first.member.join([ticks], type(listener)(listener.assigned, revoked, listener.lost))
    first.member.begin()
    first.member.write(make_block(Partition(outputs, 0), pairs(2)))
    second = scene.worker([ticks], first.membership, instance="worker-2")

    def both():
        first.turn()
        second.turn()

    wait_for(lambda: len(first.owned) == len(second.owned) == 1, both)
    assert second.member.committed(committed) == dict.fromkeys(committed, 7)
    second.until_saw(committed[0], 3)
    assert [offset for offset, _, _ in second.seen[committed[0]]] == [7, 8, 9]
    assert len(scene.read(Partition(outputs, 0))[Partition(outputs, 0)]) == 2


def test_a_member_that_comes_back_has_its_partitions_soon(scene):
    topic = scene.topic(3)
    worker = scene.worker([topic])
    worker.until_owns(3)
    worker.member.close()
    started = time.monotonic()
    scene.worker([topic], worker.membership).until_owns(3)
    assert time.monotonic() - started < 5.0  # the session would be 6 s


def test_pause_resume_and_seek(scene):
    topic = scene.topic(2)
    zero, one = Partition(topic, 0), Partition(topic, 1)
    writer = scene.writer()
    for each in (zero, one):
        writer.write(make_block(each, pairs(10)))
    writer.flush()
    worker = scene.worker([topic])
    worker.until_owns(2)
    worker.member.seek({zero: 4, one: 6})
    worker.seen.clear()
    worker.member.pause([zero])
    worker.until_saw(one, 4)
    for _ in range(3):
        worker.turn()
    assert worker.seen.get(zero) is None
    assert [offset for offset, _, _ in worker.seen[one]] == [6, 7, 8, 9]
    worker.member.resume([zero])
    worker.until_saw(zero, 6)
    assert [offset for offset, _, _ in worker.seen[zero]] == [4, 5, 6, 7, 8, 9]
    worker.member.seek({zero: 0})
    worker.seen.clear()
    worker.until_saw(zero, 10)
    with pytest.raises(LogError):
        worker.member.seek({Partition(topic, 7): 0})


def test_deleted_records_move_the_beginning(scene):
    topic = scene.topic()
    partition = Partition(topic, 0)
    writer = scene.writer()
    writer.write(make_block(partition, pairs(10)))
    writer.flush()
    worker = scene.worker([topic])
    worker.until_saw(partition, 10)
    worker.member.begin()
    worker.member.commit({partition: 2})
    scene.place.forget(partition, 6)
    assert worker.member.begins([partition]) == {partition: 6}
    assert worker.member.ends([partition]) == {partition: 10}
    assert [offset for offset, _, _ in scene.read(partition)[partition]] == [6, 7, 8, 9]
    worker.seen.clear()
    worker.member.seek({partition: 2})  # no longer there: goes on where records begin
    worker.until_saw(partition, 4)
    assert [offset for offset, _, _ in worker.seen[partition]] == [6, 7, 8, 9]
    scene.place.forget(partition, 10)
    assert scene.read(partition) == {partition: []}


def test_a_position_beyond_the_end_is_an_error(scene):
    topic = scene.topic()
    worker = scene.worker([topic])
    worker.until_owns(1)
    worker.member.seek({Partition(topic, 0): 5})
    with pytest.raises(LogError, match="beyond the end"):
        wait_for(lambda: False, worker.turn)


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


def test_at_least_once(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    worker = scene.worker([ticks], delivery=Delivery.AT_LEAST_ONCE)
    worker.until_owns(1)
    with pytest.raises(LogError, match="exactly-once"):
        worker.member.begin()
    worker.member.write(make_block(target, pairs(3)))
    worker.member.barrier()
    assert worker.member.pending() == 0
    assert len(scene.read(target)[target]) == 3
    worker.member.write(make_block(target, pairs(3, 3)))
    worker.member.commit({source: 4})
    assert worker.member.committed([source]) == {source: 4}
    assert len(scene.read(target)[target]) == 6


def test_transactions_are_asked_for_in_order(scene):
    ticks = scene.topic()
    worker = scene.worker([ticks])
    worker.until_owns(1)
    with pytest.raises(LogError, match="begin"):
        worker.member.write(make_block(Partition(ticks, 0), pairs(1)))
    with pytest.raises(LogError, match="begin"):
        worker.member.commit({})
    worker.member.begin()
    with pytest.raises(LogError, match="open already"):
        worker.member.begin()
    with pytest.raises(LogError, match="at-least-once"):
        worker.member.barrier()
    worker.member.abort()
    worker.member.abort()  # nothing is open: nothing happens


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
        writer.write(make_block(Partition(missing, 0), pairs(1)))
    with pytest.raises(LogError, match="2 partitions"):
        writer.write(make_block(Partition(known, 2), pairs(1)))
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


def test_new_memberships_are_strangers():
    assert new_membership().group != new_membership().group
