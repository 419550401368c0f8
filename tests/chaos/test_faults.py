"""Faults one at a time, on a real broker: nothing lost, nothing twice, every number right."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

import forecast as fc
from tests.chaos.expectation import Kind, sort_out
from tests.chaos.feeding import DT_MS, names
from tests.chaos.records import read_topic
from tests.chaos.rig import SMALL, goes_on, sound
from tests.chaos.workers import Worker, wait_until

pytestmark = [pytest.mark.stream, pytest.mark.slow]

# Beyond the session of a worker: its partitions are another's then.
_EXPIRED_S = SMALL.session_s + 3.0


def test_a_frozen_worker_is_overtaken_and_publishes_nothing_when_it_wakes(rig):
    frozen = rig.workers[0]
    wait_until(lambda: rig.broker.open_transactions(frozen.instance), 60.0, "it does no work", 0.02)
    frozen.send(signal.SIGSTOP)
    time.sleep(_EXPIRED_S)
    goes_on(rig)  # the other has its partitions
    frozen.send(signal.SIGCONT)
    time.sleep(3.0)
    sound(rig, ended_by_itself=(frozen.instance,))


def test_a_worker_of_the_same_name_fences_the_one_before(rig):
    frozen = rig.workers[0]
    wait_until(lambda: rig.broker.open_transactions(frozen.instance), 60.0, "it does no work", 0.02)
    frozen.send(signal.SIGSTOP)
    second = Worker(rig.job, frozen.instance, rig.folder)
    second.start()
    rig.workers.append(second)
    goes_on(rig)
    wait_until(lambda: rig.broker.open_transactions(second.instance), 60.0, "it does no work", 0.02)
    frozen.send(signal.SIGCONT)
    process = frozen.process
    wait_until(lambda: process.poll() is not None, 60.0, "the first goes on beside the second")
    assert process.returncode not in (0, None)
    sound(rig, ended_by_itself=(frozen.instance,))


def test_a_rebalance_in_the_middle_of_restoring(rig):
    goes_on(rig)
    for worker in rig.workers:
        worker.kill()
    for _ in range(2):  # each start finds the other restoring, or just at work
        for worker in rig.workers:
            worker.start()
            time.sleep(0.7)
        time.sleep(2.0)
        rig.workers[0].kill()
        time.sleep(_EXPIRED_S)
        rig.workers[0].start()
        rig.workers[1].kill()
        time.sleep(1.0)
        if not rig.workers[1].alive:
            rig.workers[1].start()
        goes_on(rig)
        for worker in rig.workers:
            worker.kill()
    for worker in rig.workers:
        worker.start()
    sound(rig)


def test_a_state_topic_that_ends_with_a_marker_is_restored(rig):
    goes_on(rig)
    rig.settle()
    assert rig.end() == []
    state = f"{rig.forecasts}-state"
    last = {one.partition: one.offset for one in read_topic(rig.bootstrap, state)}
    assert all(rig.broker.ends(state)[number] > offset + 1 for number, offset in last.items())  # markers
    for worker in rig.workers:
        worker.start()
    rig.feed()
    goes_on(rig)
    sound(rig)


def test_positions_that_the_log_no_longer_keeps(rig):
    goes_on(rig)
    rig.settle()
    assert rig.end() == []
    rig.feed()
    time.sleep(4.0)
    rig.dry_up()
    every = read_topic(rig.bootstrap, rig.ticks)
    committed, ends = rig.broker.committed(rig.group, rig.ticks), rig.broker.ends(rig.ticks)
    cut = {
        number: committed.get(number, 0) + (end - committed.get(number, 0)) // 2
        for number, end in ends.items()
    }
    admin = KafkaAdminClient(bootstrap_servers=rig.bootstrap)
    admin.delete_records({TopicPartition(rig.ticks, number): at for number, at in cut.items()})
    admin.close()
    for worker in rig.workers:
        worker.start()
    rig.settle()
    assert rig.end() == []
    kept = [
        one
        for one in every
        if one.offset < committed.get(one.partition, 0) or one.offset >= cut[one.partition]
    ]
    kinds, _ = sort_out(fc.load(rig.job.model), kept, DT_MS)
    sources = [json.loads(one.value)["source"] for one in read_topic(rig.bootstrap, rig.forecasts)]
    found = [(one["partition"], one["offset"]) for one in sources]
    assert len(found) == len(set(found))
    assert set(found) == {place for place, kind in kinds.items() if kind is Kind.FORECAST}


def test_poison_of_every_kind_goes_aside_and_stops_nobody(rig):
    producer = KafkaProducer(bootstrap_servers=rig.bootstrap)
    name = names(1)[0].encode()
    good = {"series_id": name.decode(), "ts_ms": 1, "value": 1.0, "v": 1}
    poison = [
        b"", b"\0", b"\xff" * 100, b"[" * 50_000, b'{"series_id":"a","series_id":"b"}', b"null",
        b"x" * 70_000, json.dumps(good | {"v": 2}).encode(), json.dumps(good | {"value": "1"}).encode(),
        json.dumps(good | {"value": float("nan")}).encode(), json.dumps(good | {"ts_ms": 2**62}).encode(),
        json.dumps(good | {"more": 1}).encode(),
    ]  # fmt: skip
    for value in poison:
        producer.send(rig.ticks, key=name, value=value, partition=0)
    producer.send(rig.ticks, key=b"another", value=json.dumps(good).encode(), partition=0)
    producer.send(rig.ticks, key=name, value=None, partition=0)
    producer.close()
    goes_on(rig)
    rig.settle()
    assert rig.end() == []
    dead = [one.value for one in read_topic(rig.bootstrap, f"{rig.ticks}-dead")]
    for value in poison:
        assert dead.count(value) == 1, value[:40]


def test_record_times_that_jump_change_nothing(rig):
    """The clock of producers goes back by decades and ahead; only the times inside the ticks count."""
    producer = KafkaProducer(bootstrap_servers=rig.bootstrap)
    rig.settle()
    for jump in (0, int(time.time() * 1000) + 3_000_000, 1):  # an hour ahead brokers refuse
        key, value = next(rig.source)
        number = _partition(key, rig)
        producer.send(rig.ticks, key=key, value=value, partition=number, timestamp_ms=jump).get(30)
    producer.close()
    rig.feed()
    goes_on(rig)
    sound(rig)


def _partition(key, rig):
    from kafka.partitioner import murmur2

    return (murmur2(key) & 0x7FFFFFFF) % rig.setup.partitions


def test_brokers_that_go_and_come_back_under_load(make_rig, kafka_cluster):
    cluster = kafka_cluster(3)
    rig = make_rig(cluster.bootstrap, replace(SMALL, copies=3))
    rig.start()
    goes_on(rig)
    cluster.stop(1)  # in good order: its partitions move
    goes_on(rig)
    cluster.start(1)
    time.sleep(5.0)
    cluster.kill(2)  # without a word
    goes_on(rig)  # with one down
    cluster.start(2)
    time.sleep(5.0)
    goes_on(rig)
    sound(rig)
