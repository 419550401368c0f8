"""The archive: what was written is read once, whatever is merged, repeated, killed or damaged meanwhile."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import HistoryError
from pipelines.history import tick_files
from pipelines.history.tick_files import TickFile
from pipelines.monitor import archive as module
from pipelines.monitor.archive import TickArchive, choose, read_ticks
from tests.pipelines.monitor.archived import IDS, expected, ticks

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small(monkeypatch):
    """Files are merged early."""
    monkeypatch.setattr(module, "_FEW", 4)
    monkeypatch.setattr(module, "_SMALL_ROWS", 100)
    monkeypatch.setattr(module, "_LARGE_ROWS", 1000)


@pytest.fixture
def kept(tmp_path):
    return TickArchive(tmp_path / "fleet" / "ticks")


def put(archive, first, size, partition=3):
    ids, ts, y, exog, offsets = ticks(first, size)
    return archive.write(partition, first, first + size - 1, ids, ts, y, exog, offsets)


def as_dict(frame):
    temp = frame["temp"] if "temp" in frame else np.full(len(frame), math.nan)
    keys = list(zip(frame["unique_id"], frame["ts_ms"], strict=True))
    assert len(set(keys)) == len(keys), "a tick is there twice"
    assert keys == sorted(keys)
    return dict(zip(keys, zip(frame["y"], temp, strict=True), strict=True))


def check(folder, first, last):
    found, wanted = as_dict(read_ticks(folder, None)), expected(first, last)
    assert found.keys() == wanted.keys()
    np.testing.assert_array_equal([found[key] for key in wanted], list(wanted.values()))


def simple(archive, first, ts, y, ids=None, partition=0, **exog):
    n = len(ts)
    return archive.write(
        partition, first, first + n - 1, ids or ["a"] * n, np.array(ts), np.array(y, dtype=float),
        {name: np.array(values, dtype=float) for name, values in exog.items()},
    )  # fmt: skip


def test_what_is_written_is_read(kept):
    put(kept, 0, 100)
    check(kept.folder, 0, 99)


def test_a_folder_that_is_not_there_holds_no_ticks(tmp_path):
    frame = read_ticks(tmp_path / "none", ["a"])
    assert list(frame.columns) == ["unique_id", "ts_ms", "y"]
    assert frame.dtypes.astype(str).tolist()[1:] == ["int64", "float64"]
    assert frame.empty


def test_only_what_is_asked_for_is_read(kept):
    put(kept, 0, 500)
    put(kept, 500, 500)
    frame = read_ticks(kept.folder, ["é\u2028日本", "nobody"], after_ms=20_000, until_ms=800_000)
    wanted = {
        key: value
        for key, value in expected(0, 999).items()
        if key[0] == "é\u2028日本" and 20_000 < key[1] <= 800_000
    }
    assert as_dict(frame).keys() == wanted.keys()
    assert read_ticks(kept.folder, []).empty
    assert read_ticks(kept.folder, ["nobody"]).empty
    assert read_ticks(kept.folder, None, after_ms=10**12).empty


def test_row_groups_of_others_are_not_unpacked(kept, monkeypatch):
    import pyarrow.parquet as pq

    n = 300_000
    ids = [f"s{k // 1000:04d}" for k in range(n)]
    kept.write(0, 0, n - 1, ids, np.tile(np.arange(1000), 300), np.zeros(n))
    groups = []
    read = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, chosen: groups.append(list(chosen)) or read(self, chosen),
    )
    assert len(read_ticks(kept.folder, ["s0150"])) == 1000
    assert len(groups) == 1
    assert len(groups[0]) == 1


def test_the_same_range_again_replaces(kept):
    first = simple(kept, 0, [1, 2], [1.0, 2.0])
    assert simple(kept, 0, [1, 2], [1.0, 3.0]) == first
    assert read_ticks(kept.folder, None)["y"].tolist() == [1.0, 3.0]
    assert kept.files == 1


def test_the_last_value_by_offset_wins_in_whatever_order_files_were_written(kept):
    simple(kept, 10, [5], [2.0], x=[7.0])
    simple(kept, 0, [5], [1.0], x=[6.0])
    assert read_ticks(kept.folder, None)[["y", "x"]].to_numpy().tolist() == [[2.0, 7.0]]


def test_a_range_within_another_does_not_bring_back_an_older_value(kept):
    simple(kept, 11, [5], [1.0])  # before a crash
    kept.write(0, 0, 20, ["a", "a"], np.array([5, 5]), np.array([1.0, 2.0]), None, np.array([11, 15]))
    assert read_ticks(kept.folder, None)["y"].tolist() == [2.0]


def test_a_tick_ahead_of_its_value_takes_nothing_from_it(kept):
    simple(kept, 0, [5], [math.nan], temp=[20.0])
    simple(kept, 1, [5], [1.0])
    simple(kept, 2, [5], [math.nan], rain=[3.0])
    frame = read_ticks(kept.folder, None)
    assert frame.to_dict("records") == [{"unique_id": "a", "ts_ms": 5, "y": 1.0, "temp": 20.0, "rain": 3.0}]


def test_missing_values_are_rows(kept):
    simple(kept, 0, [1, 2, 3], [math.nan, math.inf, -math.inf])
    frame = read_ticks(kept.folder, None)
    assert len(frame) == 3
    assert frame["y"].isna().all()


def test_regressors_called_like_our_columns_do_no_harm(kept):
    exog = {"y": [5.0], "ts_ms": [6.0], "unique_id": [7.0], "offset": [8.0], "x.y": [9.0]}
    exog = {name: np.array(values) for name, values in exog.items()}
    kept.write(0, 0, 0, ["a"], np.array([1]), np.array([1.0]), exog)
    frame = read_ticks(kept.folder, None)
    assert frame["y"].tolist() == [1.0]
    assert frame["offset"].tolist() == [8.0]
    assert frame["x.y"].tolist() == [9.0]


def test_times_of_clocks_gone_wrong_are_kept(kept):
    far = 9_223_372_036_854
    simple(kept, 0, [-far, 0, far, 2**62, -(2**62)], [1.0, 2.0, 3.0, 4.0, 5.0])
    frame = read_ticks(kept.folder, ["a"], after_ms=-far, until_ms=far)
    assert frame["y"].tolist() == [2.0, 3.0]
    assert read_ticks(kept.folder, None)["y"].tolist() == [5.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.slow
def test_small_files_become_large_ones(kept, small):
    for k in range(120):
        put(kept, k * 20, 20)
    check(kept.folder, 0, 2399)
    assert kept.files < 12
    assert kept.merges > 10
    put(kept, 0, 20)  # again, after it was merged
    check(kept.folder, 0, 2399)


def test_partitions_are_merged_apart(kept, small):
    for k in range(10):
        for partition in (0, 1):
            simple(kept, k, [k], [float(partition)], [f"p{partition}"], partition)
    names = {file.partition: file for file in tick_files.list_files(kept.folder)}
    assert set(names) == {0, 1}
    assert len(read_ticks(kept.folder, None)) == 20


def test_merging_is_bounded_by_memory():
    files = [TickFile.written(0, k * 50_000, k * 50_000 + 49_999) for k in range(100)]
    assert sum(file.rows for file in choose(files, 1 << 20)) <= (1 << 20) + 50_000
    assert choose(files[:15], 1 << 20) == []
    large = [TickFile.written(0, k << 20, (k + 1 << 20) - 1) for k in range(100)]
    assert choose(large, 1 << 20) == []


def test_files_that_two_writers_merged_never_share_a_name():
    files = [TickFile.written(0, k, k) for k in range(3)]
    assert TickFile.merged(files, 3).name != TickFile.merged([files[0], files[2]], 3).name
    assert TickFile.merged(files, 3).name == TickFile.merged(files[::-1], 3).name


@pytest.mark.parametrize("step", ["write", "unlink"])
def test_a_merge_that_breaks_off_loses_nothing(kept, small, monkeypatch, step):
    for k in range(3):
        put(kept, k * 10, 10)

    def broken(*_args, **_kwargs):
        raise KeyboardInterrupt

    if step == "write":
        put_ = kept._put
        kept._put = lambda file, table: broken() if file.name.count("-") == 4 else put_(file, table)
    else:
        monkeypatch.setattr(Path, "unlink", broken)
    with pytest.raises(KeyboardInterrupt):
        put(kept, 30, 10)
    check(kept.folder, 0, 39)
    monkeypatch.undo()
    fresh = TickArchive(kept.folder)
    put(fresh, 40, 10)
    check(fresh.folder, 0, 49)


@pytest.mark.slow
def test_two_writers_of_one_partition_do_no_harm(kept, small):
    other = TickArchive(kept.folder)
    for k in range(60):
        put(kept, k * 9, 9)
        put(other, max(0, k * 9 - 5), 13)
    check(kept.folder, 0, 59 * 9 + 8)


@pytest.mark.slow
def test_reading_while_files_are_merged(kept, small):
    put(kept, 0, 9)
    done = threading.Event()
    end = [8]

    def write():
        k = 1
        while not done.is_set():
            put(kept, k * 9, 9)
            end[0] = k * 9 + 8
            k += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            before = end[0]
            found = as_dict(read_ticks(kept.folder, None))
            assert expected(0, before).keys() <= found.keys()
    finally:
        done.set()
        thread.join()
    assert kept.merges > 3


@pytest.mark.slow
def test_killed_while_writing_and_merging_nothing_is_lost_or_doubled(tmp_path):
    folder, position = tmp_path / "ticks", 0
    rng = random.Random(0)
    for _ in range(6):
        start = max(0, position - rng.randrange(100))
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.pipelines.monitor.archive_child", str(folder), str(start)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with child:
            try:
                assert child.stdout.readline()
                time.sleep(rng.uniform(0.05, 0.8))
            finally:
                child.send_signal(signal.SIGKILL)
            said = child.stdout.read().split()
        position = max(position, int(said[-1]) if said else 0)
        # What it said is there; one range more may be.
        last = max(found := {row[0] for row in offsets_of(folder)})
        assert last + 1 >= position
        position = last + 1
        check(folder, 0, last)
        assert found
    assert any(file.name.count("-") == 4 for file in tick_files.list_files(folder))
    assert position > 500


def offsets_of(folder):
    import pyarrow.parquet as pq

    for file in tick_files.list_files(folder):
        yield from ((int(offset),) for offset in pq.read_table(folder / file.name)["offset"].to_numpy())


def test_a_damaged_file_is_named_with_what_to_do(kept, small, caplog):
    path = put(kept, 0, 10)
    data = path.read_bytes()
    for bad in (b"", b"PAR1", data[: len(data) // 2], data[:50] + bytes(200) + data[250:]):
        path.write_bytes(bad)
        with pytest.raises(HistoryError, match=r"is damaged .* move it out .* 0 to 9 of partition 3"):
            read_ticks(kept.folder, None)
    for k in range(1, 9):  # writing goes on
        put(kept, k * 10, 10)
    assert caplog.text.count("not merged") == 1
    path.unlink()
    check(kept.folder, 10, 89)


def test_a_damaged_file_does_not_stop_the_others_from_being_merged(kept, small):
    path = put(kept, 0, 10)
    path.write_bytes(b"x")
    for k in range(1, 40):
        put(kept, k * 10, 10)
    assert kept.files < 20


def test_a_parquet_file_of_another_kind_is_damaged(kept):
    path = put(kept, 0, 10)
    pd.DataFrame({"unique_id": ["a"], "ts_ms": ["text"], "y": [1.0], "offset": [0]}).to_parquet(path)
    with pytest.raises(HistoryError, match="column 'ts_ms' is"):
        read_ticks(kept.folder, None)
    pd.DataFrame({"unique_id": ["a"]}).to_parquet(path)
    with pytest.raises(HistoryError, match="no column 'offset'"):
        read_ticks(kept.folder, None)


def test_files_of_others_are_left_alone(kept):
    put(kept, 0, 10)
    for name in (".x.part", "notes.txt", "a.parquet", "00003-0-9.parquet"):
        (kept.folder / name).write_text("x")
    (kept.folder / "folder").mkdir()
    check(kept.folder, 0, 9)
    old = kept.folder / ".x.part"
    os.utime(old, (0, 0))
    TickArchive(kept.folder)
    assert not old.exists()
    assert (kept.folder / "notes.txt").exists()


def test_what_a_living_writer_is_at_is_not_swept(kept):
    part = kept.folder / ".00003-x.parquet.1.part"
    part.write_text("x")
    TickArchive(kept.folder)
    assert part.exists()


def test_old_ticks_are_dropped(tmp_path, small):
    day, now = 86_400_000, [100 * 86_400.0]
    kept = TickArchive(tmp_path, keep_days=10, now_s=lambda: now[0])
    for k in range(30):
        simple(kept, k, [k * day], [float(k)])
    simple(kept, 30, [10**13], [1.0])  # a clock gone wrong keeps no file alive
    now[0] = 35 * 86_400.0
    kept.expire()
    ts = read_ticks(tmp_path, None)["ts_ms"]
    assert 25 * day in set(ts)
    assert 10**13 in set(ts)
    assert ts.min() > 15 * day
    now[0] = 60 * 86_400.0
    simple(kept, 31, [59 * day], [1.0])  # by itself, once an hour
    assert set(read_ticks(tmp_path, None)["ts_ms"]) <= {59 * day, 10**13}


@pytest.mark.parametrize(
    ("first", "last", "ids", "y", "offsets", "what"),
    [
        (5, 4, ["a"], [1.0], None, "no offsets 5 to 4"),
        (-1, 4, ["a"], [1.0], None, "no offsets -1 to 4"),
        (0, 2**63, ["a"], [1.0], None, "no offsets"),
        (0, 0, ["a", "b"], [1.0], None, "1 ticks have 2 ids"),
        (0, 0, ["a"], [1.0, 2.0], None, "1 ticks have 2 y"),
        (0, 9, ["a"], [1.0], [10], "not ascending within 0 to 9"),
        (0, 0, [7], [1.0], None, "cannot be archived"),
        (0, 0, ["\ud800"], [1.0], None, "cannot be archived"),
    ],
)
def test_what_cannot_be_is_refused(kept, first, last, ids, y, offsets, what):
    with pytest.raises(HistoryError, match=what):
        kept.write(
            0, first, last, ids, np.zeros(1, dtype=np.int64), np.array(y), None,
            None if offsets is None else np.array(offsets),
        )  # fmt: skip
    assert kept.files == 0


def test_too_many_regressors_are_refused(kept):
    with pytest.raises(HistoryError, match="257 regressors"):
        simple(kept, 0, [1], [1.0], **{f"x{k}": [1.0] for k in range(257)})


def test_no_ticks_make_no_file(kept):
    assert kept.write(0, 0, 9, [], np.empty(0, np.int64), np.empty(0)) is None
    assert kept.files == 0


def test_a_full_disk_is_an_error_that_can_be_tried_again(kept, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(HistoryError, match="No space left") as caught:
        put(kept, 0, 10)
    assert caught.value.retriable
    monkeypatch.undo()
    assert kept.files == 0
    assert not list(kept.folder.glob(".*"))


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HistoryError, match="cannot be used"):
        TickArchive(tmp_path / "file" / "ticks")


def test_a_folder_that_changes_all_the_time_is_told(kept, monkeypatch):
    count = iter(range(10**6))
    monkeypatch.setattr(tick_files.os, "listdir", lambda _: [str(next(count))])
    with pytest.raises(HistoryError, match="change all the time") as caught:
        read_ticks(kept.folder, None)
    assert caught.value.retriable


def test_names_are_read_back():
    file = TickFile.written(3, 5, 9)
    assert TickFile.parse(file.name) == file
    merged = TickFile.merged([file, TickFile.written(3, 12, 20)], 14)
    assert TickFile.parse(merged.name) == merged
    assert (merged.first, merged.last, merged.rows) == (5, 20, 14)
    assert TickFile.parse("x") is None
    assert len(set(IDS)) == len(IDS)
