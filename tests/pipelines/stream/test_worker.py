"""The loop on a real log, with an engine that can be checked by hand."""

from __future__ import annotations

import contextlib
import itertools
import random

import pytest

from pipelines.errors import AbortedError, FencedError, LogError, StreamError
from pipelines.log.embedded import EmbeddedLog
from pipelines.log.protocol import Delivery
from pipelines.log.records import Partition
from pipelines.stream.service import run_service
from pipelines.stream.stopping import Stop
from tests.pipelines.stream.adding import TOPICS, AddingEngine, served
from tests.pipelines.stream.faulty import FaultyLog, Killed, Plan
from tests.pipelines.stream.sums import check, fill, options

BOTH = pytest.mark.parametrize("delivery", list(Delivery))


@BOTH
def test_ticks_become_forecasts_state_and_dead_letters(log, delivery):
    expected = fill(log)
    engine = AddingEngine()
    totals = run_service(log, engine, served(), options(delivery), Stop())
    check(log, expected, engine)
    assert totals.counts["ticks"] == 60
    assert totals.counts["forecasts"] == sum(map(len, expected[0].values()))
    assert totals.dead_reasons == {"malformed": totals.counts["dead"]}


@BOTH
def test_what_is_done_is_not_done_again(log, delivery):
    expected = fill(log)
    run_service(log, AddingEngine(), served(), options(delivery), Stop())
    engine = AddingEngine()
    totals = run_service(log, engine, served(), options(delivery), Stop())
    assert totals.counts["ticks"] == 0
    check(log, expected, engine)


def work_on(log, delivery, tmp_path=None, plan=None, **changes):
    """Work until it is done, however often the worker dies; returns the last engine."""
    while True:
        engine, faulty = AddingEngine(), FaultyLog(log, plan or Plan())
        try:
            run_service(faulty, engine, served(), options(delivery, tmp_path, **changes), Stop())
        except Killed:
            faulty.bury()
            plan = None
        else:
            return engine


@contextlib.contextmanager
def half_done(folder, delivery, snapshots):
    """A log whose ticks are half done, as a file to be copied."""
    folder.mkdir()
    log = EmbeddedLog(folder / "log.db")
    try:
        expected = fill(log, half=lambda: work_on(log, delivery, folder if snapshots else None))
        yield log, folder if snapshots else None, expected
    finally:
        log.close()


def calls_of(tmp_path, delivery, snapshots):
    with half_done(tmp_path / "count", delivery, snapshots) as (log, folder, _):
        plan = Plan()
        work_on(log, delivery, folder, plan)
    return plan.calls


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("snapshots", [False, True], ids=["changelog", "snapshots"])
@BOTH
def test_a_worker_killed_at_any_call_of_the_log_loses_nothing(tmp_path, delivery, snapshots, after):
    calls = calls_of(tmp_path, delivery, snapshots)
    assert {"member.commit", "member.write", "member.committed", "reader.assign"} <= set(calls)
    assert snapshots or "reader.poll" in calls
    for at in range(len(calls)):
        with half_done(tmp_path / str(at), delivery, snapshots) as (log, folder, expected):
            engine = work_on(log, delivery, folder, Plan(at, after=after))
            check(log, expected, engine, exactly=delivery is Delivery.EXACTLY_ONCE)


@pytest.mark.slow
def test_killed_again_and_again_and_in_the_middle_of_transactions(tmp_path, log):
    expected = fill(log, 200)
    draw = random.Random(1)
    for _ in range(30):
        faulty = FaultyLog(log, Plan(draw.randrange(5, 40), after=draw.random() < 0.5))
        try:
            run_service(faulty, AddingEngine(), served(), options(commit_interval_s=0.005), Stop())
        except Killed:
            faulty.bury()
    check(log, expected, work_on(log, Delivery.EXACTLY_ONCE))


