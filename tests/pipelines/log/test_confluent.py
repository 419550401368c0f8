"""What of the log by confluent-kafka needs no broker; the rest is in `tests/contracts/test_log.py`."""

from __future__ import annotations

import time

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.confluent import settings
from pipelines.log.confluent.columns import batches
from pipelines.log.confluent.faults import fault, insist
from pipelines.log.confluent.groups import Groups
from pipelines.log.confluent.log import ConfluentLog
from pipelines.log.confluent.reading import complain, sort_out
from pipelines.log.confluent.sender import _cut
from pipelines.log.protocol import Delivery, Membership
from pipelines.log.records import Partition, make_block
from pipelines.log.security import Security


def message(topic, partition, offset, key, value, error=None):
    return Message(
        topic=topic, partition=partition, offset=offset, key=key, value=value, timestamp=(1, 1000 + offset),
        error=error,
    )  # fmt: skip


def test_messages_become_a_batch_a_partition_in_order():
    mixed = [
        message("b", 1, 7, b"k", b"v"),
        message("a", 1, 3, None, b"x"),
        message("b", 1, 9, b"kk", None),
        message("a", 0, 5, b"", b""),
    ]
    found = {batch.partition: batch for batch in batches(mixed)}
    assert set(found) == {Partition("a", 0), Partition("a", 1), Partition("b", 1)}
    both = found[Partition("b", 1)]
    assert both.offsets.tolist() == [7, 9]
    assert both.ts_ms.tolist() == [1007, 1009]
    assert [both.key(0), both.value(0), both.key(1), both.value(1)] == [b"k", b"v", b"kk", None]
    assert both.position == 10
    assert (found[Partition("a", 1)].key(0), found[Partition("a", 1)].value(0)) == (None, b"x")
    assert (found[Partition("a", 0)].key(0), found[Partition("a", 0)].value(0)) == (b"", b"")
    assert all(batch.keys.flags.c_contiguous and batch.values.flags.c_contiguous for batch in found.values())


def test_texts_are_cut_as_their_bounds_say():
    block = make_block(Partition("t", 0), [(b"a", b"one"), (None, b""), (b"ccc", None)])
    assert _cut(block.data, block.keys) == [b"a", None, b"ccc"]
    assert _cut(block.data, block.values) == [b"one", b"", None]
    assert _cut(block.data, block.values[:2]) == [b"one", b""]
    assert _cut(block.data, np.array([[1, 4]])) == [b"one"]


def test_events_are_told_from_records():
    record = message("t", 0, 1, b"k", b"v")
    end = message("t", 0, 2, None, None, KafkaError(KafkaError._PARTITION_EOF))
    down = message("t", 0, 2, None, None, KafkaError(KafkaError._ALL_BROKERS_DOWN))
    gone = message("t", 0, 2, None, None, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    astray = message("t", 0, 2, None, None, KafkaError(KafkaError._AUTO_OFFSET_RESET))
    records, events = sort_out([record, end, down, astray, gone])
    assert (records, events.ends, events.astray) == ([record], [end], [astray])
    assert events.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(LogError, match="reading"):
        complain(events.error)


def test_causes_become_our_errors():
    assert isinstance(fault("x", KafkaError(KafkaError._FENCED)), FencedError)
    assert isinstance(fault("x", KafkaError(KafkaError.FENCED_INSTANCE_ID)), FencedError)
    assert isinstance(fault("x", KafkaError(KafkaError.UNKNOWN, txn_requires_abort=True)), AbortedError)
    assert fault("x", KafkaError(KafkaError._TRANSPORT)).retriable
    assert fault("x", KafkaError(KafkaError.ILLEGAL_GENERATION)).retriable  # of a commit that came too late
    assert fault("x", KafkaError(KafkaError.UNKNOWN_MEMBER_ID)).retriable
    assert not fault("x", KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)).retriable
    assert "compact" in str(fault("x", KafkaError(KafkaError.INVALID_RECORD)))


def test_what_can_be_tried_again_is():
    calls = []

    def call(given):
        calls.append(given)
        if len(calls) < 3:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))
        return "done"

    assert insist("x", 5.0, call, 7) == "done"
    assert calls == [7, 7, 7]


@pytest.mark.parametrize("delivery", list(Delivery))
def test_settings_say_what_was_asked(delivery):
    security = Security("SASL_SSL", "PLAIN", "me", "hidden", ca_file="/ca.pem", check_hostname=False)
    connection = settings.connection("h:1,i:2", security)
    assert connection["sasl.password"] == "hidden"
    assert connection["ssl.ca.location"] == "/ca.pem"
    assert connection["ssl.endpoint.identification.algorithm"] == "none"
    membership = Membership("g", "w", delivery, session_timeout_s=6.0, transaction_timeout_s=20.0)
    writing = settings.member_writing(connection, membership, 60.0)
    assert writing["bootstrap.servers"] == "h:1,i:2"
    assert writing.get("transactional.id") == ("g-w-1" if delivery is Delivery.EXACTLY_ONCE else None)
    reading = settings.member_reading(connection, membership)
    assert reading["session.timeout.ms"] == 6000
    assert reading["isolation.level"] == "read_committed"
    assert "sasl.username" not in settings.connection("h:1", Security())


@pytest.mark.parametrize("session_timeout_s", [0.5, 10.0, 1800.0])
def test_every_session_timeout_makes_a_consumer(session_timeout_s):
    membership = Membership("g", "w", session_timeout_s=session_timeout_s)
    reading = settings.member_reading(settings.connection("localhost:1", Security()), membership)
    Consumer(reading).close()


class FencedProducer:
    """What librdkafka is once the coordinator has fenced it."""

    def __len__(self):
        return 0

    def poll(self, timeout_s):
        return 0

    def purge(self):
        pass

    def commit_transaction(self, timeout_s):
        raise KafkaException(KafkaError(KafkaError._FENCED, "fenced", fatal=True))

    abort_transaction = commit_transaction


def fenced_member(monkeypatch, *, age_s, displaced):
    """A member with a transaction so old; no broker is asked."""
    monkeypatch.setattr(Groups, "displaced", lambda *_: displaced)
    member = ConfluentLog("127.0.0.1:1").member(Membership("g", "w", transaction_timeout_s=20.0))
    member._sender.producer, member._ready, member._open = FencedProducer(), True, True
    member._begun_s = time.monotonic() - age_s
    return member


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_who_exceeds_the_timeout_is_not_fenced_and_begins_with_another_producer(monkeypatch, end):
    member = fenced_member(monkeypatch, age_s=21.0, displaced=False)
    if end == "commit":
        with pytest.raises(AbortedError, match="longer than 20 s"):
            member.commit({})
    else:
        member.abort()
    assert not isinstance(member._sender.producer, FencedProducer)
    assert not member._ready  # its name is to be taken over anew
    member.abort()  # nothing is open
    member.close()


@pytest.mark.parametrize(("age_s", "displaced"), [(21.0, True), (1.0, False)])
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_who_is_displaced_or_had_time_left_is_fenced(monkeypatch, end, age_s, displaced):
    member = fenced_member(monkeypatch, age_s=age_s, displaced=displaced)
    with pytest.raises(FencedError):
        member.commit({}) if end == "commit" else member.abort()
    with pytest.raises(FencedError):
        member.poll(0.0, 1)
    member.close()
