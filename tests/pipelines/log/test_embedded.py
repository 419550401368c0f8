"""What can befall the file of an embedded log, and the seat of a group."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.embedded import EmbeddedLog
from pipelines.log.protocol import Delivery, Topic
from pipelines.log.records import Partition, make_block
from tests.contracts.log_places import EmbeddedPlace, Scene, drain, new_membership, numbered, texts, wait_for

P = Partition("t", 0)


@pytest.fixture
def scene(tmp_path):
    place = EmbeddedPlace(tmp_path)
    scene = Scene(place, place.open())
    scene.log.make_topics([Topic("t", 1), Topic("out", 1)])
    yield scene
    scene.close()


def fill(log, count=10, start=0):
    writer = log.writer()
    writer.write(make_block(P, numbered(count, start)))
    writer.close()


def test_another_programs_database_is_refused(tmp_path):
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE fleet (name TEXT)")
    connection.close()
    with pytest.raises(LogError, match="not a log"):
        EmbeddedLog(path)


def test_a_newer_log_is_refused(scene, tmp_path):
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(LogError, match="upgrade"):
        scene.another()


def test_a_damaged_file_is_told(scene, tmp_path):
    fill(scene.log, 2000)
    scene.log.close()
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path = tmp_path / "log.db"
    raw = bytearray(path.read_bytes())
    raw[8192:] = os.urandom(len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(LogError, match="backup"):
        _read_all(path)


def _read_all(path):
    log = EmbeddedLog(path)
    reader = log.reader()
    try:
        reader.assign({P: None})
        return drain(reader, [P])
    finally:
        reader.close()
        log.close()


def test_a_full_disk_keeps_nothing_of_the_write(scene):
    fill(scene.log)
    writer = scene.writer()
    pages = writer._file.connection.execute("PRAGMA page_count").fetchone()[0]
    writer._file.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(LogError, match="full") as caught:
        writer.write(make_block(P, [(b"k", b"x" * 100_000)] * 10))
    assert not caught.value.retriable
    assert len(scene.read(P)[P]) == 10
    writer._file.connection.execute("PRAGMA max_page_count = 1000000")
    writer.write(make_block(P, [(b"k", b"room")]))
    assert texts(scene.read(P)[P])[-1] == b"room"


def test_a_locked_file_is_worth_another_try(scene, tmp_path):
    impatient = EmbeddedLog(tmp_path / "log.db", busy_s=0.05)
    writer = impatient.writer()
    connection = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogError, match="try again") as caught:
        writer.write(make_block(P, numbered(1)))
    assert caught.value.retriable
    connection.close()
    writer.write(make_block(P, numbered(1)))
    writer.close()
    impatient.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_told(scene, tmp_path):
    (tmp_path / "log.db").chmod(0o400)
    with pytest.raises(LogError, match="permissions"):
        fill(scene.log)


def test_the_last_records_are_kept_and_readers_pass_over_the_rest(scene, tmp_path):
    reader = scene.reader()
    reader.assign({P: None})
    log = EmbeddedLog(tmp_path / "log.db", keep=100)
    for start in range(0, 1000, 50):
        fill(log, 50, start)
    log.close()
    assert reader.begins([P]) == {P: 900}
    assert texts(drain(reader, [P])[P]) == [value for _, value in numbered(100, 900)]
    with pytest.raises(LogError, match="keep"):
        EmbeddedLog(tmp_path / "log.db", keep=0)


def test_only_the_newest_of_a_key_takes_room_in_a_compact_topic(scene):
    scene.log.make_topics([Topic("state", 1, compact=True)])
    state = Partition("state", 0)
    writer = scene.writer()
    for i in range(50):
        writer.write(make_block(state, [(b"a", b"%d" % i), (b"b", b"%d" % i)]))
    assert [(offset, value) for offset, _, value in scene.read(state)[state]] == [(98, b"49"), (99, b"49")]


def test_one_large_backlog_is_read_in_parts(scene):
    writer = scene.writer()
    for _ in range(5):
        writer.write(make_block(P, [(b"k", b"x" * 2**20)] * 10))
    reader = scene.reader()
    reader.assign({P: 0})
    batch = reader.poll(1.0, 1000)[0]
    assert 10 < len(batch.offsets) < 50
    assert len(drain(reader, [P])[P]) == 50 - len(batch.offsets)


def test_a_standby_takes_over_when_the_worker_leaves_or_no_longer_polls(scene):
    fill(scene.log)
    short = new_membership(session_timeout_s=0.3)
    first = scene.worker(["t"], short)
    first.until_owns(1)
    second = scene.worker(["t"], replace(short, instance="worker-2"))
    second.turn()
    assert second.owned == set()
    first.member.begin()
    first.member.write(make_block(Partition("out", 0), numbered(1)))
    second.until_owns(1)  # the first did not poll
    with pytest.raises(AbortedError, match="worker-2"):
        first.member.commit({P: 1})
    first.turn()
    assert first.diary[-1] == ("lost", frozenset([P]))
    assert scene.read(Partition("out", 0)) == {Partition("out", 0): []}
    second.member.begin()
    second.member.commit({P: 4})
    second.member.close()
    first.until_owns(1)
    assert first.member.committed([P]) == {P: 4}


def test_at_least_once_tells_a_worker_that_lost_its_seat(scene):
    short = new_membership(session_timeout_s=0.2, delivery=Delivery.AT_LEAST_ONCE)
    first = scene.worker(["t"], short)
    first.until_owns(1)
    second = scene.worker(["t"], replace(short, instance="worker-2"))
    time.sleep(0.3)
    second.until_owns(1)
    with pytest.raises(LogError) as caught:
        first.member.commit({P: 1})
    assert caught.value.retriable
    assert not isinstance(caught.value, FencedError)


def test_a_lease_from_before_a_restart_of_the_machine_is_void(scene, tmp_path):
    first = scene.worker(["t"], session_timeout_s=1000.0)
    first.until_owns(1)
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("UPDATE seat SET boot = 'another', until_ns = 1 << 62")
    connection.close()
    second = scene.worker(["t"], replace(first.membership, instance="worker-2"))
    second.until_owns(1)


CHILD = """
import sys
from pipelines.log import open_log
from pipelines.log.protocol import Listener, Membership
from pipelines.log.records import Partition, make_block
log = open_log(sys.argv[1])
member = log.member(Membership("g", "w"))
quiet = lambda partitions: None
member.join(["t"], Listener(quiet, quiet, quiet))
while not (batches := member.poll(1.0, 1)):
    pass
