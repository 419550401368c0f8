"""TCP proxies in front of brokers, whose lines can be cut, or swallow everything."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field
from enum import Enum

_CHUNK = 1 << 16


class Line(Enum):
    """What a proxy does with what it is sent."""

    OPEN = "open"
    SILENT = "silent"
    """Nothing arrives and nobody is told, as behind a firewall that drops packets."""
    CUT = "cut"
    """Connections are reset, new ones refused."""


@dataclass(slots=True)
class Proxy:
    """Listens at `port` of this machine and passes everything on to `target`."""

    port: int
    target: tuple[str, int]
    line: Line = Line.OPEN
    _listener: socket.socket = field(init=False)
    _pairs: dict[socket.socket, socket.socket] = field(default_factory=dict)
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    def set(self, line: Line) -> None:
        """Open the line, silence it, or cut it."""
        with self._lock:
            self.line = line
            if line is Line.CUT:
                for one in list(self._pairs):
                    self._drop(one, reset=True)

    def close(self) -> None:
        """Let go of everything."""
        self._closed.set()
        self._thread.join()
        with self._lock:
            for one in list(self._pairs):
                self._drop(one)
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                        self._pass_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.line is Line.CUT:
            _reset(client)
            return
        try:
            server = socket.create_connection(self.target, 5.0)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.setblocking(True)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        try:
            data = one.recv(_CHUNK)
            if data and self.line is Line.OPEN:
                self._pairs[one].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(one)

    def _drop(self, one: socket.socket, reset: bool = False) -> None:
        other = self._pairs.pop(one, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for each in (one, other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            if reset:
                _reset(each)
            else:
                each.close()


def _reset(one: socket.socket) -> None:
    """Close with a reset instead of a goodbye."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.close()
