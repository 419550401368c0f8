"""states on disk: what was answered stays, each point once, across processes and releases."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.runtime import Bundle, Device
from edge.runtime.device import status
from edge.runtime.errors import ClockError, DeviceError
from edge.runtime.installing import install, rollback
from edge.runtime.kept import KEEP_TICKS, Kept, PastTick
from edge.runtime.keys import read_keys
from edge.runtime.state import StateFile
from tests.edge.runtime.bundles import HOUR, KEY, Spec, keys_json, members, newer, write_folder

ONE = Spec()
KEYS = read_keys(keys_json(KEY))


def put(tmp_path, spec):
    return install(write_folder(tmp_path / f"b{spec.version}", members(spec)), tmp_path / "root", KEYS)


@pytest.fixture
def root(tmp_path):
    put(tmp_path, ONE)
    return tmp_path / "root"


def test_a_state_outlives_the_process(root):
    bundle = Bundle.open(root / "current", keys=KEYS)
    for k in range(5):
        with Device.open(root) as device:
            got = device.bundle.step("a", 10.0 + k if k != 2 else None)
            want = bundle.step("a", 10.0 + k if k != 2 else None)
            np.testing.assert_array_equal(got.mean, want.mean)
            np.testing.assert_array_equal(got.variance, want.variance)
            assert (got.ts_ms, got.gap) == (want.ts_ms, want.gap)


def test_each_point_is_taken_in_once_by_whatever_process(root):
    ts = ONE.last_ts_ms + HOUR
    with Device.open(root) as one, Device.open(root) as other:
        one.bundle.step("a", 10.0, ts)
        with pytest.raises(ClockError):
            other.bundle.step("a", 10.0, ts)
        other.bundle.step("a", 11.0, ts + HOUR)
        with pytest.raises(ClockError):
            one.bundle.step("a", 12.0, ts + HOUR)
        one.bundle.step("b", 12.0, ts)


def test_threads_take_each_point_in_once(root):
    taken, refused = [], []

    def run():
        with Device.open(root) as device:
            for k in range(20):
                try:
                    device.bundle.step("a", 10.0, ONE.last_ts_ms + (k + 1) * HOUR)
                    taken.append(k)
                except ClockError:
                    refused.append(k)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    assert len(taken) + len(refused) == 60
    assert max(taken) == 19


STEPPER = """
import sys
from edge.runtime import Device
with Device.open(sys.argv[1]) as device:
    k = 0
    while True:
        got = device.bundle.step("a", 10.0 + k % 7)
        print(got.ts_ms, flush=True)
        k += 1
