"""What only Kafka can do to a log: seams of the client, brokers that stop, transactions too long."""

import threading
import time

import pytest

from pipelines.errors import LogError
from pipelines.log.kafka import KafkaLog
from pipelines.log.kafka.blocks import best_send, send_block
from pipelines.log.kafka.client import kafka
from pipelines.log.kafka.columns import ColumnarRecords
from pipelines.log.kafka.outbox import MOST_BYTES, pieces, send_records
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition, make_block
from tests.contracts.log_places import KafkaPlace, Scene, drain, numbered, rows, texts, wait_for

pytestmark = pytest.mark.stream


@pytest.fixture
def scene(kafka_address):
    place = KafkaPlace(kafka_address, "kafka-python")
    scene = Scene(place, place.open())
    yield scene
    scene.close()


def test_the_seams_fit_this_version_of_the_client(scene):
    assert best_send() is send_block
    reader = scene.reader()
    assert reader._consumer._fetcher.PartitionRecords is ColumnarRecords


def test_public_calls_take_over_where_the_client_is_not_as_known(scene, monkeypatch):
    from kafka.consumer.fetcher import Fetcher
    from kafka.record.default_records import DefaultRecordBatchBuilder

    monkeypatch.delattr(Fetcher.PartitionRecords, "drain")
    assert scene.reader()._consumer._fetcher.PartitionRecords is not ColumnarRecords
    monkeypatch.setattr(DefaultRecordBatchBuilder, "__slots__", ())
    monkeypatch.setattr("pipelines.log.kafka.blocks.accumulating.RecordAccumulator", lambda **_: object())
    assert best_send() is send_records


def history(scene):
    """A partition with everything in it: (partition, what a reader of committed records finds)."""
    partition = Partition(scene.topic(), 0)
    worker = scene.worker([partition.topic])
    worker.until_owns(1)
    writer = scene.writer()
    expected = []
    for i in range(12):
        some = [(b"k%d" % i, b"v%d-%d" % (i, j)) for j in range(i)] + [(b"gone", None)]
        block = make_block(partition, some, [(("n", b"%d" % i),)] * len(some))
        if i % 3 == 0:
            writer.write(block)
            writer.flush()
            expected += some
            continue
        worker.member.begin()
        worker.member.write(block)
        if i % 3 == 1:
            worker.member.commit({})
            expected += some
        else:
            wait_for(lambda: worker.member.pending() == 0, lambda: time.sleep(0.01))
            worker.member.abort()
    for codec in ("gzip",):
        producer = kafka.KafkaProducer(bootstrap_servers=scene.place.bootstrap, compression_type=codec)
        for _ in range(50):
            producer.send(partition.topic, b"squeezed" * 9, b"z", partition=0)
            expected.append((b"z", b"squeezed" * 9))
        producer.close()
    return partition, expected


def test_columns_and_the_clients_records_say_the_same(scene, monkeypatch):
    partition, expected = history(scene)
    columns = scene.read(partition)[partition]
    monkeypatch.setattr("pipelines.log.kafka.columns.KNOWN", False)
    records = scene.read(partition)[partition]
    assert columns == records
    assert [(key, value) for _, key, value in columns] == expected
    # From every offset, in small bites, across markers and aborted records.
    monkeypatch.undo()
    end = scene.log._broker.ends([partition])[partition]
    for start in range(0, end, 7):
        reader = scene.reader()
        reader.assign({partition: start})
        found = []
        while reader.positions()[partition] < end:
            for batch in reader.poll(0.2, 3):
                assert len(batch.offsets) <= 3
                assert batch.position > batch.offsets[-1]
                found += rows(batch)
        assert found == [each for each in records if each[0] >= start]


def test_the_positions_of_a_reader_are_beyond_the_last_marker(scene):
    partition, _ = history(scene)
    reader = scene.reader()
    reader.assign({partition: None})
    drain(reader, [partition])
    assert reader.positions() == reader.ends([partition])


def test_blocks_are_cut_to_fit_and_none_is_lost():
    block = make_block(Partition("t", 0), [(b"k", b"x" * (i % 5000)) for i in range(2000)])
    parts = list(pieces(block))
    assert sum(len(each.keys) for each in parts) == 2000
    assert [value for each in parts for value in (each.value(i) for i in range(len(each.keys)))] == [
        block.value(i) for i in range(2000)
    ]
    with pytest.raises(LogError, match="too large"):
        list(pieces(make_block(Partition("t", 0), [(b"k", b"x" * (MOST_BYTES + 1))])))


