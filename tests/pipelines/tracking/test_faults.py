"""MLflow that is down, hangs, answers nonsense or has lost its disk: a reason within the deadline, always."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipelines.errors import TrackingError
from pipelines.tracking import Tracker, log_job, runs
from tests.pipelines.tracking.conftest import COMPLETE, ROOT, counts
from tests.services.mlflow_server import free_port

# MLflow is looked for, not imported: the process that logs must not need it.
pytestmark = [
    pytest.mark.ops,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]"),
]

# To end a process and collect it, on a busy machine.
SLACK_S = 1.0


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(16)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


class Stub:
    """A web server with one answer for everything, which may be changed."""

    status, wait_s, body = 200, 0.0, b"no"

    def __init__(self) -> None:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(stub.wait_s)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(stub.status)
                    self.send_header("Content-Length", str(len(stub.body)))
                    self.end_headers()
                    self.wfile.write(stub.body)

            do_POST = do_PUT = do_PATCH = do_GET  # names of the base class

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def stub():
    stub = Stub()
    thread = threading.Thread(target=stub.server.serve_forever, daemon=True)
    thread.start()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def tracker(stub):
    with Tracker(stub.url) as tracker:
        yield tracker


def refused(
    job, url: str, timeout_s: float, tracker: Tracker | None = None, loaded: bool = True
) -> tuple[TrackingError, float]:
    """What is said, on one line, and after how long; `loaded`: the deadline is for the server alone."""
    with tracker or Tracker(url) as used:
        if loaded:
            used.wait(120)
        begin = time.monotonic()
        with pytest.raises(TrackingError) as caught:
            log_job(job, url, timeout_s, tracker=used)
        seconds = time.monotonic() - begin
    assert seconds < timeout_s + SLACK_S
    assert "\n" not in str(caught.value)
    return caught.value, seconds


def test_a_server_that_is_down_is_told_apart_soon(job):
    error, _ = refused(job, f"http://127.0.0.1:{free_port()}", 60, loaded=False)
    assert error.retriable
    assert "refuses connections; start the server" in str(error)


def test_a_name_that_there_is_not(job):
    error, _ = refused(job, "http://no-such-host.invalid:5000", 60, loaded=False)
    assert error.retriable
    assert "unknown host name; check the address" in str(error)


def test_a_server_that_never_answers_costs_the_deadline_and_no_more(job):
    with silence() as url:
        error, seconds = refused(job, url, 1.5)
    assert error.retriable
    assert "not done after 1.5 s; look at the server" in str(error)
    assert seconds >= 1.5


def test_a_deadline_holds_while_mlflow_is_still_loading(job):
    with silence() as url:
        error, _ = refused(job, url, 0.3, loaded=False)
    assert error.retriable


def asked_once(stub: Stub, tracker: Tracker, job, status: int, body: bytes) -> TrackingError:
    """Refusal within a deadline that leaves room for two attempts; the process goes on."""
    stub.status, stub.body = status, body
    tracker.wait(120)
    with pytest.raises(TrackingError) as caught:
        log_job(job, stub.url, 2, tracker=tracker)
    assert "\n" not in str(caught.value)
    assert stub.url in str(caught.value)
    assert tracker._child.poll() is None
    return caught.value


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_errors_of_a_server_are_worth_another_try(stub, tracker, job, status):
    error = asked_once(stub, tracker, job, status, b"no")
    assert error.retriable
    assert f"error {status}; look at the server's log" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"no", "MLFLOW_TRACKING_USERNAME"),
        (403, b"no", "MLFLOW_TRACKING_TOKEN"),
        (404, b"no", "is no MLflow server (404)"),
        (302, b"no", "is no MLflow server (302)"),
        (200, b"{}", "is no MLflow server"),
    ],
)
def test_what_no_repetition_mends_is_said_to_be_so(stub, tracker, job, status, body, said):
    error = asked_once(stub, tracker, job, status, body)
    assert not error.retriable
    assert said in str(error)


def test_a_page_for_people_is_an_error_and_not_a_crash(stub, tracker, job):
    assert len(str(asked_once(stub, tracker, job, 200, b"<html>" + 9000 * b"x\n"))) < 500


def test_a_slow_server_costs_the_deadline_and_no_more(stub, tracker, job):
    stub.status, stub.body, stub.wait_s = 200, b"{}", 30.0
    error, seconds = refused(job, stub.url, 1, tracker)
    stub.wait_s = 0.0
    assert error.retriable
    assert seconds >= 1


@pytest.fixture(scope="module")
def file(ask, tmp_path_factory, job):
    """A file with one job, and MLflow's own answer to another."""
    folder = tmp_path_factory.mktemp("faults")
    uri = f"sqlite:///{folder}/mlflow.db"
    assert "run_id" in ask(uri, answer_to(job))
    return folder / "mlflow.db"


