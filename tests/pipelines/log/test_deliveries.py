"""At-least-once on Kafka after a delivery that failed."""

from __future__ import annotations

import threading

import pytest

from pipelines.errors import LogError
from pipelines.log.kafka import deliveries
from pipelines.log.kafka.deliveries import Deliveries
from pipelines.log.protocol import Delivery
from pipelines.log.records import Partition, make_block
from tests.contracts.log_places import KafkaPlace, Scene, texts, wait_for

BLOCK = make_block(Partition("t", 0), [(b"k", b"v")])


class OneWriter:
    """A writer whose first of a kind fails once, and then for ever, as an idempotent producer does."""

    made: list[OneWriter]

    def __init__(self, *_):
        self.blocks, self.failed, self.abandoned = [], False, False
        self.made.append(self)

    def write(self, block):
        self.check()
        self.blocks.append(block)

    def flush(self):
        self.failed = self.failed or len(self.made) == 1
        self.check()

    def check(self):
        if self.failed:
            raise LogError("a batch has expired", retriable=True)

    def pending(self):
        return len(self.blocks)

    def abandon(self):
        self.abandoned = True

    def close(self):
        self.check()


@pytest.fixture
def made(monkeypatch):
    OneWriter.made = []
    monkeypatch.setattr(deliveries, "KafkaWriter", OneWriter)
    return OneWriter.made


def test_a_writer_that_failed_is_replaced(made):
    out = Deliveries(None, {}, None)
    out.write(BLOCK)
    with pytest.raises(LogError, match="expired"):
        out.flush()
    assert (made[0].abandoned, out.pending()) == (True, 0)
    out.write(BLOCK)
    out.flush()
    assert [len(each.blocks) for each in made] == [1, 1]
    out.close()


def test_one_that_fails_at_the_end_ends_all_the_same(made):
    out = Deliveries(None, {}, None)
    made[0].failed = True
    out.close()


@pytest.mark.stream
@pytest.mark.slow
def test_a_member_goes_on_after_a_delivery_that_failed(kafka_cluster):
    cluster = kafka_cluster(1)
    place = KafkaPlace(cluster.bootstrap, "kafka-python")
    scene = Scene(place, place.open())
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    worker = scene.worker([ticks], delivery=Delivery.AT_LEAST_ONCE, session_timeout_s=30.0)
    worker.until_owns(1)
    member = worker.member
    out = member._deliveries
    out.close()
    short = out._settings | {"delivery_timeout_ms": 3000, "request_timeout_ms": 1000}
    member._deliveries = Deliveries(out._broker, short, out._send)
    member.write(make_block(target, [(b"k", b"first")]))
    member.commit({source: 1})
    cluster.pause(1)
    threading.Timer(8.0, cluster.resume, [1]).start()
    member.write(make_block(target, [(b"k", b"second")]))
    with pytest.raises(LogError) as caught:
        member.commit({source: 2})
    assert caught.value.retriable
    wait_for(lambda: _delivered(member, source, target), lambda: worker.turn(0.2))
    assert member.committed([source]) == {source: 2}
    assert {b"first", b"second"} == set(texts(scene.read(target)[target]))
    scene.close()


def _delivered(member, source, target):
    try:
        member.write(make_block(target, [(b"k", b"second")]))
        member.commit({source: 2})
    except LogError as error:
        if not error.retriable:
            raise
        return False
    return True
