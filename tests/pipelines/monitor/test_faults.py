"""The store down and back, versions unknown, two monitors at once, kills at any time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from pipelines.errors import FencedError, StoreError, StreamError
from pipelines.log.embedded import EmbeddedLog
from pipelines.monitor import run_monitor
from pipelines.store import open_store
from pipelines.stream.stopping import Stop
from tests.pipelines.monitor.feeds import HOUR, START, Feed, alerts, forecast, options, register, shifted

IDS = [f"s{i}" for i in range(10)]


class Shaky:
    """A store of which calls fail while `down`, or at certain calls."""

    def __init__(self, store):
        self.store, self.down, self.calls = store, set(), []

    def __getattr__(self, name):
        found = getattr(self.store, name)
        if name in ("record_events", "snapshot", "versions", "write_live_scores", "require_current"):

            def call(*given, **named):
                self.calls.append(name)
                if name in self.down:
                    raise StoreError(f"{name}: the store does not answer", retriable=True)
                return found(*given, **named)

            return call
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Running:
    """A monitor in a thread."""

    def __init__(self, log, store, **given):
        given.setdefault("stop_at_end", False)
        given = {"commit_interval_s": 0.05, "hold_s": 0.05, **given}
        self.stop, self.error, self.totals = Stop(60.0, force=lambda: None), None, None
        self.thread = threading.Thread(target=self._run, args=(log, store, options(**given)), daemon=True)
        self.thread.start()

    def _run(self, log, store, given):
        try:
            self.totals = run_monitor(log, lambda: store, given, self.stop)
        except Exception as error:
            self.error = error

    def end(self):
        self.stop.ask()
        self.thread.join(30)
        self.stop.ended()
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.totals


def until(what, seconds=20.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def done(store, number=0):
    """How many forecasts are done."""
    row = store.snapshot("monitor", "forecasts", number)
    return 0 if row is None else row.positions["forecasts"]["offset"]


def well(page):
    try:
        return b'"ok"' in ask(page, "healthz")
    except urllib.error.HTTPError:
        return False


def ask(page, path):
    with urllib.request.urlopen(f"{page}/{path}", timeout=5) as answer:  # noqa: S310  # our own page
        return answer.read()


def keys(store):
    return sorted(event.event.dedup_key for event in store.events("shop"))


@pytest.fixture
def other(tmp_path):
    """A second door to the log."""
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


@pytest.mark.parametrize("call", ["record_events", "snapshot", "versions", "write_live_scores"])
def test_a_store_that_is_down_delays_and_loses_nothing(log, store, feed, tmp_path, call, caplog):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), version)
    shaky = Shaky(store)
    shaky.down = {call}
    monitor = Running(log, shaky)
    until(lambda: shaky.calls.count(call) > 2)
    if call != "write_live_scores":
        assert keys(store) == []
    feed.send(shifted(IDS, 5, shift_at=99, first=60), version)
    time.sleep(0.6)
    shaky.down = set()
    until(lambda: keys(store) and done(store) == 650)
    assert monitor.end().counts["forecasts"] == 650
    assert len(keys(store)) == 1
    assert "does not answer" in caplog.text


def test_what_a_client_had_fetched_before_it_was_paused_is_read_again(
    log, store, feed, tmp_path, monkeypatch
):
    from pipelines.log.embedded.member import EmbeddedMember

    monkeypatch.setattr(EmbeddedMember, "pause", lambda self, partitions: None)
    monkeypatch.setattr("pipelines.monitor.loop._LAG_EVERY_S", 0.02)
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 60, shift_at=40, who={"s3"})
    feed.send(rows[:300], version)
    shaky = Shaky(store)
    shaky.down = {"record_events"}
    monitor = Running(log, shaky)
    until(lambda: shaky.calls.count("record_events") > 1)
    feed.send(rows[300:], version)
    until(lambda: shaky.calls.count("record_events") > 3)
    shaky.down = set()
    until(lambda: keys(store) and done(store) == 600)
    assert monitor.end().counts["forecasts"] == 600


def test_a_monitor_that_ends_by_itself_does_not_wait_for_ever(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 5, shift_at=99), version)
    shaky = Shaky(store)
    shaky.down = {"record_events"}
    with pytest.raises(StreamError, match="nothing is lost") as caught:
        run_monitor(log, lambda: shaky, options(patience_s=0.5), Stop())
    assert caught.value.retriable
    assert store.snapshot("monitor", "forecasts", 0) is None


def test_forecasts_of_an_unknown_version_wait_for_it(log, store, feed, tmp_path, caplog):
    register(store, tmp_path, IDS)
    with open_store(f"sqlite:///{tmp_path}/elsewhere.db") as elsewhere:
        elsewhere.upgrade()
        later = register(elsewhere, tmp_path, IDS, const=1.0)
        row = elsewhere.version("shop", later)
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), later)
    caplog.set_level("INFO", "forecast")
    monitor = Running(log, store, metrics_port=0)
    until(lambda: "not registered for fleet 'shop'" in caplog.text)
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("metrics at")]
    page = line.split()[-1].removesuffix("/metrics")
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(page, "healthz")
    said = json.loads(caught.value.read())
    assert said["status"] == "waiting"
    assert "not registered" in said["waiting"]["0"]
    assert keys(store) == []
    assert store.snapshot("monitor", "forecasts", 0) is None
    from forecast.models import version as versions

    store.add_version("shop", versions.load_manifest(row.artifact_uri), row.artifact_uri)
    until(lambda: keys(store))
    assert b"forecast_monitor_events_total" in ask(page, "metrics")
    until(lambda: well(page))
    monitor.end()
    assert len(keys(store)) == 1


def test_a_partition_that_waits_does_not_hold_up_the_others(store, tmp_path):
    log = EmbeddedLog(tmp_path / "log.db")
    feed = Feed(log, 2)
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 5, shift_at=99), "f" * 64, partition=0)
    feed.send(shifted(["s1"], 60, shift_at=40), version, partition=1)
    monitor = Running(log, store)
    until(lambda: keys(store))
    monitor.end()
    assert store.snapshot("monitor", "forecasts", 0) is None
    assert store.snapshot("monitor", "forecasts", 1).positions["forecasts"]["offset"] == 60
    log.close()


def test_a_stale_monitor_is_fenced_and_goes_on_from_what_the_other_wrote(log, store, feed, tmp_path, caplog):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 60, shift_at=40, who={"s3"})
    feed.send(rows[:100], version)
    monitor = Running(log, store)
    until(lambda: store.snapshot("monitor", "forecasts", 0) is not None)
    # Another monitor wrote, as after a pause of this one that the group did not see.
    shaky = Shaky(store)
    shaky.down = set()
    row = store.snapshot("monitor", "forecasts", 0)
    from pipelines.store import NewSnapshot

    store.record_events(
        [], snapshot=NewSnapshot("monitor", "forecasts", 0, row.epoch, row.positions, row.data)
    )
    feed.send(rows[100:], version)
    until(lambda: keys(store))
    totals = monitor.end()
    assert totals.counts["conflicts"] == 1
    assert "another monitor of group" in caplog.text
    assert len(keys(store)) == 1
    assert store.snapshot("monitor", "forecasts", 0).positions["forecasts"]["offset"] == 600


def test_two_monitors_one_works_and_the_other_takes_over(log, other, store, feed, tmp_path, caplog):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 60, shift_at=40, who={"s3"})
    caplog.set_level("INFO", "forecast")
    first = Running(log, store, instance="m1", session_timeout_s=1.0)
    until(lambda: "monitor joined" in caplog.text)
    second = Running(other, store, instance="m2", session_timeout_s=1.0)
    feed.send(rows[:300], version)
    until(
        lambda: (
            (row := store.snapshot("monitor", "forecasts", 0)) and row.positions["forecasts"]["offset"] == 300
        )
    )
    first.end()
    feed.send(rows[300:], version)
    until(lambda: keys(store))
    second.end()
    assert len(keys(store)) == 1


def test_a_monitor_of_the_same_name_is_fenced(log, other, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 5, shift_at=99), version)
    first = Running(log, store)
    until(lambda: store.snapshot("monitor", "forecasts", 0) is not None)
    second = Running(other, store)
    until(lambda: isinstance(first.error, FencedError))
    second.end()


def test_alerts_that_were_not_out_are_sent_by_who_comes_next(log, store, feed, tmp_path, monkeypatch):
    from pipelines.monitor.alerts import Alerts

    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), version)

    class Killed(BaseException):
        pass

    def killed(self, events):
        raise Killed

    monkeypatch.setattr(Alerts, "send", killed)
    with pytest.raises(Killed):
        run_monitor(log, lambda: store, options(), Stop())
    monkeypatch.undo()
    assert len(keys(store)) == 1
    assert alerts(log) == []
    run_monitor(log, lambda: store, options(), Stop())
    assert [alert.dedup_key for alert in alerts(log)] == keys(store)
    run_monitor(log, lambda: store, options(), Stop())
    assert len(alerts(log)) == 1


CHILD = """
import sys
import tests.pipelines.monitor.conftest
from pipelines.cli import main
main(sys.argv[1:])
"""
ROOT = Path(__file__).parents[3]


def child(tmp_path, *more):
    words = [
        "monitor", "shop", "--log", str(tmp_path / "log.db"), "--store", f"sqlite:///{tmp_path}/store.db",
        "--instance", "m1", "--hold", "0", "--commit-interval", "0.02", "--session-timeout", "2",
        "--fleet-share", "0.5", "--json", *more,
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FORECAST_HISTORY_ROOT": str(tmp_path / "history")}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *words],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def trickle(feed, rows, version):
    """Send rows a few at a time, so that a monitor is always in the middle of something."""
    for first in range(0, len(rows), 20):
        feed.send(rows[first : first + 20], version)
        time.sleep(0.05)


@pytest.mark.slow
def test_kills_at_any_time_lose_no_event_and_double_none(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 800, shift_at=100, who={"s1", "s5", "s7"}, seed=3)
    whole = tmp_path / "whole"
    whole.mkdir()
    with open_store(f"sqlite:///{whole}/store.db") as calm:
        calm.upgrade()
        register(calm, whole, IDS)
        quiet = EmbeddedLog(whole / "log.db")
        Feed(quiet).send(rows, version)
        given = options(hold_s=0.0, batch_limit=97, fleet_share=0.5, cooldown_ticks=1)
        run_monitor(quiet, lambda: calm, given, Stop())
        quiet.close()
        want = [key.replace(version, "") for key in keys(calm)]
    assert len(want) > 20
    rng = random.Random(5)
    sender = threading.Thread(target=trickle, args=(feed, rows, version))
    sender.start()
    kills = 0
    while sender.is_alive() or kills < 5:
        before, process = done(store), child(tmp_path, "--cooldown", "1")
        until(lambda before=before: done(store) > before or not sender.is_alive(), 60.0)
        time.sleep(0.05 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    sender.join()
    process = child(tmp_path, "--cooldown", "1", "--stop-at-end")
    _out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert [key.replace(version, "") for key in keys(store)] == want
    told = {alert.dedup_key.replace(version, "") for alert in alerts(log)}
    assert told == set(want)
    from pipelines.history import read_ticks

    frame = read_ticks(tmp_path / "history" / "shop" / "ticks", IDS)
    assert len(frame) == 8000


@pytest.mark.slow
def test_sigterm_ends_it_in_good_order(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), version)
    process = child(tmp_path)
    until(lambda: keys(store))
    feed.send([("s1", 60, 0.1)], version)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["forecasts"] == 601
    assert store.snapshot("monitor", "forecasts", 0).positions["forecasts"]["offset"] == 601
    assert b"Traceback" not in err
    assert forecast("a", 0, 0.0, version)  # the helpers are those of the tests


def test_alarms_that_wait_when_it_ends_are_told_by_who_comes_next(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 45, shift_at=30, who={"s3"}), version)
    monitor = Running(log, store, hold_s=3000.0, gate_steps=1000)
    until(lambda: done(store) == 450)
    assert monitor.end().gauges["held"] == 1
    assert keys(store) == []
    again = run_monitor(log, lambda: store, options(hold_s=3000.0, gate_steps=1000), Stop())
    assert len(keys(store)) == 1
    assert again.counts["forecasts"] == 0


@pytest.mark.parametrize("when", [8_000_000_000_000, -8_000_000_000_000])
def test_a_clock_gone_wrong_harms_its_own_series_only(log, store, feed, tmp_path, when):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 60, shift_at=40, who={"s3"})
    far = (when - START) // HOUR
    rows = [(name, far if (name, step) == ("s0", 20) else step, z) for name, step, z in rows]
    feed.send(rows, version)
    totals = run_monitor(log, lambda: store, options(silent_ticks=10), Stop())
    drifted = [event.event.series_key for event in store.events("shop") if event.state == "coalesced"]
    assert drifted == ["s3"]
    told = {event.event.series_key for event in store.events("shop")}
    assert told <= {"s3", "s0"}
    assert totals.counts["forecasts"] == 600