def test_what_a_topic_finds_too_large_is_an_error_once(scene):
    partition = Partition(scene.topic(), 0)
    ticks = scene.topic()
    admin = kafka.KafkaAdminClient(bootstrap_servers=scene.place.bootstrap)
    resource = kafka.admin.ConfigResource("TOPIC", partition.topic, {"max.message.bytes": "2000"})
    admin.alter_configs([resource])
    admin.close()
    worker = scene.worker([ticks])
    worker.until_owns(1)
    worker.member.begin()
    worker.member.write(make_block(partition, [(b"k", b"x" * 500)] * 20))
    with pytest.raises(LogError, match=r"max\.message\.bytes") as caught:
        worker.member.commit({})
    assert not caught.value.retriable
    worker.member.begin()
    worker.member.write(make_block(partition, [(b"k", b"small")]))
    worker.member.commit({})
    assert texts(scene.read(partition)[partition]) == [b"small"]


def test_an_old_answer_is_not_taken_for_the_committed_position(scene):
    from kafka.future import Future
    from kafka.structs import OffsetAndMetadata

    ticks = scene.topic()
    source = Partition(ticks, 0)
    worker = scene.worker([ticks])
    worker.until_owns(1)
    worker.member.begin()
    worker.member.commit({source: 7})
    tp = kafka.TopicPartition(*source)
    kept = worker.member._consumer._coordinator._offset_fetch_futures
    kept[frozenset([tp])] = Future().success({tp: OffsetAndMetadata(3, "", -1)})
    assert worker.member._consumer.committed(tp) == 3  # so the client does it
    kept[frozenset([tp])] = Future().success({tp: OffsetAndMetadata(3, "", -1)})
    assert worker.member.committed([source]) == {source: 7}


def test_small_blocks_share_batches_and_keep_their_order(scene):
    partition = Partition(scene.topic(), 0)
    writer = scene.writer(linger_ms=20)
    for i in range(300):
        writer.write(make_block(partition, numbered(2, 2 * i)))
    assert writer.pending() > 0
    writer.flush()
    assert texts(scene.read(partition)[partition]) == [value for _, value in numbered(600)]


@pytest.mark.slow
def test_what_was_never_delivered_is_never_committed(kafka_cluster):
    cluster = kafka_cluster(1)
    place = KafkaPlace(cluster.bootstrap, "kafka-python")
    scene = Scene(place, place.open())
    ticks, outputs = scene.topic(), scene.topic()
    source, target = Partition(ticks, 0), Partition(outputs, 0)
    worker = scene.worker([ticks], transaction_timeout_s=4.0, session_timeout_s=30.0)
    worker.until_owns(1)
    worker.member.begin()
    worker.member.write(make_block(target, [(b"k", b"delivered")]))
    wait_for(lambda: worker.member.pending() == 0, lambda: time.sleep(0.01))
    cluster.pause(1)
    threading.Timer(12.0, cluster.resume, [1]).start()
    worker.member.write(make_block(target, [(b"k", b"not delivered")]))
    started = time.monotonic()
    with pytest.raises(LogError):
        worker.member.commit({source: 2})
    assert time.monotonic() - started < 15.0
    time.sleep(max(0.0, 13.0 - (time.monotonic() - started)))
    wait_for(lambda: _works(worker, source, target), lambda: worker.turn(0.2))
    assert texts(scene.read(target)[target]) == [b"later"]
    assert worker.member.committed([source]) == {source: 3}
    scene.close()


def _works(worker, source, target):
    try:
        worker.member.begin()
        worker.member.write(make_block(target, [(b"k", b"later")]))
        worker.member.commit({source: 3})
    except LogError as error:
        if not error.retriable:
            raise
        worker.member.abort()
        return False
    return True


@pytest.mark.slow
def test_a_broker_that_restarts_interrupts_and_ends_nothing(kafka_cluster):
    cluster = kafka_cluster(1)
    log = KafkaLog(cluster.bootstrap)
    log.make_topics([Topic("t", 1)])
    partition = Partition("t", 0)
    writer, reader = log.writer(), log.reader()
    writer.write(make_block(partition, numbered(10)))
    writer.flush()
    cluster.kill(1)
    writer.write(make_block(partition, numbered(10, 10)))
    with pytest.raises(LogError) as caught:
        KafkaLog(cluster.bootstrap)
    assert caught.value.retriable
    cluster.start(1)
    writer.flush()
    reader.assign({partition: None})
    assert texts(drain(reader, [partition])[partition]) == [value for _, value in numbered(20)]
    for each in (reader, writer, log):
        each.close()


def test_a_member_that_is_warm_compiles_nothing_more(scene):
    from pipelines.kernels import record_batch
    from pipelines.log.kafka.warming import warm

    warm()
    before = [len(each.signatures) for each in (record_batch.survey, record_batch.unpack, record_batch.pack)]
    partition, _ = history(scene)
    scene.read(partition)
    after = [len(each.signatures) for each in (record_batch.survey, record_batch.unpack, record_batch.pack)]
    assert after == before
