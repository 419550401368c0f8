"""The contract of a log's members: groups, transactions, fencing."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.protocol import Delivery
from pipelines.log.records import Partition, make_block
from tests.contracts.log_places import Scene, drain, numbered, texts, wait_for


def test_outputs_and_positions_become_visible_together(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    writer = scene.writer()
    writer.write(make_block(source, numbered(10)))
    writer.flush()
    worker = scene.worker([ticks])
    worker.until_saw(source, 10)
    assert worker.member.committed([source]) == {source: None}
    worker.member.begin()
    worker.member.write(make_block(target, numbered(5)))
    worker.member.write(make_block(target, numbered(5, 5)))
    reader = scene.reader()
    reader.assign({target: None})
    assert reader.poll(0.5, 100) == []
    worker.member.commit({source: 10})
    assert worker.member.pending() == 0
    assert worker.member.committed([source]) == {source: 10}
    assert texts(drain(reader, [target])[target]) == texts([(0, *pair) for pair in numbered(10)])
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
        worker.member.write(make_block(target, numbered(10, start)))
        if start % 20:
            worker.member.abort()
        else:
            worker.member.commit({source: start})
    worker.member.begin()
    worker.member.write(make_block(target, numbered(10, 100)))
    worker.member.abort()
    reader = scene.reader()
    reader.assign({target: None})
    found = drain(reader, [target])[target]
    assert texts(found) == [value for _, value in numbered(10) + numbered(10, 20)]
    assert reader.positions()[target] >= reader.ends([target])[target] > found[-1][0]
    assert worker.member.committed([source]) == {source: 20}


def test_who_reads_to_the_end_has_waited_for_open_transactions(scene):
    ticks, outputs = scene.topic(), scene.topic()
    target = Partition(outputs, 0)
    worker = scene.worker([ticks])
    worker.until_owns(1)
    worker.member.begin()
    worker.member.write(make_block(target, numbered(3)))
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
    writer.write(make_block(source, numbered(10)))
    writer.flush()
    dead = scene.worker([ticks])
    dead.until_saw(source, 10)
    dead.member.begin()
    dead.member.write(make_block(target, numbered(3)))
    dead.member.commit({source: 3})
    dead.member.begin()
    dead.member.write(make_block(target, numbered(4, 3)))
    heir = Scene(scene.place, scene.another()).worker([ticks], dead.membership)
    try:
        heir.until_owns(1)
        assert heir.member.committed([source]) == {source: 3}
        heir.until_saw(source, 7)
        assert [offset for offset, _, _ in heir.seen[source]] == list(range(3, 10))
        assert texts(scene.read(target)[target]) == [value for _, value in numbered(3)]
    finally:
        heir.member.close()


def test_a_zombie_of_the_same_name_is_fenced(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    zombie = scene.worker([ticks])
    zombie.until_owns(1)
    zombie.member.begin()
    zombie.member.write(make_block(target, numbered(2)))
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
    assert texts(scene.read(target)[target]) == [b"only"]


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
        writer.write(make_block(Partition(ticks, number), numbered(10)))
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
    first.member.write(make_block(Partition(outputs, 0), numbered(2)))
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
        writer.write(make_block(each, numbered(10)))
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
    writer.write(make_block(partition, numbered(10)))
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
    assert worker.skipped == [(partition, 2, 6)]
    scene.place.forget(partition, 10)
    assert scene.read(partition) == {partition: []}


def test_positions_are_where_reading_goes_on_past_markers(scene):
    topic = scene.topic()
    partition = Partition(topic, 0)
    author = scene.worker([scene.topic()])
    author.until_owns(1)
    author.member.begin()
    author.member.write(make_block(partition, numbered(5)))
    author.member.commit({})
    worker = scene.worker([topic])
    worker.until_saw(partition, 5)
    ends = worker.member.ends([partition])  # with a marker where there are any

    def at_the_end():
        return worker.member.positions([partition]) == ends

    wait_for(at_the_end, worker.turn)
    for start in (2, 5):  # from a record, and from the marker itself
        worker.member.seek({partition: start})
        assert worker.member.positions([partition]).get(partition, start) == start
        wait_for(at_the_end, worker.turn)
    assert len(worker.seen[partition]) == 5 + 3
    assert worker.member.positions([Partition(topic, 7)]) == {}


def test_a_position_that_is_held_is_not_waited_for_longer_than_asked(scene):
    if not scene.place.shares:
        pytest.skip("nothing is open in an embedded log")
    ticks = scene.topic()
    source = Partition(ticks, 0)
    holder = scene.worker([ticks])
    holder.until_owns(1)
    holder.member.begin()
    holder.member.commit({source: 3})
    holder.member.close()
    asking = scene.member(replace(holder.membership, instance="worker-2"))
    assert asking.committed([source], 5.0) == {source: 3}
    with scene.place.holding(holder.membership.group, source, 4):
        started = time.monotonic()
        with pytest.raises(LogError) as caught:
            asking.committed([source], 1.0)
        assert caught.value.retriable
        assert time.monotonic() - started < 5.0
    assert asking.committed([source]) == {source: 3}


def test_a_position_beyond_the_end_is_an_error(scene):
    topic = scene.topic()
    worker = scene.worker([topic])
    worker.until_owns(1)
    worker.member.seek({Partition(topic, 0): 5})
    with pytest.raises(LogError, match="beyond the end"):
        wait_for(lambda: False, worker.turn)


def test_at_least_once(scene):
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    worker = scene.worker([ticks], delivery=Delivery.AT_LEAST_ONCE)
    worker.until_owns(1)
    with pytest.raises(LogError, match="exactly-once"):
        worker.member.begin()
    worker.member.write(make_block(target, numbered(3)))
    worker.member.barrier()
    assert worker.member.pending() == 0
    assert len(scene.read(target)[target]) == 3
    worker.member.write(make_block(target, numbered(3, 3)))
    worker.member.commit({source: 4})
    assert worker.member.committed([source]) == {source: 4}
    assert len(scene.read(target)[target]) == 6


@pytest.mark.slow
def test_a_transaction_that_took_too_long_is_aborted_and_the_member_goes_on(scene):
    if not scene.place.shares:
        pytest.skip("a transaction of an embedded log is in memory until it is committed")
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    worker = scene.worker([ticks], transaction_timeout_s=3.0)
    worker.until_owns(1)
    worker.member.begin()
    worker.member.write(make_block(target, [(b"k", b"too late")]))
    ends = time.monotonic() + 16.0  # the broker looks every ten seconds
    while time.monotonic() < ends:
        worker.turn(0.5)
    with pytest.raises(AbortedError):
        worker.member.commit({source: 5})
    assert worker.member.committed([source]) == {source: None}
    worker.member.begin()
    worker.member.write(make_block(target, [(b"k", b"in time")]))
    worker.member.commit({source: 6})
    assert worker.member.committed([source]) == {source: 6}
    assert texts(scene.read(target)[target]) == [b"in time"]


def test_transactions_are_asked_for_in_order(scene):
    ticks = scene.topic()
    worker = scene.worker([ticks])
    worker.until_owns(1)
    with pytest.raises(LogError, match="begin"):
        worker.member.write(make_block(Partition(ticks, 0), numbered(1)))
    with pytest.raises(LogError, match="begin"):
        worker.member.commit({})
    worker.member.begin()
    with pytest.raises(LogError, match="open already"):
        worker.member.begin()
    with pytest.raises(LogError, match="at-least-once"):
        worker.member.barrier()
    worker.member.abort()
    worker.member.abort()  # nothing is open: nothing happens
