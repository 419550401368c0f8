"""`forecast train` with a real MLflow: the same model comes out of it, and every fault is made good later."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from tests.pipelines.tracking.conftest import counts, long_frame

pytestmark = [
    pytest.mark.ops,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]"),
]

# The job, the model and two baselines are runs; a version and an input.
COMPLETE = [4, ["FINISHED"], 1, 1]


@pytest.fixture
def forecast(tmp_path, monkeypatch) -> Callable[..., Result]:
    """`forecast ...` in an empty folder with one input."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORECAST_CONFIG", "FORECAST_STORE_URL", "FORECAST_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    long_frame(5).to_parquet("sales.parquet", index=False)
    return lambda *words: CliRunner().invoke(main, words)


# Yearly data of months: no seasonal baseline, so that the runs are few.
TRAIN = ("train", "sales.parquet", "--freq", "MS", "--season-length", "1", "--model", 'AR {"lags": 2}')


@pytest.mark.parametrize("place", ["file", "server"])
def test_the_logged_model_forecasts_what_forecast_predict_does(forecast, ask, place, request, tmp_path):
    fleet = f"sales-{place}"
    uri = request.getfixturevalue("server") if place == "server" else f"sqlite:///{tmp_path}/mlflow.db"
    done = forecast(*TRAIN, "--fleet", fleet, "--tracking", uri)
    assert done.exit_code == 0, done.output
    predicted = forecast("predict", f"{fleet}@1", "-n", "7", "--level", "50", "--out", "own.parquet")
    assert predicted.exit_code == 0, predicted.output
    code = f"""
model = mlflow.pyfunc.load_model("models:/{fleet}@champion")
ids = pd.DataFrame({{"unique_id": [f"s{{i:05d}}" for i in range(5)]}})
model.predict(ids, params={{"h": 7, "level": [50.0]}}).to_parquet({str(tmp_path / "served.parquet")!r})
"""
    ask(uri, code)
    # To the last bit: the same arrays through the same kernels.
    pd.testing.assert_frame_equal(pd.read_parquet("served.parquet"), pd.read_parquet("own.parquet"))
    [run_id] = [path.name for path in Path("runs").iterdir()]
    assert ask(uri, counts(run_id, fleet=fleet)) == {run_id: COMPLETE}
    if place == "file":
        unknown = forecast("compare", fleet, "salse-file", "--tracking", uri)
        assert unknown.exit_code == 1
        assert f"has no runs of 'salse-file'; did you mean '{fleet}'?" in unknown.stderr


@dataclass
class Gate:
    """What stands before a server, and passes requests on as `fault` says: None, "hang", or a status."""

    target: str
    fault: Callable[[str, str], int | str | None] = field(default=lambda method, path: None)
    url: str = ""

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length) if length else None
        fault = self.fault(handler.command, handler.path)
        if fault == "hang":
            time.sleep(60)
        status, answer, headers = (fault, b"no", {}) if fault else self.ask(handler, body)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            handler.send_response(status)
            if "Content-Type" in headers:
                handler.send_header("Content-Type", headers["Content-Type"])
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)

    def ask(self, handler: BaseHTTPRequestHandler, body: bytes | None):
        kept = {k: v for k, v in handler.headers.items() if k in ("Content-Type", "Authorization")}
        question = urllib.request.Request(  # noqa: S310  # ours
            self.target + handler.path, data=body, headers=kept, method=handler.command
        )
        try:
            with urllib.request.urlopen(question, timeout=30) as answer:  # noqa: S310
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers


@pytest.fixture
def gate(server) -> Iterator[Gate]:
    gate = Gate(server)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            gate.pass_on(self)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # names of the base class

        def log_message(self, *args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    web.block_on_close = False
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    gate.url = f"http://127.0.0.1:{web.server_address[1]}"
    yield gate
    web.shutdown()
    web.server_close()
    thread.join()


def test_a_job_that_meets_every_fault_is_logged_once_in_the_end(forecast, ask, gate, monkeypatch):
    def not_logged(*words: str, said: str) -> None:
        begin = time.monotonic()
        done = forecast(*words, "--tracking", gate.url)
        assert done.exit_code == 3, done.output
        told, later = done.stderr.splitlines()[-2:]
        assert told.startswith("not logged to MLflow: ")
        assert said in told
        assert later.startswith("log it later: forecast train --resume ")
        assert time.monotonic() - begin < 30

    train = (*TRAIN, "--fleet", "faulty")
    gate.fault = lambda method, path: 503
    not_logged(*train, said="answers with error 503")
    [run_id] = [path.name for path in Path("runs").iterdir()]
    resume = ("train", "--resume", run_id)
    forecasts = Path("runs", run_id, "forecasts.parquet").read_bytes()

    # Half way: the runs are made, the model is not registered.
    gate.fault = lambda method, path: 500 if path.endswith("model-versions/create") else None
    not_logged(*resume, said="answers with error 500")
    assert ask(gate.target, counts(run_id, fleet="faulty"))[run_id][2] == 0

    # Slow where it hurts most; the process has loaded MLflow before.
    gate.fault = lambda method, path: "hang" if "mlflow-artifacts" in path else None
    monkeypatch.setenv("FORECAST_TRACKING_TIMEOUT_S", "6")
    not_logged(*resume, said="not done after 6 s")
    monkeypatch.delenv("FORECAST_TRACKING_TIMEOUT_S")

    gate.fault = lambda method, path: None
    done = forecast(*resume, "--tracking", gate.url)
    assert done.exit_code == 0, done.output
    assert ask(gate.target, counts(run_id, fleet="faulty")) == {run_id: COMPLETE}
    assert Path("runs", run_id, "forecasts.parquet").read_bytes() == forecasts

    # Once more: MLflow is not even started, and need not be there.
    again = forecast(*resume, "--tracking", "http://127.0.0.1:9")
    assert again.exit_code == 0, again.output


def test_a_wrong_uri_is_told_before_any_work(forecast):
    done = forecast(*TRAIN, "--tracking", "mysql://ann:secret@host/db")
    assert done.exit_code == 1
    assert "the tracking URI must be" in done.stderr
    assert "secret" not in done.output
    assert not list(Path("runs").glob("*/stages/*"))