member.seek({Partition("t", 0): member.committed([Partition("t", 0)])[Partition("t", 0)] or 0})
print("ready", flush=True)
while True:
    for batch in member.poll(1.0, 3):
        member.begin()
        pairs = [(batch.key(i), batch.value(i)) for i in range(len(batch.offsets))]
        member.write(make_block(Partition("out", 0), pairs))
        member.commit({batch.partition: batch.position})
"""


@pytest.mark.slow
def test_killed_workers_write_every_output_once(scene, tmp_path):
    address = f"embedded:{tmp_path / 'log.db'}"
    out = Partition("out", 0)
    total = 30_000
    fill(scene.log, total)
    for round_ in range(8):
        child = subprocess.Popen([sys.executable, "-c", CHILD, address], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.02 * (round_ + 1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        seen = texts(scene.read(out)[out])
        assert seen == [value for _, value in numbered(len(seen))]
        done = scene.member(new_membership(group="g")).committed([P])[P]
        assert (done or 0) == len(seen)
        if len(seen) == total:  # a machine so quick that nothing is left to do
            break
    assert len(seen) > 0


def test_waiting_for_records_ends_as_soon_as_they_are_there(scene):
    reader = scene.reader()
    reader.assign({P: None})
    fill(scene.log, 1)
    wait_for(lambda: reader.positions()[P] == 1, lambda: reader.poll(0.1, 1))
    started = time.monotonic()
    assert reader.poll(0.05, 1) == []
    assert time.monotonic() - started < 1.0
