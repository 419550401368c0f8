"""What the harness relies on, on a real broker."""

import uuid

import pytest
from kafka import KafkaProducer

from tests.chaos.broker import Broker
from tests.chaos.feeding import Feeder, Message, messages
from tests.chaos.records import read_topic
from tests.chaos.rig import copy

pytestmark = [pytest.mark.stream, pytest.mark.slow]


@pytest.fixture
def broker(kafka_address):
    found = Broker(kafka_address)
    yield found
    found.close()


def fresh():
    return f"t-{uuid.uuid4().hex[:8]}"


def test_open_transactions_are_seen_and_only_committed_records_are_read(broker):
    topic, name = fresh(), fresh()
    broker.make_topic(topic, 2)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=f"it-is-{name}")
    producer.init_transactions()
    assert broker.open_transactions(name) == []
    for number, (value, end) in enumerate([(b"in", "commit"), (b"out", "abort"), (b"last", "commit")]):
        producer.begin_transaction()
        producer.send(topic, key=b"k", value=value, partition=number % 2).get(30)
        assert broker.open_transactions(name) == [f"it-is-{name}"]
        if end == "commit":
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    assert [one.value for one in read_topic(broker.bootstrap, topic)] == [b"in", b"last"]
    assert broker.ends(topic) == {0: 4, 1: 2}  # records and markers


def test_what_is_fed_is_there_once_and_a_copy_has_the_same_offsets(broker):
    topic, other = fresh(), fresh()
    broker.make_topic(topic, 3)
    broker.make_topic(other, 3)
    feeder = Feeder(broker.bootstrap, topic, 3, messages(5, 1), 500.0)
    feeder.start()
    feeder.join(1.0)
    sent = feeder.stop()
    assert sent > 100
    found = read_topic(broker.bootstrap, topic)
    source = messages(5, 1)
    assert sorted((one.key, one.value) for one in found) == sorted(next(source) for _ in range(sent))
    assert isinstance(next(source), Message)
    copy(broker.bootstrap, topic, other)
    assert read_topic(broker.bootstrap, other) == found


def test_positions_of_a_group_that_is_not_there_are_none(broker):
    assert broker.committed(fresh(), "ticks") == {}
