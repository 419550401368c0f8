"""What fails outside while a job runs: one line, the exit code that is promised, and --resume goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.store import open_store, upgrade
from pipelines.store.engine import writing
from pipelines.train.run_folder import create, reopen
from tests.pipelines.train.conftest import RESUME, prepare
from tests.pipelines.train.left import left, litter, rows
from tests.pipelines.train.test_cli import call

LATER, PERSON = 75, 1


def last_line(said):
    """The line of the error; there is no traceback."""
    assert "Traceback" not in said
    return said.rstrip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.ops
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("point", ["file:stages/fit.json", "call:store:Store.write_observations:1"])
def test_a_server_that_goes_down(point, whole, room, new_url, children, job, postgres):
    url = prepare(new_url, job)
    child = children.start(*RESUME, "--store", url, point=point, act="wait")
    child.until_there()
    postgres.stop()
    try:
        Path("go").touch()
        assert child.wait() == LATER
        assert "postgresql+psycopg://forecast@" in last_line(child.said())
        again = children.run(*RESUME, "--store", url)
        assert again[0] == LATER
        assert "does not answer" in last_line(again[1])
    finally:
        postgres.start()
    assert children.run(*RESUME, "--store", url)[0] == 0
    assert left(url, "r-1") == whole


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_store_that_is_locked_for_too_long(whole, room, new_url, children, job):
    url = prepare(new_url, job)
    child = children.start(
        *RESUME, "--store", url, point="file:stages/fit.json", act="wait", lock_timeout_s=0.1
    )
    child.until_there()
    with closing(sqlite3.connect("forecast.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        Path("go").touch()
        assert child.wait() == LATER
        assert "another process is writing" in last_line(child.said())
        assert reopen(Path("runs"), "r-1").facts("report") is not None  # all that needs no store is done
    assert children.run(*RESUME, "--store", url)[0] == 0
    assert left(url, "r-1") == whole


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "point",
    [
        "file:history.json", "file:fit/part-00001.json", "file:backtest/part-00000.parquet",
        "file:.*.tmp/manifest.json", "file:forecasts.parquet", "file:stages/register.json",
    ],
)  # fmt: skip
def test_a_full_disk(point, whole, room, new_url, children, job):
    url = prepare(new_url, job)
    code, said = children.run(*RESUME, "--store", url, point=point, act="full")
    assert code == PERSON, said
    assert "cannot be written: No space left on device" in last_line(said)
    assert litter() == []
    assert children.run(*RESUME, "--store", url)[0] == 0
    assert left(url, "r-1") == whole


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 600 KB; skips where we may not make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        pytest.skip("needs the right to mount a disk of its own")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("what", "room_for"), [("history", 4), ("store", 8), ("store", 72), ("store", 120)])
def test_a_disk_that_is_really_full(what, room_for, small_disk, whole, room, new_url, children, job):
    prepare(new_url, job)
    url = "sqlite:///forecast.db"
    if what == "store":
        url = f"sqlite:///{small_disk}/forecast.db"
        assert call("db", "upgrade", "--store", url).exit_code == 0
    else:
        Path("history").symlink_to(small_disk)
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(b"x" * (free.f_bavail * free.f_bsize - room_for * 1024))
    code, said = children.run(*RESUME, "--store", url)
    assert code == PERSON, said
    assert ("is full" if what == "store" else "No space left") in last_line(said)
    ballast.unlink()
    code, said = children.run(*RESUME, "--store", url)
    assert code == 0, said
    assert rows(url) == {name: whole[name] for name in rows(url)}


def test_of_two_trainers_of_a_fleet_the_second_hears_of_the_first(room, new_url, children, job):
    url = prepare(new_url, job)
    first = children.start(*RESUME, "--store", url, point="file:stages/fit.json", act="wait")
    first.until_there()
    create(Path("runs"), job, "r-2")
    code, said = children.run("train", "--resume", "r-2", "--store", url)
    assert code == LATER
    assert "'r-1'" in last_line(said)
    assert reopen(Path("runs"), "r-2").facts("snapshot") is None
    code, said = children.run(*RESUME, "--store", url)
    assert code == LATER
    assert "r-1 is at work in another process" in last_line(said)
    Path("go").touch()
    assert first.wait() == 0
    assert children.run("train", "--resume", "r-2", "--store", url)[0] == 0
    assert [len(rows(url)[name]) for name in ("model_version", "champion", "promotion")] == [1, 1, 1]


@pytest.mark.slow
def test_trainers_of_several_fleets_at_once(room, new_url, children, job):
    url = prepare(new_url, job)
    for i in range(4):
        create(Path("runs"), replace(job, fleet=f"fleet-{i}"), f"many-{i}")
    at_work = [
        children.start("train", "--resume", f"many-{i}", "--jobs", 1, "--store", url) for i in range(4)
    ]
    for child in at_work:
        assert child.wait() == 0, child.said()
    assert len(rows(url)["champion"]) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "n_versions"), [("file:stages/fit.json", 1), ("call:store:Store.add_version:1", 2)]
)
def test_a_trainer_that_slept_too_long_commits_nothing(
    point, n_versions, room, new_url, children, job
):  # fmt: skip
    url = prepare(new_url, job)
    create(Path("runs"), replace(job, models=('AR {"lags": 1}',)), "r-2")
    env = {"FORECAST_LEASE_TTL_S": "0.2"}
    sleeper = children.start(*RESUME, "--store", url, point=point, act="stop", env=env)
    sleeper.until_stopped()
    time.sleep(0.3)
    assert children.run("train", "--resume", "r-2", "--store", url)[0] == 0
    before = rows(url)
    os.kill(sleeper.pid, signal.SIGCONT)
    assert sleeper.wait() == LATER
    assert "was lost to 'r-2'" in last_line(sleeper.said())
    assert rows(url) == before
    assert len(before["model_version"]) == n_versions
    assert children.run(*RESUME, "--store", url)[0] == 0
    assert len(rows(url)["model_version"]) == 2
    assert rows(url)["champion"] == before["champion"]


@pytest.mark.ops
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_a_database_without_tables_stops_before_any_work(room, new_url, job):
    create(Path("runs"), job, "r-1")
    done = call(*RESUME, "--store", new_url(), "--no-track")
    assert done.exit_code == PERSON
    assert "has no tables yet" in last_line(done.stderr)
    assert "run `forecast db upgrade`" in last_line(done.stderr)
    assert reopen(Path("runs"), "r-1").facts("snapshot") is None


@pytest.mark.parametrize("state", ["newer", "older"])
def test_a_store_of_another_schema_stops_before_any_work(state, room, new_url, job, monkeypatch):
    url = new_url()
    create(Path("runs"), job, "r-1")
    with open_store(url) as store:
        store.upgrade()
        if state == "newer":
            with writing(store._engine) as connection:
                connection.exec_driver_sql("UPDATE forecast_alembic_version SET version_num = '9999'")
    if state == "older":
        monkeypatch.setattr(upgrade, "_head", lambda script: "0004")
        monkeypatch.setattr(upgrade, "_known", lambda script: ["0004", "0003"])
    done = call(*RESUME, "--store", url, "--no-track")
    assert done.exit_code == PERSON
    fix = "install the release that upgraded it" if state == "newer" else "run `forecast db upgrade`"
    assert fix in last_line(done.stderr)
    assert reopen(Path("runs"), "r-1").facts("snapshot") is None