def answer_to(job, timeout_s: float = 1.0) -> str:
    """Code that records a job as the child does."""
    request = {"do": "log", "timeout_s": timeout_s, "summary": job.to_json(), "experiment": "forecast/shop"}
    return f"from pipelines.tracking.child import _answer\nfound = _answer(uri, {request!r})\n"


# CAP_DAC_OVERRIDE, with which permissions are nothing to root, is put down and taken up again.
PERMISSIONS = """
import ctypes, os
words = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
head = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
libc, override = ctypes.CDLL(None), 1 << 1
assert libc.capget(head, words) == 0
words[0] = words[0] & ~override if {mode} == 0o444 else words[0] | words[1] & override
assert libc.capset(head, words) == 0
os.chmod(uri.removeprefix("sqlite:///"), {mode})
"""

FULL_ARTIFACTS = """
import errno, os, shutil
real = shutil.copyfile
def copyfile(source, target, **rest):
    if "mlflow-artifacts" in str(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    return real(source, target, **rest)
shutil.copyfile, shutil.kept = copyfile, real
"""

FULL_DATABASE = """
import sqlalchemy
sqlalchemy.opened = []
def small(connection, _):
    connection.execute("PRAGMA max_page_count = 1")  # as many as there are
    sqlalchemy.opened.append(connection)
sqlalchemy.small = small
sqlalchemy.event.listen(sqlalchemy.Engine, "connect", small)
"""

ROOM_AGAIN = """
import sqlalchemy
sqlalchemy.event.remove(sqlalchemy.Engine, "connect", sqlalchemy.small)
for connection in sqlalchemy.opened:
    connection.execute("PRAGMA max_page_count = 100000")
"""


def faulty(ask, tmp_path, file, job, broken: str = "", sql: str = "", mended: str = "", mend_sql: str = ""):
    """Break a copy of the file, log to it, mend it, log again; return what was said."""
    shutil.copy(file, tmp_path / "mlflow.db")
    uri, later = f"sqlite:///{tmp_path}/mlflow.db", replace(job, job_id="later")

    def execute(statement: str) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
            connection.execute(statement)
            connection.commit()

    if sql:
        execute(sql)
    ask(uri, broken)
    begin = time.monotonic()
    said = ask(uri, answer_to(later))
    seconds = time.monotonic() - begin
    ask(uri, mended)
    if mend_sql:
        execute(mend_sql)
    assert "run_id" in ask(uri, answer_to(later, 60.0)), said
    assert ask(uri, counts("night-1", "later")) == {"night-1": COMPLETE, "later": COMPLETE}
    assert "\n" not in said["error"]
    assert seconds < 10
    return said


def test_a_file_that_must_not_be_written(ask, tmp_path, file, job):
    said = faulty(
        ask, tmp_path, file, job,
        broken=PERMISSIONS.format(mode=0o444), mended=PERMISSIONS.format(mode=0o644),
    )  # fmt: skip
    assert "cannot be written; check the permissions" in said["error"]
    assert not said["retriable"]


def test_a_full_disk_under_the_artifacts(ask, tmp_path, file, job):
    said = faulty(
        ask, tmp_path, file, job,
        broken=FULL_ARTIFACTS, mended="import shutil\nshutil.copyfile = shutil.kept",
    )  # fmt: skip
    assert "no room left on its disk" in said["error"]
    assert said["retriable"]


def test_a_full_disk_under_the_file(ask, tmp_path, file, job):
    long = replace(job, params={**job.params, **{f"p{i}": "x" * 5000 for i in range(20)}})
    said = faulty(ask, tmp_path, file, long, broken=FULL_DATABASE, mended=ROOM_AGAIN)
    assert "no room left on its disk" in said["error"]
    assert said["retriable"]