AT_THE_START = ("reader.begins", "reader.ends")
FAULTS = {
    "fault": lambda: LogError("no answer", retriable=True),
    "aborted": lambda: AbortedError("the transaction is gone"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delivery", "fault"),
    [
        (Delivery.EXACTLY_ONCE, "fault"),
        (Delivery.EXACTLY_ONCE, "aborted"),
        (Delivery.AT_LEAST_ONCE, "fault"),
    ],
)
def test_a_fault_at_any_call_of_a_member_is_met_without_a_restart(tmp_path, delivery, fault, monkeypatch):
    monkeypatch.setattr("pipelines.stream.patience._FIRST_WAIT_S", 0.001)
    calls = calls_of(tmp_path, delivery, snapshots=False)
    for at, name in enumerate(calls):
        if name in ("member.join", "member.close", "reader.close") or at in map(calls.index, AT_THE_START):
            continue  # before there is a worker, and when there is none any more
        if fault == "aborted" and name not in ("member.poll", "member.write", "member.commit"):
            continue
        with half_done(tmp_path / str(at), delivery, snapshots=False) as (log, _, expected):
            plan, engine = Plan(at, FAULTS[fault]), AddingEngine()
            totals = run_service(FaultyLog(log, plan), engine, served(), options(delivery), Stop())
            check(log, expected, engine, exactly=delivery is Delivery.EXACTLY_ONCE)
            assert totals.counts["aborted"] + totals.counts["retries"] == 1, name


def test_an_abort_drops_the_state_of_touched_partitions_only(log, monkeypatch):
    monkeypatch.setattr("pipelines.stream.patience._FIRST_WAIT_S", 0.001)
    expected = fill(log)
    dropped = []

    class Watched(AddingEngine):
        def drop(self, number):
            dropped.append(number)
            super().drop(number)

    calls = itertools.count()

    class Aborting(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            commit = member.end.commit

            def once(positions):
                if next(calls) == 3:
                    assert len(positions) == 1
                    member.end.abort()
                    raise AbortedError("gone")
                commit(positions)

            member.end.commit = once
            return member

    engine = Watched()
    totals = run_service(Aborting(log, Plan()), engine, served(), options(), Stop())
    check(log, expected, engine)
    assert len(dropped) == 1
    assert totals.counts["restored"] == 3


def test_a_fault_in_a_restore_leaves_the_other_partitions_alone(log, monkeypatch):
    """Partition 1 comes back, and another's transaction holds its position for a while."""
    monkeypatch.setattr("pipelines.stream.patience._FIRST_WAIT_S", 0.001)
    expected, dropped, asked = fill(log), [], []
    one = frozenset({Partition(TOPICS.ticks, 1)})

    class Watched(AddingEngine):
        def drop(self, number):
            dropped.append(number)
            super().drop(number)

    class Held(FaultyLog):
        def member(self, membership):
            member = super().member(membership)
            join, poll, committed = member.end.join, member.end.poll, member.end.committed
            turns = itertools.count()

            def joined(topics, listener):
                self.listener = listener
                join(topics, listener)

            def polled(timeout_s, limit):
                if next(turns) == 4:
                    self.listener.revoked(one)
                    self.listener.assigned(one)
                return poll(timeout_s, limit)

            def answered(partitions, within_s=None):
                if within_s is None:  # of the back end itself
                    return committed(partitions)
                asked.append(within_s)
                if 1 < len(asked) < 5:
                    raise LogError("held by another", retriable=True)
                return committed(partitions, within_s)

            member.end.join, member.end.poll, member.end.committed = joined, polled, answered
            return member

    engine = Watched()
    totals = run_service(Held(log, Plan()), engine, served(), options(commit_interval_s=1.0), Stop())
    check(log, expected, engine)
    assert dropped == [1]
    assert totals.counts["retries"] == 3
    assert (totals.counts["restored"], totals.counts["aborted"]) == (3, 0)
    assert max(asked) <= 1.0  # the loop waits no longer


def test_a_restore_that_fails_without_an_end_ends_the_worker_to_be_started_again(log, monkeypatch):
    monkeypatch.setattr("pipelines.stream.patience._FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("pipelines.stream.service._CLEANING_S", -29.95)
    fill(log)

    class Held(FaultyLog):
        def member(self, membership):
            member = super().member(membership)

            committed = member.end.committed

            def answered(partitions, within_s=None):
                if within_s is None:  # of the back end itself
                    return committed(partitions)
                raise LogError("held by another", retriable=True)

            member.end.committed = answered
            return member

    with pytest.raises(StreamError, match="held by another") as raised:
        run_service(Held(log, Plan()), AddingEngine(), served(), options(patience_s=0.05), Stop())
    assert raised.value.retriable


def test_a_fenced_worker_stops_and_says_why(log):
    fill(log)
    plan = Plan(12, lambda: FencedError("another worker of the name 'one' has taken this one's place"))
    with pytest.raises(FencedError, match="taken this one's place"):
        run_service(FaultyLog(log, plan), AddingEngine(), served(), options(), Stop())


def test_faults_without_an_end_end_the_worker_to_be_started_again(log, monkeypatch):
    monkeypatch.setattr("pipelines.stream.patience._FIRST_WAIT_S", 0.001)
    fill(log)

    class Broken(FaultyLog):
        def member(self, membership):
            member = super().member(membership)

            def commit(positions):
                raise LogError("no answer", retriable=True)

            member.end.commit = commit
            return member

    with pytest.raises(StreamError, match="nothing is lost") as raised:
        run_service(Broken(log, Plan()), AddingEngine(), served(), options(patience_s=0.05), Stop())
    assert raised.value.retriable


def test_a_fault_that_no_retry_helps_ends_the_worker_at_once(log):
    fill(log)
    plan = Plan(9, lambda: LogError("not allowed"))
    with pytest.raises(LogError, match="not allowed"):
        run_service(FaultyLog(log, plan), AddingEngine(), served(), options(), Stop())
