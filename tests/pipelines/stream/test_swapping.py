"""Another model while the service runs."""

from __future__ import annotations

import threading
import time

import pytest

from pipelines.errors import StoreError, StreamError
from pipelines.log.records import Partition, make_batch, make_block
from pipelines.stream.health import Health
from pipelines.stream.metrics import Totals
from pipelines.stream.service import ServiceOptions, run_service
from pipelines.stream.stopping import Stop
from pipelines.stream.swapping import Announced, ControlWatcher
from pipelines.stream.worker import Worker
from pipelines.stream.worker_options import WorkerOptions
from pipelines.wire import Control, encode_control
from tests.pipelines.stream.adding import TOPICS, AddingEngine, produce, read, served, tick
from tests.pipelines.stream.sums import fill, options

PATIENCE_S = 20.0


def announce(log, version, row_version, name="sales"):
    control = Control(name=name, version=version, row_version=row_version, v=1)
    send(log, name.encode(), encode_control(control))


def send(log, key, value):
    writer = log.writer()
    writer.write(make_block(Partition("model-control", 0), [(key, value)]))
    writer.close()


def wait_for(true):
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def load(control):
    if control.version == "broken":
        raise StreamError("it fails its certificate")
    return served(control.version, control.row_version)


@pytest.fixture
def watcher(log):
    from pipelines.stream.preparing import make_stream_topics

    make_stream_topics(log, TOPICS, "model-control", 2)
    found = ControlWatcher(log, "model-control", "sales", 1, load, Totals())
    yield found
    found.close()


def test_the_newest_version_of_its_name_is_taken_once(log, watcher):
    announce(log, "v0", 1)
    announce(log, "other", 9, name="prices")
    announce(log, "v2", 2)
    announce(log, "v4", 4)
    watcher.start()
    wait_for(lambda: watcher._ready is not None)
    assert watcher.take().served.version == "v4"
    assert watcher.take() is None
    announce(log, "v3", 3)
    announce(log, "v5", 5)
    wait_for(lambda: watcher._ready is not None)
    assert watcher.take().served.version == "v5"
    assert watcher.totals.counts["swaps_refused"] == 0


def test_a_version_that_the_store_had_before_its_message_is_taken_once(log, watcher):
    asked = []
    watcher.load = lambda control: asked.append(control.version) or served("v3", 3)
    announce(log, "v2", 2)
    watcher.start()
    wait_for(lambda: watcher._ready is not None)
    assert watcher.take().served.version == "v3"
    announce(log, "v3", 3)
    announce(log, "v4", 4)
    wait_for(lambda: watcher._ready is not None)
    assert asked == ["v2", "v4"]


def test_what_cannot_be_read_or_loaded_is_refused_and_counted(log, watcher):
    send(log, b"sales", b"{rubbish")
    watcher.start()
    wait_for(lambda: watcher.totals.counts["swaps_refused"] == 1)
    announce(log, "broken", 2)
    wait_for(lambda: watcher.totals.counts["swaps_refused"] == 2)
    assert watcher.take() is None
    announce(log, "v3", 3)
    wait_for(lambda: watcher._ready is not None)


def test_a_row_version_that_the_store_does_not_have_hides_none_that_it_has(log, watcher):
    controls = [Control(name="sales", version=v, row_version=n, v=1) for v, n in (("v3", 3), ("broken", 99))]
    pairs = [(b"sales", encode_control(control)) for control in controls]
    watcher._read(make_batch(Partition("model-control", 0), [0, 1], [0, 0], pairs, 2))
    watcher.start()
    wait_for(lambda: watcher._ready is not None)
    assert watcher.take().served.version == "v3"
    announce(log, "v4", 4)
    wait_for(lambda: watcher._ready is not None)
    assert watcher.take().served.version == "v4"
    assert watcher.totals.counts["swaps_refused"] == 1


def test_a_store_that_does_not_answer_is_asked_again(log, watcher, monkeypatch):
    monkeypatch.setattr("pipelines.stream.swapping._FIRST_WAIT_S", 0.01)
    asked = []

    def slow(control):
        asked.append(control.version)
        if len(asked) < 3:
            raise StoreError("locked", retriable=True)
        return served(control.version)

    watcher.load, watcher._wait_s = slow, 0.01
    announce(log, "v2", 2)
    watcher.start()
    wait_for(lambda: watcher._ready is not None)
    assert asked == ["v2"] * 3
    assert watcher.totals.counts["swaps_refused"] == 0


def test_health_names_the_version_taken_where_the_store_is_ahead_of_the_message(watcher):
    control = Control(name="sales", version="v3", row_version=3, v=1)
    watcher._ready = Announced(control, served("v9", 9))
    engine, totals = AddingEngine(), Totals()
    worker = Worker(
        None, engine, TOPICS, None, None, totals, None, Health("v1"), Stop(), WorkerOptions(), watcher
    )
    worker._swap()
    assert worker.health.version == engine.served.version == "v9"


def forecasts(log):
    return [value.split() for records in read(log, TOPICS.forecasts).values() for _, value in records]


def test_a_service_swaps_between_two_batches_and_says_so_in_every_forecast(log):
    from dataclasses import replace

    fill(log)
    stop, engine = Stop(), AddingEngine()
    service: ServiceOptions = replace(options(), stop_at_end=False)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(run_service(log, engine, served(), service, stop, load))
    )
    thread.start()
    try:
        n = len(fill_done(log))
        announce(log, "bad", 2)
        announce(log, "v3", 3)
        wait_for(lambda: engine.served.version == "v3")
        produce(log, 0, [tick("new", 7)])
        wait_for(lambda: len(forecasts(log)) == n + 1)
    finally:
        stop.ask()
        thread.join(PATIENCE_S)
        stop.ended()
    versions = [words[-1] for words in forecasts(log)]
    assert versions.count(b"v1") == n
    assert versions.count(b"v3") == 1
    assert found[0].counts["swaps"] == 1
    assert found[0].counts["swaps_refused"] <= 1  # "v3" may have been read together with "bad"


def fill_done(log):
    n = 60 - 2 * 3  # three ticks of each partition are poisoned
    wait_for(lambda: len(forecasts(log)) == n)
    return forecasts(log)
