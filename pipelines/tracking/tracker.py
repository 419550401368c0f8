"""A process that holds MLflow, and a deadline for everything asked of it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from types import TracebackType
from typing import IO, Any, Final

from pipelines.errors import TrackingError
from pipelines.tracking.faults import NOT_INSTALLED, too_late
from pipelines.tracking.uri import resolve_uri

# Settings of MLflow for the child alone. Retries are ours, of the whole idempotent recording: MLflow would
# repeat a single "create run" that the server may have done already. One request may take most of a minute
# (a large model through a slow line); what bounds it is the deadline, by the end of the process.
_ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

# Of the caller's, these would send what is logged into another run or experiment.
_FOREIGN: Final = (
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ACTIVE_MODEL_ID",
)

# Text from the end of what the child complained of: enough for the line with the reason.
_TAIL_BYTES = 2000


class Tracker:
    """A child process with MLflow loaded.

    MLflow takes seconds to import, 200 MB, and settings that belong to a whole process; and a call into a
    server that hangs cannot be taken back in a thread. A process can be ended at its deadline, whatever it
    waits for, and takes nothing of the trainer along. Recording is idempotent, so an end halfway is harmless.

    Started early (`start`, or on entry), it loads while the job computes. It ends with its parent.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri: Final = resolve_uri(tracking_uri)
        self._child: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None

    def __enter__(self) -> Tracker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start loading MLflow; returns at once, does nothing when it runs already.

        Raises
        ------
        TrackingError
            MLflow is not installed; or, `retriable`, there is no room for another process.
        """
        if self._child is not None and self._child.poll() is None:
            return
        self.close()
        if find_spec("mlflow") is None:
            raise TrackingError(NOT_INSTALLED, retriable=False)
        try:
            self._begin()
        except OSError as error:
            self.close()
            raise TrackingError(f"MLflow's process cannot be started: {error}", retriable=True) from error

    def _begin(self) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the child
        environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN} | _ENVIRONMENT
        environment |= {"MLFLOW_TRACKING_URI": self.tracking_uri, "MLFLOW_REGISTRY_URI": self.tracking_uri}
        environment["PYTHONPATH"] = os.pathsep.join(path or "." for path in sys.path)
        self._child = subprocess.Popen(  # noqa: S603  # this Python, a module of ours
            [sys.executable, "-m", "pipelines.tracking.child", self.tracking_uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment,
            start_new_session=True,
        )

    def wait(self, timeout_s: float) -> None:
        """Return when MLflow is loaded; raises as `ask`."""
        self.start()
        self.ask({"do": "wait"}, timeout_s)

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises
        ------
        TrackingError
            The child says no, ends, or has no answer after `timeout_s`; it is ended then.
        """
        ends = time.monotonic() + timeout_s
        self.start()
        line = json.dumps(request | {"timeout_s": timeout_s}).encode() + b"\n"
        try:
            answer = self._exchange(line, ends)
        except BaseException:  # an interrupt as well: no late answer may wait for the next question
            self.close()
            raise
        if answer is None:
            self.close()
            raise too_late(self.tracking_uri, timeout_s)
        if not answer:
            reason = self._last_words()
            self.close()
            raise TrackingError(f"MLflow's process ended: {reason}", retriable=True)
        return _said(json.loads(answer))

    def _exchange(self, line: bytes, ends: float) -> bytes | None:
        """Return the answer to `line`: None when there is none in time, empty when the child ended."""
        child, answer = self._child, b""
        if child is None or child.stdin is None or child.stdout is None:
            return b""
        with contextlib.suppress(BrokenPipeError):  # it ended; the read below says so
            child.stdin.write(line)
            child.stdin.flush()
        while not answer.endswith(b"\n"):
            left = ends - time.monotonic()
            if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                return None
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                return b""
            answer += piece
        return answer

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _last_words(self) -> str:
        if self._complaints is None:
            return "no reason given"
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - _TAIL_BYTES))
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no reason given"


def _said(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise TrackingError(answer["error"], retriable=bool(answer["retriable"]))
    return answer
