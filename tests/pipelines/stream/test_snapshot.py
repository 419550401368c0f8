"""Snapshot files: used when they are whole and of this changelog, else as if they were not there."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from pipelines.errors import StreamError
from pipelines.log.records import Partition
from pipelines.stream.metrics import Totals
from pipelines.stream.service import run_service
from pipelines.stream.snapshot import Header, Snapshots, Taken
from pipelines.stream.stopping import Stop
from tests.pipelines.stream.adding import TOPICS, AddingEngine, block, pairs, served
from tests.pipelines.stream.faulty import FaultyLog, Plan
from tests.pipelines.stream.sums import check, fill, options

PLACE = Partition("state", 3)
STATE = {b"a": (1, 2), b"b": (3, 4), b"": (5, 6)}


def taken(**changes):
    blocks = [block("state", 3, pairs(STATE)), block("state", 3, []), block("state", 3, [(b"k", b"v")])]
    return Taken(
        **({"place": PLACE, "version": "v", "position": 50, "source": 20, "blocks": blocks} | changes)
    )


@pytest.fixture
def snapshots(tmp_path):
    return Snapshots(tmp_path, "group/one", Totals())


def records(loaded):
    return [(b.key(i), b.value(i)) for b in loaded.batches for i in range(len(b.offsets))]


def test_what_is_written_is_read(snapshots):
    snapshots.write(taken())
    loaded = snapshots.read(PLACE, 0, 50, 20)
    assert loaded.position == 50
    assert records(loaded) == [*pairs(STATE), (b"k", b"v")]
    assert snapshots.read(Partition("state", 4), 0, 50, 20) is None
    assert [p.name for p in snapshots.path(PLACE).parent.iterdir()] == ["3.state"]


def test_one_that_is_replaced_while_it_is_read_stays_as_it_was(snapshots):
    snapshots.write(taken())
    loaded = snapshots.read(PLACE, 0, 50, 20)
    snapshots.write(taken(blocks=[block("state", 3, [(b"new", b"x" * 1000)])]))
    assert len(records(loaded)) == 4


@pytest.mark.parametrize(
    ("first", "end", "source", "reason"),
    [
        (51, 60, 20, "not in the changelog"),
        (0, 49, 20, "not in the changelog"),
        (0, 60, 19, "knows ticks up to 20"),
    ],
    ids=["older than the changelog", "newer than the changelog", "newer than what is committed"],
)
def test_one_of_another_time_is_not_used(snapshots, caplog, monkeypatch, first, end, source, reason):
    monkeypatch.setattr("pipelines.logs.log.propagate", True)
    snapshots.write(taken())
    assert snapshots.read(PLACE, first, end, source) is None
    assert reason in caplog.text
    assert snapshots._totals.counts["snapshots_refused"] == 1


def test_one_of_another_group_is_not_used(tmp_path, snapshots):
    snapshots.write(taken())
    other = Snapshots(tmp_path, "other", Totals())
    other.path(PLACE).parent.mkdir(parents=True)
    snapshots.path(PLACE).rename(other.path(PLACE))
    assert other.read(PLACE, 0, 50, 20) is None


def test_a_byte_that_is_wrong_anywhere_is_seen(snapshots):
    snapshots.write(taken())
    path = snapshots.path(PLACE)
    good = path.read_bytes()
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1
        path.write_bytes(bad)
        loaded = snapshots.read(PLACE, 0, 50, 20)
        if loaded is not None:  # in the version, which is for people, or a number that is right as well
            assert records(loaded) == [*pairs(STATE), (b"k", b"v")]
            assert at < len(good) - 200


def test_a_file_that_is_cut_anywhere_is_seen(snapshots):
    snapshots.write(taken())
    path = snapshots.path(PLACE)
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        assert snapshots.read(PLACE, 0, 50, 20) is None


@pytest.mark.parametrize("numbers", [(-1, 0), (2**62, 0), (0, 2**62), (1, -1)])
def test_lengths_that_lie_under_a_right_sha256_are_refused(snapshots, numbers):
    import hashlib

    body = b"".join(n.to_bytes(8, "little", signed=True) for n in numbers) + b"\0" * 64
    header = Header(
        format=1, group="group/one", topic="state", partition=3, version="v", position=50, source=20,
        records=1, bytes=len(body), sha256=hashlib.sha256(body).hexdigest(),
    )  # fmt: skip
    text = msgspec.json.encode(header)
    path = snapshots.path(PLACE)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"FCSTSNP1" + len(text).to_bytes(4, "little") + text + body)
    loaded = snapshots.read(PLACE, 0, 50, 20)
    with pytest.raises(StreamError, match="damaged"):
        records(loaded)


def test_a_worker_restores_from_its_snapshots_and_reads_only_what_came_after(log, tmp_path):
    expected = fill(
        log, half=lambda: run_service(log, AddingEngine(), served(), options(tmp_path=tmp_path), Stop())
    )
    engine, restored = AddingEngine(), []
    engine.restore = lambda number, batch: (
        restored.append(len(batch.offsets)), AddingEngine.restore(engine, number, batch)
    )  # fmt: skip
    plan = Plan()
    run_service(FaultyLog(log, plan), engine, served(), options(tmp_path=tmp_path), Stop())
    check(log, expected, engine)
    assert restored == [3, 3]
    assert "reader.poll" not in plan.calls


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_worker_whose_snapshots_are_damaged_reads_the_changelog(log, tmp_path, damage):
    expected = fill(
        log, half=lambda: run_service(log, AddingEngine(), served(), options(tmp_path=tmp_path), Stop())
    )
    for path in (tmp_path / "snapshots").rglob("*.state"):
        path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    engine = AddingEngine()
    totals = run_service(log, engine, served(), options(tmp_path=tmp_path), Stop())
    check(log, expected, engine)
    assert totals.counts["snapshots_refused"] == 2


def test_a_disk_that_is_full_costs_the_snapshot_only(log, tmp_path, monkeypatch):
    def full(self, taken):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Snapshots, "write", full)
    expected, engine = fill(log), AddingEngine()
    totals = run_service(log, engine, served(), options(tmp_path=tmp_path), Stop())
    check(log, expected, engine)
    assert totals.counts["snapshots_failed"] >= 2
    assert totals.counts["snapshots"] == 0


def test_a_worker_whose_partitions_are_anothers_takes_no_snapshot(log, tmp_path):
    """It was silent for too long, and what the changelog has of the other is not in its state."""

    class Silent(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            ends = member.end.ends

            def late(places):
                if any(at.topic == TOPICS.state for at in places):
                    with log._file.writing() as connection:
                        connection.execute("UPDATE seat SET instance = 'two', epoch = epoch + 1")
                return ends(places)

            member.end.ends = late
            return member

    fill(log)
    end = replace(options(tmp_path=tmp_path), snapshot_interval_s=1e9)
    run_service(Silent(log, Plan()), AddingEngine(), served(), end, Stop())
    assert not list(tmp_path.rglob("*.state"))
