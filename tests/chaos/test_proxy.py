"""The proxy that stands for a bad network."""

import contextlib
import socket
import threading

import pytest

from tests.chaos.proxy import Line, Proxy
from tests.services.kafka.cluster import free_ports


@pytest.fixture
def line():
    """A proxy before a server that echoes."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo(one):
        with one, contextlib.suppress(ConnectionError):
            while data := one.recv(100):
                one.sendall(data)

    def serve():
        while True:
            try:
                one, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(one,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    proxy = Proxy(free_ports(1)[0], server.getsockname())
    yield proxy
    proxy.close()
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def dial(proxy):
    one = socket.create_connection(("127.0.0.1", proxy.port), 5.0)
    one.settimeout(0.3)
    return one


def test_an_open_line_passes_everything_both_ways(line):
    with dial(line) as one:
        one.sendall(b"hello")
        assert one.recv(100) == b"hello"


def test_a_silent_line_swallows_and_says_nothing(line):
    with dial(line) as one:
        line.set(Line.SILENT)
        one.sendall(b"hello")
        with pytest.raises(TimeoutError):
            one.recv(100)
        line.set(Line.OPEN)
        one.sendall(b"again")
        assert one.recv(100) == b"again"


def test_a_cut_line_resets_what_is_there_and_what_comes(line):
    with dial(line) as one:
        one.sendall(b"a")
        assert one.recv(100) == b"a"
        line.set(Line.CUT)
        with pytest.raises(ConnectionResetError):
            one.recv(100)
    with pytest.raises(ConnectionError), dial(line) as one:
        one.recv(100)
    line.set(Line.OPEN)
    with dial(line) as one:
        one.sendall(b"b")
        assert one.recv(100) == b"b"
