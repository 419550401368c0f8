"""What drivers say, told on one line with what to do; the faults themselves are in test_faults.py."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing

import pytest

from forecast.errors import InputError
from pipelines.errors import TrackingError
from pipelines.tracking import Tracker, tracker
from pipelines.tracking.faults import named, too_late
from pipelines.tracking.file_store import check_file

URI = "http://ann:secret@host:5000"


@pytest.mark.parametrize(
    ("text", "said", "retriable"),
    [
        ("(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO runs", "held by another", True),
        ("(sqlite3.OperationalError) database table is locked: runs", "held by another", True),
        ("attempt to write a readonly database", "check the permissions", False),
        ("(sqlite3.DatabaseError) file is not a database", "name another", False),
        ("database disk image is malformed", "restore it from a backup", False),
        ("(sqlite3.OperationalError) database or disk is full", "make room", True),
        ("HTTPConnectionPool: Read timed out. (read timeout=60)", "did not answer in time", True),
        ("('Connection aborted.', RemoteDisconnected('closed without response'))", "hung up", True),
        ("too many 503 error responses", "answers with error 503", True),
        ("failed with error code 401 != 200. Response body: ''", "MLFLOW_TRACKING_USERNAME", False),
        ("failed with error code 404 != 200. Response body: '<h1>", "is no MLflow server", False),
        ("SSLError(1, 'wrong version number')", "check http or https", False),
    ],
)
def test_what_is_known_is_said_with_what_to_do(text, said, retriable):
    error = named(URI, RuntimeError(text))
    assert said in str(error)
    assert error.retriable is retriable
    assert "\n" not in str(error)
    assert "secret" not in str(error)


def test_a_full_disk_is_known_by_its_number():
    error = named(URI, OSError(errno.ENOSPC, "No space left on device", "/x"))
    assert error.retriable
    assert "make room" in str(error)


@pytest.mark.parametrize(
    ("raised", "retriable"),
    [(FileNotFoundError("/gone"), False), (InputError("no"), False), (RuntimeError("odd"), True)],
)
def test_what_is_not_known_is_passed_on(raised, retriable):
    error = named(URI, raised)
    assert str(raised) in str(error)
    assert error.retriable is retriable


def test_a_long_reason_is_cut_and_an_empty_one_has_a_name():
    assert len(str(named(URI, RuntimeError("x\n" * 5000)))) < 400
    assert "KeyError" in str(named(URI, KeyError()))


def test_an_error_of_ours_stays_as_it_is():
    ours = TrackingError("deleted", retriable=False)
    assert named(URI, ours) is ours


def test_a_deadline_is_told_with_what_to_do():
    assert "run again later or allow more" in str(too_late(URI, 60))
    assert "may hold the file" in str(too_late("sqlite:////x.db", 60))


def test_a_good_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "deep" / "mlflow.db"
    check_file(path, write=True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_no_room_for_another_process_is_worth_another_try(monkeypatch, tmp_path):
    def popen(*_, **__):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(tracker.subprocess, "Popen", popen)
    with pytest.raises(TrackingError, match="cannot be started") as caught:
        Tracker(f"sqlite:///{tmp_path}/mlflow.db").start()
    assert caught.value.retriable