"""


@pytest.mark.slow
def test_a_process_that_is_killed_has_lost_nothing_that_it_answered(root):
    last = ONE.last_ts_ms
    for _ in range(4):
        command = [sys.executable, "-c", STEPPER, str(root)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
        ) as process:
            lines = [int(process.stdout.readline()) for _ in range(15)]
            process.kill()
            lines += [int(line) for line in process.stdout.read().split() if len(line) == 13]
        assert lines[0] == last + HOUR or lines[0] == last + 2 * HOUR  # one may be kept and not told
        with Device.open(root, read_only=True) as device:
            last = device.bundle.forecast("a").ts_ms
        assert last >= lines[-1]


HALF_WRITTEN = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 2")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE state SET ts_ms = 0")
db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
           "INSERT INTO tick SELECT 'x', i, i, 'filler' FROM n")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("read_only", [True, False])
def test_what_was_half_written_is_undone_by_whoever_comes_next(root, read_only):
    with Device.open(root) as device:
        want = device.bundle.step("a", 10.0)
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(root / "state.db")], check=False)
    assert (root / "state.db-journal").stat().st_size > 0
    with Device.open(root, read_only=read_only) as device:
        got = device.bundle.forecast("a")
    assert got.ts_ms == want.ts_ms
    np.testing.assert_array_equal(got.mean, want.mean)


def test_a_new_release_catches_up_on_the_ticks_that_were(tmp_path, root):
    with Device.open(root) as device:
        for k, y in enumerate([10.0, 12.0, None, 11.0]):
            device.bundle.step("a", y, ONE.last_ts_ms + (k + 1 + (k > 2)) * HOUR)
    two = newer(ONE)
    put(tmp_path, two)
    fresh = Bundle.open(root / "current", keys=KEYS)
    for y in (10.0, 12.0, None, None):
        fresh.step("a", y)
    want = fresh.step("a", 11.0)
    with Device.open(root) as device:
        got = device.bundle.forecast("a")
        np.testing.assert_array_equal(got.mean, want.mean)
        assert got.ts_ms == want.ts_ms
        np.testing.assert_array_equal(device.bundle.step("a", 13.0).mean, fresh.step("a", 13.0).mean)
        assert device.bundle.forecast("b").ts_ms == two.last_ts_ms


def test_a_new_release_that_knows_the_data_begins_where_it_was_made(tmp_path, root):
    with Device.open(root) as device:
        for k in range(4):
            device.bundle.step("a", 10.0 + k)
    put(tmp_path, replace(newer(ONE), last_ts_ms=ONE.last_ts_ms + 3 * HOUR))
    fresh = Bundle.open(root / "current", keys=KEYS)
    with Device.open(root) as device:
        np.testing.assert_array_equal(device.bundle.forecast("a").mean, fresh.step("a", 13.0).mean)


def test_a_rollback_goes_on_with_the_ticks_of_the_other_release(tmp_path, root):
    with Device.open(root) as device:
        device.bundle.step("a", 10.0)
    put(tmp_path, newer(ONE))
    with Device.open(root) as device:
        device.bundle.step("a", 11.0)
    rollback(root)
    fresh = Bundle.open(root / "current", keys=KEYS)
    fresh.step("a", 10.0)
    want = fresh.step("a", 11.0)
    with Device.open(root) as device:
        got = device.bundle.forecast("a")
        assert got.ts_ms == want.ts_ms
        np.testing.assert_array_equal(got.mean, want.mean)


def test_regressors_of_old_ticks_that_a_new_model_lacks_stop_the_catching_up(tmp_path, root):
    with Device.open(root) as device:
        device.bundle.step("a", 10.0)
    rich = replace(newer(ONE), beta=(2.0,), exog=("temp",))
    put(tmp_path, rich)
    with Device.open(root) as device:
        assert device.bundle.forecast("a", X={"temp": np.zeros(4)}).ts_ms == rich.last_ts_ms
        device.bundle.step("a", 10.0, X={"temp": 1.0})


def test_only_so_many_ticks_are_kept(tmp_path):
    states, kept = StateFile(tmp_path / "s.db", "r", 0), Kept(0, 0, 0, np.zeros(2), None, np.zeros((0, 0)))
    with states.transaction():
        for ts in range(KEEP_TICKS + 50):
            states.put("a", kept, PastTick(ts, None, {}))
        states.put("b", kept, PastTick(3, 1.5, {"x": 2.0}))
    assert [tick.ts_ms for tick in states.after("a", -1)] == list(range(50, KEEP_TICKS + 50))
    assert states.after("b", 2) == [PastTick(3, 1.5, {"x": 2.0})]
    assert states.after("b", 3) == []
    states.close()


def test_what_is_kept_comes_back_bit_by_bit(tmp_path):
    rng = np.random.default_rng(0)
    kept = Kept(-5, 2**40, 3, rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=(4, 2)))
    states = StateFile(tmp_path / "s.db", "r", 2)
    with states.transaction():
        states.put("a", kept, PastTick(1, None, {}))
        states.put("b", kept._replace(cov=None, tail=np.zeros((0, 2))), PastTick(1, None, {}))
    got, other = states.get("a"), states.get("b")
    assert got[:3] == kept[:3]
    for mine, theirs in zip(got[3:], kept[3:], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (other.cov, other.tail.shape) == (None, (0, 2))
    assert states.get("c") is None
    assert (states.moved(), StateFile(tmp_path / "s.db", "other", 2).moved()) == (2, 0)
    states.keep_only(["other"])
    assert states.moved() == 0


def test_what_raises_in_a_transaction_was_never_written(tmp_path):
    states = StateFile(tmp_path / "s.db", "r", 0)
    with suppress(ClockError), states.transaction():
        states.put("a", Kept(0, 0, 0, np.zeros(1), None, np.zeros((0, 0))), PastTick(0, None, {}))
        raise ClockError("no")
    assert states.get("a") is None


def test_every_answered_tick_waits_for_the_disk(tmp_path):
    states = StateFile(tmp_path / "s.db", "r", 0)
    assert states._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_damaged_file_is_refused(root):
    (root / "state.db").write_bytes(b"rot" * 1000)
    with pytest.raises(DeviceError, match="move it away"):
        Device.open(root)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE state SET state = x'00'", "UPDATE state SET state = x'0000000000000000'",
        "UPDATE state SET state = 'text'", "UPDATE state SET state = x'000000000000f87f000000000000f87f'",
        "UPDATE state SET ts_ms = 'late'", "UPDATE tick SET exog = '['; DELETE FROM state",
    ],
)  # fmt: skip
def test_a_damaged_row_is_told_with_its_series(root, change):
    with Device.open(root) as device:
        device.bundle.step("a", 10.0)
    with sqlite3.connect(root / "state.db") as db:
        db.executescript(change)
    db.close()
    with Device.open(root) as device:
        with pytest.raises(DeviceError, match=r"state\.db is damaged where series 'a'.*move the file away"):
            device.bundle.step("a", 10.0)
        device.bundle.step("b", 10.0)


@pytest.mark.parametrize("lost", ["DROP TABLE state", "PRAGMA user_version = 9"])
def test_status_tells_of_states_that_cannot_be_read(root, lost):
    with Device.open(root) as device:
        device.bundle.step("a", 10.0)
    with sqlite3.connect(root / "state.db") as db:
        db.execute(lost)
    db.close()
    found = status(root)
    assert found["series_moved"] is None
    assert "state" in found["error"]


def test_a_file_of_a_later_version_is_refused(root):
    with sqlite3.connect(root / "state.db") as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(DeviceError, match="upgrade"):
        Device.open(root)


def fill_the_disk(device):
    for k in range(400):
        device.bundle.step(("b", "7")[k % 2], 1.0)


def test_a_full_disk_takes_no_tick_in(root):
    with Device.open(root) as device:
        first = device.bundle.step("a", 10.0)
        device.states._db.execute("PRAGMA synchronous = OFF")  # 400 waits for the disk are a second
        device.states._db.execute("PRAGMA max_page_count = 1")  # as many pages as there are: not one more
        with pytest.raises(DeviceError, match="not taken in"):
            fill_the_disk(device)
        device.states._db.execute("PRAGMA max_page_count = 100000")
        assert device.bundle.forecast("a").ts_ms == first.ts_ms
        device.bundle.step("a", 11.0)


def test_reading_alone_writes_nothing(root):
    with Device.open(root, read_only=True) as device:
        assert device.bundle.forecast("a").ts_ms == ONE.last_ts_ms
        with pytest.raises(DeviceError, match="reading only"):
            device.bundle.step("a", 1.0)
    assert not (root / "state.db").exists()
    with Device.open(root) as device:
        device.bundle.step("a", 10.0)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in root.iterdir())
    with Device.open(root, read_only=True) as device:
        assert device.bundle.forecast("a").ts_ms == ONE.last_ts_ms + HOUR
        with pytest.raises(DeviceError):
            device.bundle.step("a", 1.0)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in root.iterdir()) == before
    assert os.listdir(root)
