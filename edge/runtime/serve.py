"""Forecasts over HTTP on localhost: POST /step (tick v1), POST /forecast, GET /status, GET /healthz."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from .device import Device, status
from .errors import BundleError, DeviceError, RequestError
from .wire import MAX_REQUEST_BYTES, MAX_TICK_BYTES, answer_request, answer_tick

DEFAULT_PORT: Final = 8765
HOSTS: Final = ("127.0.0.1", "::1", "localhost")
# A request that has not come in so long, whether nothing came or a byte now and then, is let go.
_TIMEOUT_S: Final = 10.0
# How often a full house looks whether it is to close.
_POLL_S: Final = 0.2
# Connections at a time; each is a thread of about 100 kB.
_MOST_CONNECTIONS: Final = 16

Answer = tuple[int, bytes]


class Server(ThreadingHTTPServer):
    """One device behind one lock."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, device: Device, host: str, port: int) -> None:
        self.device, self.lock, self.ticks = device, threading.Lock(), 0
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._ending = threading.Event()
        super().__init__((host, port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as the base has it
        """Start a thread, once there is room for one."""
        while not self._free.acquire(timeout=_POLL_S):
            if self._ending.is_set():
                self.shutdown_request(request)
                return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def shutdown(self) -> None:
        """End `serve_forever`, also where no connection is free."""
        self._ending.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: a client that went away is not an event."""

    def answer(self, path: str, body: bytes) -> Answer:
        """Answer a POST."""
        act = {"/step": answer_tick, "/forecast": answer_request}[path]
        with self.lock:
            with suppress(BundleError):  # the release that is open goes on answering; /status tells
                self.device.refresh()
            found = act(self.device.bundle, body, self.ticks)
            self.ticks += path == "/step"
        return 200, found

    def tell(self, path: str) -> Answer:
        """Answer a GET."""
        if path == "/healthz":
            return 200, b'{"ok":true}\n'
        with self.lock:
            found = status(self.device.root.path) | {"serving": self.device.release, "ticks": self.ticks}
        return 200, json.dumps(found).encode() + b"\n"


class _Deadline(io.RawIOBase):
    """What a client sends, up to a time that all of a request has to be there."""

    def __init__(self, link: socket.socket) -> None:
        self._link, self.until = link, 0.0

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # a buffer
        """Read what has come; `TimeoutError` at the deadline."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._link.settimeout(left)
        return self._link.recv_into(buffer)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]  # the only one it serves
    protocol_version = "HTTP/1.1"
    server_version = "forecast-edge"
    sys_version = ""
    timeout = _TIMEOUT_S

    _MOST: Final = {"/step": MAX_TICK_BYTES, "/forecast": MAX_REQUEST_BYTES}
    _TELLS: Final = ("/healthz", "/status")

    def setup(self) -> None:
        """Read by a deadline."""
        super().setup()
        self._slow = _Deadline(self.connection)
        self.rfile = io.BufferedReader(self._slow)

    def handle_one_request(self) -> None:
        """Give the next request its time."""
        self._slow.until = time.monotonic() + _TIMEOUT_S
        super().handle_one_request()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request, in JSON as the rest."""
        if self.request_version == "HTTP/0.9":  # as the base calls what it cannot read
            self.request_version = "HTTP/1.0"
        self._refuse(code, "malformed", message or "no request that this answers")

    def do_GET(self) -> None:
        """Answer /status and /healthz."""
        if self.path in self._MOST:
            self._refuse(405, "method_not_allowed", f"{self.path} takes POST")
        elif self.path not in self._TELLS:
            self._refuse(404, "not_found", f"there are {[*self._MOST, *self._TELLS]}")
        elif self._is_local():
            self._send(lambda: self.server.tell(self.path))

    def do_POST(self) -> None:
        """Answer /step and /forecast."""
        if self.path in self._TELLS:
            self._refuse(405, "method_not_allowed", f"{self.path} takes GET")
        elif self.path not in self._MOST:
            self._refuse(404, "not_found", f"there are {[*self._MOST, *self._TELLS]}")
        elif self._is_local():
            body = self._body(self._MOST[self.path])
            if body is not None:
                self._send(lambda: self.server.answer(self.path, body))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401  # as the base has it
        """Say nothing: the caller gets the answer."""

    def _is_local(self) -> bool:
        """Tell whether the request is of this machine.

        A foreign page that points its name here has another Host; one that posts here has an Origin.
        """
        origin = re.sub(r"^https?://", "", self.headers.get("Origin") or "localhost")
        hosts = (self.headers.get("Host") or "localhost", origin)
        if all(re.sub(r":[0-9]{1,5}$", "", host).strip("[]") in HOSTS for host in hosts):
            return True
        self._refuse(403, "forbidden", "this answers requests for localhost alone")
        return False

    def _body(self, most: int) -> bytes | None:
        given = self.headers.get("Content-Length")
        if self.headers.get("Transfer-Encoding") or given is None:
            self._refuse(411, "missing_field", "Content-Length is needed")
            return None
        if not (given.isascii() and given.isdecimal()) or len(given) > 12:
            self._refuse(400, "malformed", "Content-Length is no number")
            return None
        if int(given) > most:
            self._refuse(413, "too_large", f"{given} bytes, at most {most}")
            return None
        body = self.rfile.read(int(given))
        if len(body) < int(given):
            self._refuse(400, "malformed", f"{len(body)} of {given} bytes came")
            return None
        return body

    def _send(self, act: Callable[[], Answer]) -> None:
        try:
            code, data = act()
        except RequestError as error:
            code, data = _code(error), _error(error.reason, str(error))
        except DeviceError as error:
            code, data = 503, _error("unavailable", str(error))
        except Exception as error:  # the service goes on
            code, data = 500, _error("internal", f"{type(error).__name__}: {error}")
        self._write(code, data)

    def _refuse(self, code: int, reason: str, detail: str) -> None:
        self.close_connection = True  # what else the client sent is not read
        self._write(code, _error(reason, detail))

    def _write(self, code: int, data: bytes) -> None:
        self.connection.settimeout(_TIMEOUT_S)
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def _code(error: RequestError) -> int:
    return {"unknown_series": 404, "late": 409, "too_large": 413}.get(error.reason, 422)


def _error(reason: str, detail: str) -> bytes:
    return json.dumps({"error": reason, "detail": detail}).encode() + b"\n"


def serve(device: Device, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    DeviceError
        The host is not this machine, or the port is taken.
    """
    if host not in HOSTS:
        raise DeviceError(f"{host!r} is not this machine: the service listens on one of {HOSTS}")
    try:
        server = Server(device, host, port)
    except (OSError, OverflowError) as error:
        raise DeviceError(f"cannot listen on {host}:{port}: {error}") from None
    with server:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
        ready(*server.server_address[:2])  # type: ignore[arg-type]  # a host and a port
        server.serve_forever(poll_interval=0.2)
