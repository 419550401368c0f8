"""What operators see and do: metrics, health, the end."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from pipelines.errors import StreamError
from pipelines.log.protocol import Topic
from pipelines.stream.health import Health
from pipelines.stream.metrics import Metrics, Totals
from pipelines.stream.page import Page
from pipelines.stream.preparing import make_stream_topics
from pipelines.stream.service import run_service
from pipelines.stream.stopping import Stop
from tests.pipelines.stream.adding import TOPICS, AddingEngine, served
from tests.pipelines.stream.faulty import FaultyLog, Plan
from tests.pipelines.stream.sums import check, fill, options


@pytest.fixture
def page():
    totals, health = Totals(), Health("v1")
    page = Page(Metrics(totals), health, 0)
    page.totals = totals
    yield page
    page.close()


def get(page, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page.server_port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_the_totals(page):
    page.totals.add("ticks", 12)
    page.totals.dead_reasons["malformed"] += 2
    page.totals.lag = {0: 5, 3: 0}
    page.metrics.transaction_s.observe(0.02)
    status, text = get(page, "/metrics")
    assert status == 200
    for line in (
        "forecast_stream_ticks_total 12.0",
        'forecast_stream_dead_lettered_total{reason="malformed"} 2.0',
        'forecast_stream_lag{partition="0"} 5.0',
        'forecast_stream_transaction_seconds_bucket{le="0.025"} 1.0',
        "forecast_stream_swaps_refused_total 0.0",
    ):
        assert line in text.splitlines()


def test_the_newest_tick_ages_while_none_come(page):
    name = "forecast_stream_watermark_delay_seconds "
    assert name + "0.0" in get(page, "/metrics")[1]
    page.totals.newest_s = time.time() - 60.0
    (line,) = [line for line in get(page, "/metrics")[1].splitlines() if line.startswith(name)]
    assert 60.0 <= float(line.removeprefix(name)) < 90.0


def test_health_follows_the_loop(page):
    status, text = get(page, "/healthz")
    assert (status, json.loads(text)["status"]) == (503, "starting")
    page.health.turned({0: 10, 2: 3}, [1], {0: 4})
    status, text = get(page, "/healthz")
    assert status == 200
    assert {
        "status": "ok",
        "assigned": [0, 2],
        "restoring": [1],
        "lag": {"0": 4},
        "version": "v1",
    }.items() <= (json.loads(text).items())
    page.health.clock = lambda: time.monotonic() + 31
    assert get(page, "/healthz")[0] == 503
    page.health.clock = time.monotonic
    page.health.fail("fenced")
    assert json.loads(get(page, "/healthz")[1])["error"] == "fenced"


def test_other_paths_are_not_there(page):
    assert get(page, "/")[0] == 404


def test_those_who_ask_and_never_end_do_not_keep_others_out_for_ever(page, monkeypatch):
    monkeypatch.setattr("pipelines.stream.page._Answer.timeout", 0.3)
    idle = [socket.create_connection(("127.0.0.1", page.server_port)) for _ in range(20)]
    try:
        time.sleep(0.6)
        assert get(page, "/metrics")[0] == 200
    finally:
        for each in idle:
            each.close()


def test_a_port_that_is_taken_is_named(page):
    with pytest.raises(StreamError, match=f"{page.server_port}.*take another port"):
        Page(page.metrics, page.health, page.server_port)


@pytest.mark.parametrize("name", ["forecasts", "state", "late", "dead"])
def test_a_topic_has_one_purpose(log, name):
    topics = TOPICS._replace(**{name: TOPICS.ticks})
    with pytest.raises(StreamError, match=f"{TOPICS.ticks!r} is named for two purposes"):
        make_stream_topics(log, topics, "model-control", 4)
    with pytest.raises(StreamError, match="two purposes"):
        make_stream_topics(log, TOPICS, TOPICS.forecasts, 4)


def test_topics_that_do_not_fit_are_named(log):
    log.make_topics([Topic(TOPICS.ticks, 3), Topic(TOPICS.forecasts, 2)])
    with pytest.raises(StreamError, match="'forecasts' has 2 partitions and 'ticks' has 3"):
        make_stream_topics(log, TOPICS, "model-control", 4)


def test_an_end_that_is_asked_for_commits_what_was_handled(log):
    """The interval is an hour: only the end commits."""
    expected, engine, stop = fill(log), AddingEngine(), Stop()
    service = replace(options(commit_interval_s=3600.0), stop_at_end=False)

    class Asking(AddingEngine):
        def process(self, batch):
            if int(batch.position) == 30:
                seen.append(batch.partition.number)
            if len(seen) == 2:
                stop.ask()
            return super().process(batch)

    seen, engine = [], Asking()
    run_service(log, engine, served(), service, stop)
    stop.ended()
    check(log, expected, engine)


def test_an_end_that_takes_too_long_is_forced():
    forced = threading.Event()
    stop = Stop(0.05, forced.set)
    stop.ask()
    stop.ask()
    assert forced.wait(5)
    assert stop.left_s() == 0.0


def test_an_end_in_time_is_not_forced():
    forced = threading.Event()
    stop = Stop(0.1, forced.set)
    stop.ask()
    stop.ended()
    assert not forced.wait(0.3)


class Timed(FaultyLog):
    """Notes when polls begin and end, and how many ticks they bring."""

    def member(self, membership):
        member = super().member(membership)
        poll, self.polls = member.end.poll, []

        def polled(timeout_s, limit):
            began = time.monotonic()
            batches = poll(timeout_s, limit)
            self.polls.append((began, time.monotonic(), sum(len(batch.offsets) for batch in batches)))
            return batches

        member.end.poll = polled
        return member

    def waits(self):
        """Seconds from a poll that brought ticks, and from one that brought none, to the next."""
        after = {True: [], False: []}
        for (_, ended, count), (began, _, _) in itertools.pairwise(self.polls):
            after[count > 0].append(began - ended)
        return after[True], after[False]


def test_a_poll_that_brought_few_ticks_keeps_the_next_one_waiting_and_no_other_does(log):
    expected, engine, timed = fill(log), AddingEngine(), Timed(log, Plan())
    run_service(timed, engine, served(), options(linger_s=0.05, commit_interval_s=1.0), Stop())
    check(log, expected, engine)
    some, none = timed.waits()
    assert min(some) >= 0.05
    assert min(none) < 0.04


def test_a_backlog_is_not_kept_waiting(log, monkeypatch):
    monkeypatch.setattr("pipelines.stream.worker._MANY", 7)
    fill(log)
    timed = Timed(log, Plan())
    changes = {"linger_s": 5.0, "batch_limit": 7, "commit_interval_s": 0.3}
    run_service(timed, AddingEngine(), served(), options(**changes), Stop())
    whole = [count == 7 for _, _, count in timed.polls]
    assert whole.count(True) == 8
    assert max(next_ - end for (_, end, n), (next_, _, _) in itertools.pairwise(timed.polls) if n == 7) < 0.3


def test_a_commit_that_is_due_is_not_kept_waiting(log):
    fill(log, 10)
    took = []

    class Watched(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            begin, commit = member.end.begin, member.end.commit

            def begun():
                took.append(time.monotonic())
                begin()

            def committed(positions):
                commit(positions)
                took.append(time.monotonic() - took.pop())

            member.end.begin, member.end.commit = begun, committed
            return member

    changes = {"linger_s": 1.0, "commit_interval_s": 0.02, "batch_limit": 10}
    run_service(Watched(log, Plan()), AddingEngine(), served(), options(**changes), Stop())
    assert took
    assert max(took) < 0.9


def test_an_end_that_is_asked_for_is_not_kept_waiting(log):
    fill(log, 10)
    stop, started = Stop(), time.monotonic()
    service = replace(options(linger_s=60.0, commit_interval_s=60.0), stop_at_end=False)
    threading.Timer(0.5, stop.ask).start()
    run_service(log, AddingEngine(), served(), service, stop)
    stop.ended()
    assert time.monotonic() - started < 20.0


def test_too_much_on_its_way_stops_reading_and_not_polling(log):
    """Writes are acknowledged only after some polls; none are read meanwhile."""
    expected, engine, read_while_paused = fill(log), AddingEngine(), []

    class Slow(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            polls = iter(range(10_000))
            poll, resume = member.end.poll, member.end.resume
            state = {"pending": 0}

            def polled(timeout_s, limit):
                n = next(polls)
                found = poll(timeout_s, limit)
                state["pending"] = 1000 if n % 10 in (3, 4, 5) else 0
                if member.end._paused and n > 5:
                    read_while_paused.extend(found)
                return found

            member.end.poll, member.end.resume = polled, resume
            member.end.pending = lambda: state["pending"]
            return member

    totals = run_service(Slow(log, Plan()), engine, served(), options(pending_limit=100), Stop())
    check(log, expected, engine)
    assert read_while_paused == []
    assert totals.gauges["paused"] == 0.0
