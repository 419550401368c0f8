"""`/metrics` and `/healthz` over HTTP: for this machine by default, and for few askers at a time."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol, cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from pipelines.errors import StreamError
from pipelines.logs import log

# Prometheus, a probe and a person; whoever comes on top of that is turned away.
_AT_ONCE: Final = 8

# Longest silence of an asker in the middle of a request.
_WITHIN_S: Final = 5.0


class Metrics(Protocol):
    """What is counted."""

    @property
    def registry(self) -> CollectorRegistry: ...


class Health(Protocol):
    """How a service fares."""

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and what is known."""
        ...


class Page(ThreadingHTTPServer):
    """Serves until `close`; port 0 takes a free one."""

    daemon_threads = True
    block_on_close = False
    # A name server that is asked for each client would be waited for.
    address_family = socket.AF_INET

    def __init__(self, metrics: Metrics, health: Health, port: int, host: str = "127.0.0.1") -> None:
        self.metrics = metrics
        self.health = health
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        try:
            super().__init__((host, port), _Answer)
        except (OSError, OverflowError) as error:
            raise StreamError(
                f"metrics cannot be served at {host}:{port}: {error}; take another port"
            ) from None
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        log.info("metrics at http://%s:%d/metrics", host, self.server_port)

    def server_bind(self) -> None:
        """Bind, without asking for the name of this machine."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # of socketserver
        """Answer in a thread, if there is one to be had."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # likewise
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # likewise
        """Leave alone who went away in the middle."""

    def close(self) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()
        self._thread.join(1.0)


class _Answer(BaseHTTPRequestHandler):
    timeout = _WITHIN_S
    protocol_version = "HTTP/1.0"
    server_version, sys_version = "forecast", ""

    def do_GET(self) -> None:
        page = cast("Page", self.server)
        if self.path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest(page.metrics.registry))
        elif self.path == "/healthz":
            fine, report = page.health.report()
            self._send(200 if fine else 503, "application/json", json.dumps(report).encode() + b"\n")
        else:
            self._send(404, "text/plain", b"there are /metrics and /healthz\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401  # of http.server
        """Say nothing: a line every few seconds helps nobody."""
