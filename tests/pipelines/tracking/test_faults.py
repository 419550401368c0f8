"""MLflow that is down, hangs, answers nonsense or is not installed: an answer within the deadline, always."""

from __future__ import annotations

import contextlib
import os
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
from tests.services.mlflow_server import free_port

# MLflow is looked for, not imported: the process that logs must not need it.
pytestmark = [
    pytest.mark.ops,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]"),
]

ROOT = Path(__file__).parents[3]

# To end a process and collect it, on a busy machine.
SLACK_S = 1.0


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(16)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


@contextlib.contextmanager
def web(status: int, wait_s: float = 0.0) -> Iterator[str]:
    """A web server with one answer for everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(wait_s)
            body = b"{}" if status == 200 else b"no"
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_PUT = do_PATCH = do_GET  # names of the base class

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused(job, url: str, timeout_s: float, tracker: Tracker | None = None) -> tuple[TrackingError, float]:
    begin = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        log_job(job, url, timeout_s, tracker=tracker)
    return caught.value, time.monotonic() - begin


def loaded(url: str) -> Tracker:
    """A tracker that has MLflow in memory, so that the deadline below is the server's alone."""
    tracker = Tracker(url)
    tracker.wait(120)
    assert tracker._child.poll() is None
    return tracker


def test_a_server_that_is_down_is_told_apart_soon(job):
    error, seconds = refused(job, f"http://127.0.0.1:{free_port()}", 60)
    assert error.retriable
    assert "refused" in str(error)
    assert seconds < 60


def test_a_server_that_never_answers_costs_the_deadline_and_no_more(job):
    with silence() as url:
        tracker = loaded(url)
        error, seconds = refused(job, url, 2, tracker)
        assert tracker._child is None
    assert error.retriable
    assert "not done after 2 s" in str(error)
    assert 2 <= seconds < 2 + SLACK_S


def test_a_deadline_holds_while_mlflow_is_still_loading(job):
    with silence() as url:
        error, seconds = refused(job, url, 0.3)
    assert error.retriable
    assert seconds < 0.3 + SLACK_S


def test_a_slow_server_costs_the_deadline_and_no_more(job):
    with web(200, wait_s=30) as url:
        error, seconds = refused(job, url, 2, loaded(url))
    assert error.retriable
    assert seconds < 2 + SLACK_S


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_errors_of_a_server_are_worth_another_try(job, status):
    with web(status) as url:
        error, seconds = refused(job, url, 30)
    assert error.retriable
    assert str(status) in str(error)
    assert seconds < 30 + SLACK_S


def test_nonsense_is_an_error_and_not_a_crash(job):
    with web(200) as url:
        error, _ = refused(job, url, 60)
    assert url in str(error)


def test_a_locked_file_costs_the_deadline_and_no_more(job, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with Tracker(uri) as tracker:
        log_job(job, uri, 120, tracker=tracker)
        lock = sqlite3.connect(tmp_path / "mlflow.db")
        lock.execute("BEGIN EXCLUSIVE")
        error, seconds = refused(replace(job, job_id="later"), uri, 3, tracker)
        lock.rollback()
        lock.close()
        assert error.retriable
        assert seconds < 3 + SLACK_S
        assert log_job(replace(job, job_id="later"), uri, 120, tracker=tracker).model_version == "2"


def test_a_tracker_goes_on_after_its_process_was_killed(job, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with Tracker(uri) as tracker:
        os.kill(tracker._child.pid, signal.SIGKILL)
        tracker._child.wait()
        assert log_job(job, uri, 120, tracker=tracker).model_version == "1"


def test_mlflow_that_is_not_installed_is_named(job, tmp_path, monkeypatch):
    (tmp_path / "mlflow.py").write_text("raise ImportError('No module named mlflow')")
    monkeypatch.syspath_prepend(tmp_path)
    error, _ = refused(job, f"sqlite:///{tmp_path}/mlflow.db", 60)
    assert not error.retriable
    assert "forecast-platform[track]" in str(error)


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
    with pytest.raises(TrackingError, match="nothing was logged yet"):
        runs(f"sqlite:///{tmp_path}/mlflow.db", "shop")
    assert not list(tmp_path.iterdir())
