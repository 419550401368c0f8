"""The service on localhost: answers, refusals, and clients that misbehave."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from edge.runtime import Device
from edge.runtime.errors import DeviceError
from edge.runtime.installing import install
from edge.runtime.keys import read_keys
from edge.runtime.serve import Server, serve
from tests.edge.runtime.bundles import HOUR, KEY, Spec, keys_json, members, newer, write_folder

ONE = Spec()
KEYS = read_keys(keys_json(KEY))


@pytest.fixture
def root(tmp_path):
    install(write_folder(tmp_path / "one", members(ONE)), tmp_path / "root", KEYS)
    return tmp_path / "root"


@pytest.fixture
def server(root):
    with Device.open(root) as device, Server(device, "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def tick(k, **change):
    return json.dumps(
        {"series_id": "a", "ts_ms": ONE.last_ts_ms + k * HOUR, "value": 10.0, "v": 1} | change
    ).encode()


def test_it_steps_forecasts_and_tells(server):
    assert ask(server, "GET", "/healthz") == (200, {"ok": True})
    code, first = ask(server, "POST", "/step", tick(1))
    assert (code, first["ts_ms"], first["v"]) == (200, ONE.last_ts_ms + HOUR, 1)
    code, again = ask(server, "POST", "/forecast", b'{"series_id":"a","v":1}')
    assert (code, again["mean"]) == (200, first["mean"])
    code, found = ask(server, "GET", "/status")
    assert (code, found["current"]["bundle_version"], found["series_moved"], found["ticks"]) == (200, 1, 1, 1)


@pytest.mark.parametrize(
    ("path", "body", "code", "reason"),
    [
        ("/step", b"", 422, "empty"), ("/step", b"{", 422, "malformed"),
        ("/step", tick(1, series_id="zz"), 404, "unknown_series"),
        ("/step", tick(0), 409, "late"), ("/step", tick(1, value="x"), 422, "wrong_type"),
        ("/step", b"x" * 70_000, 413, "too_large"),
        ("/forecast", b'{"series_id":"a","history":[1],"ts_ms":1,"v":1}', 422, "history"),
        ("/nothing", b"", 404, "not_found"),
        ("/status", b"", 405, "method_not_allowed"), ("/step/../status", b"", 404, "not_found"),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_refused_has_a_code_and_a_reason(server, path, body, code, reason):
    got, found = ask(server, "POST", path, body)
    assert (got, found["error"]) == (code, reason)
    assert ask(server, "POST", "/step", tick(1))[0] == 200


def test_get_where_post_is_meant(server):
    assert ask(server, "GET", "/step")[0] == 405
    assert ask(server, "GET", "/")[0] == 404


def test_another_host_is_refused(server):
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example"):
        assert ask(server, "POST", "/step", tick(1), Host=host)[0] == 403
        assert ask(server, "GET", "/status", Host=host)[0] == 403
    for host in ("localhost", "localhost:1", "[::1]:80"):
        assert ask(server, "GET", "/healthz", Host=host)[0] == 200


def test_a_foreign_page_cannot_post(server):
    for origin in ("http://evil.example", "null", "https://127.0.0.1.evil.example", "file://"):
        assert ask(server, "POST", "/step", tick(1), Origin=origin)[0] == 403
    assert ask(server, "POST", "/step", tick(1), Origin="http://localhost:3000")[0] == 200


def test_a_request_has_to_come_in_time(server, monkeypatch):
    monkeypatch.setattr("edge.runtime.serve._TIMEOUT_S", 0.3)
    head = b"POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    with socket.create_connection(server.server_address[:2], timeout=10) as link:
        link.sendall(head)
        began = time.monotonic()
        with suppress(ConnectionError):  # a byte now and then does not keep it open
            for _ in range(200):
                link.sendall(b" ")
                time.sleep(0.05)
        assert time.monotonic() - began < 5


def test_a_full_house_can_be_closed(server, monkeypatch):
    idle = [socket.create_connection(server.server_address[:2]) for _ in range(40)]
    try:
        began = time.monotonic()
        server.shutdown()
        assert time.monotonic() - began < 5
    finally:
        for link in idle:
            link.close()


def send(server, data, wait=True):
    with socket.create_connection(server.server_address[:2], timeout=10) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        return link.recv(4096) if wait else b""


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"POST /step HTTP/1.1\r\nHost: localhost\r\n\r\n", b"411"),
        (b"POST /step HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n", b"400"),
        (b"POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", b"413"),
        (b"POST /step HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nshort", b"400"),
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"PUT /step HTTP/1.1\r\nHost: localhost\r\n\r\n", b"501"),
    ],
    ids=range(8),
)  # fmt: skip
def test_requests_that_are_none(server, head, code):
    assert code in send(server, head).split(b"\r\n")[0]
    assert ask(server, "GET", "/healthz")[0] == 200


def test_clients_that_say_nothing_do_not_stop_the_others(server):
    idle = [socket.create_connection(server.server_address[:2]) for _ in range(10)]
    try:
        assert ask(server, "POST", "/step", tick(1))[0] == 200
    finally:
        for link in idle:
            link.close()


def test_many_clients_take_every_point_in_once(server):
    codes = []

    def run():
        codes.extend(ask(server, "POST", "/step", tick(k))[0] for k in range(1, 11))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {200, 409}
    assert ask(server, "POST", "/step", tick(10))[0] == 409
    assert codes.count(200) <= 10


def test_a_new_release_serves_without_a_restart(server, root, tmp_path):
    before = ask(server, "POST", "/step", tick(1))[1]
    done = install(write_folder(tmp_path / "two", members(newer(ONE))), root)
    after = ask(server, "POST", "/forecast", b'{"series_id":"a","v":1}')[1]
    assert after["ts_ms"] == before["ts_ms"]
    assert after["mean"] != before["mean"]
    assert ask(server, "GET", "/status")[1]["serving"] == done.release


def test_a_new_release_that_is_damaged_leaves_the_old_one_answering(server, root, tmp_path):
    done = install(write_folder(tmp_path / "two", members(newer(ONE))), root)
    (root / "releases" / done.release / "model.onnx").write_bytes(b"rot")
    assert ask(server, "POST", "/step", tick(1))[0] == 200
    found = ask(server, "GET", "/status")[1]
    assert not found["current"]["ok"]
    assert found["serving"] == found["previous"]["release"] != done.release


def test_it_listens_on_this_machine_alone(root):
    with Device.open(root) as device:
        for host in ("0.0.0.0", "", "example.org"):  # noqa: S104  # what is refused
            with pytest.raises(DeviceError, match="not this machine"):
                serve(device, host, 0, lambda *_: None)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(DeviceError, match="cannot listen"):
                serve(device, "127.0.0.1", taken.getsockname()[1], lambda *_: None)
        with pytest.raises(DeviceError, match="cannot listen"):
            serve(device, "127.0.0.1", 99_999, lambda *_: None)


@pytest.mark.slow
def test_sigterm_ends_it_well(root):
    command = [sys.executable, "-m", "edge.runtime", "serve", "--root", str(root), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[3], text=True
    ) as process:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line
        os.kill(process.pid, signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
        assert process.stderr.read() == ""