def test_an_experiment_that_was_deleted(ask, tmp_path, file, job):
    said = faulty(
        ask, tmp_path, file, job,
        broken='client.delete_experiment(client.get_experiment_by_name("forecast/shop").experiment_id)',
        mended='client.restore_experiment(client.get_experiment_by_name("forecast/shop").experiment_id)',
    )  # fmt: skip
    assert re.search(r"MLFLOW_TRACKING_URI=\S+ mlflow experiments restore -x \d+`", said["error"])
    assert not said["retriable"]


def test_a_file_of_another_mlflow(ask, tmp_path, file, job):
    said = faulty(
        ask, tmp_path, file, job,
        sql="UPDATE alembic_version SET version_num = 'fff' || version_num",
        mend_sql="UPDATE alembic_version SET version_num = substr(version_num, 4)",
    )  # fmt: skip
    assert re.search(r"schema fff(\w+), this one needs \1\b", said["error"])
    assert f"`mlflow db upgrade sqlite:///{tmp_path}/mlflow.db`" in said["error"]
    assert not said["retriable"]


def test_a_registered_model_that_was_deleted_is_made_again(ask, tmp_path, file, job):
    shutil.copy(file, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ask(uri, 'client.delete_registered_model("shop")')
    assert ask(uri, answer_to(job, 60.0))["model_version"] == "1"
    assert ask(uri, counts("night-1")) == {"night-1": COMPLETE}


@pytest.mark.parametrize("kind", ["text", "folder", "no place"])
def test_what_is_no_file_of_ours(ask, tmp_path, job, kind):
    path = tmp_path / "mlflow.db"
    if kind == "text":
        path.write_text("not a database" * 100)
    elif kind == "folder":
        path.mkdir()
    else:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "mlflow.db"
    said = ask(f"sqlite:///{path}", answer_to(job))
    assert not said["retriable"]
    assert str(path.parent) in said["error"]


LOCK = """
import sqlite3
from pipelines.tracking import file_store
file_store._LOCK_TIMEOUT_S = 0.2
sqlite3.lock = sqlite3.connect(uri.removeprefix("sqlite:///"))
sqlite3.lock.execute("BEGIN EXCLUSIVE")
"""


def test_a_locked_file_is_named(ask, tmp_path, file, job):
    said = faulty(ask, tmp_path, file, job, broken=LOCK, mended="import sqlite3\nsqlite3.lock.close()")
    assert "is held by another process; run again later" in said["error"]
    assert said["retriable"]


def test_a_locked_file_costs_the_deadline_and_no_more(file, tmp_path, job):
    shutil.copy(file, tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        error, seconds = refused(job, f"sqlite:///{tmp_path}/mlflow.db", 1.0, loaded=False)
    assert error.retriable
    assert "another process may hold the file" in str(error)
    assert seconds >= 1.0


def test_a_tracker_goes_on_after_its_process_was_killed(file, job, tmp_path):
    shutil.copy(file, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with Tracker(uri) as tracker:
        os.kill(tracker._child.pid, signal.SIGKILL)
        tracker._child.wait()
        assert log_job(job, uri, 120, tracker=tracker).model_version == "1"


def test_mlflow_that_cannot_be_imported_is_named(job, tmp_path, monkeypatch):
    (tmp_path / "mlflow.py").write_text("raise ImportError('No module named opentelemetry')")
    monkeypatch.syspath_prepend(tmp_path)
    error, _ = refused(job, f"sqlite:///{tmp_path}/mlflow.db", 60, loaded=False)
    assert not error.retriable
    assert "opentelemetry): pip install 'forecast-platform[track]'" in str(error)


def test_no_process_outlives_a_trainer_that_was_killed():
    code = """
import os, signal, sys
from pipelines.tracking import Tracker
tracker = Tracker("http://127.0.0.1:9")
tracker.start()
print(tracker._child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    pid = int(done.stdout)
    ends = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_reading_runs_makes_no_file(tmp_path):
    assert runs(f"sqlite:///{tmp_path}/mlflow.db", "shop").empty
    assert not list(tmp_path.iterdir())
