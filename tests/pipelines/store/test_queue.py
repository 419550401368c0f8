"""The queue: what comes in, who runs it, what is committed; `test_claims` has what goes wrong."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from pipelines.errors import ConflictError, LeaseLostError, StoreError
from pipelines.store import FollowUp, NewEvent, NewJudgement, NewSnapshot, NewVersion, Recorded
from pipelines.store.engine import writing
from tests.pipelines.store.fleets import manifest
from tests.pipelines.store.test_versions import at_once


def event(key="k", fleet="a", series="s1", **values):
    values = {"statistic": 9.0, "threshold": 8.0, "ts_ms": 5} | values
    return NewEvent(fleet, "v" * 64, series, "AutoAR", "mean", dedup_key=key, **values)


def states(store, **where):
    return [job.state for job in store.jobs(**where)]


def lose(store, ttl_s=0.001, owner="lost"):
    """Claim a job and let its lease expire."""
    claim = store.claim_job(owner, ttl_s)
    time.sleep(ttl_s + 0.002)
    return claim


def make_due(store):
    """Let no job wait any longer."""
    with writing(store._engine) as connection:
        connection.execute(text("UPDATE retrain_job SET run_after_ms = 0"))


def test_events_of_a_fleet_share_one_job(store):
    found = store.record_events([event("1"), event("2", series="s2"), event("3", "b")])
    assert (found.new, len(found.jobs), found.epoch) == (3, 2, None)
    again = store.record_events([event("2"), event("4", series=None)])
    assert (again.new, again.jobs) == (1, found.jobs[:1])
    assert [row.event.dedup_key for row in store.job_events(found.jobs[0])] == ["1", "2", "4"]
    assert {row.state for row in store.events()} == {"coalesced"}
    assert store.record_events([event("1"), event("4")]) == Recorded(0, ())
    job = store.job(found.jobs[0])
    assert (job.fleet, job.job_key, job.state, job.payload) == ("a", "a", "queued", {"kind": "drift"})
    assert store.events(fleet="b")[0].event == event("3", "b")


def test_a_job_is_claimed_once_and_committed_whole(store):
    old = store.add_version("a", manifest(0), "m")
    store.record_events([event()])
    claim = store.claim_job("host-1", 60)
    assert (claim.fleet, claim.fence, claim.attempts, claim.owner) == ("a", 1, 1, "host-1")
    assert store.claim_job("host-2", 60) is None
    judgement = NewJudgement("gate", True, {"p": 0.01}, against=old)
    row = store.finish_job(
        claim,
        version=NewVersion(manifest(1, parent=old.version), "m", state="shadow"),
        judgements=[judgement],
        follow_up=FollowUp({"kind": "shadow"}, "a/shadow/2", 60),
        note="significant gain",
    )
    assert (row.ver, row.state) == (2, "shadow")
    done, follow = store.jobs("a")
    assert (done.state, done.ver, done.version, done.note) == ("done", 2, row.version, "significant gain")
    assert (follow.state, follow.payload, follow.job_key) == ("queued", {"kind": "shadow"}, "a/shadow/2")
    assert store.claim_job("host-2", 60) is None  # the follow-up waits for a minute
    assert [one.state for one in store.events()] == ["done"]
    (kept,) = store.judgements("a", row)
    assert (kept.ver, kept.against_ver, kept.job_id, kept.passed) == (2, 1, done.id, True)


def test_a_lost_claim_writes_nothing(store):
    store.record_events([event()])
    lost = lose(store)
    new = store.claim_job("host-2", 60)
    assert (new.id, new.fence, new.attempts) == (lost.id, 2, 2)
    commit = {"version": NewVersion(manifest(1), "m"), "judgements": [NewJudgement("gate", True, {})]}
    for call in (
        lambda: store.finish_job(lost, **commit, follow_up=FollowUp({})),
        lambda: store.renew_job(lost, 60),
        lambda: store.release_job(lost),
        lambda: store.fail_job(lost, "no", backoff_s=1),
    ):
        with pytest.raises(LeaseLostError, match="running, last with 'host-2'"):
            call()
    assert store.versions() == store.judgements("a") == []
    assert states(store) == ["running"]
    assert store.finish_job(new, **commit).ver == 1


def test_an_event_that_comes_while_its_job_runs_makes_another(store):
    first = store.record_events([event("1")]).jobs
    claim = store.claim_job("w", 60)
    second = store.record_events([event("2")]).jobs
    assert first != second
    assert store.record_events([event("3")]).jobs == second
    assert store.claim_job("w", 60) is None  # of one key one job runs
    store.finish_job(claim)
    assert [row.state for row in store.events()] == ["done", "coalesced", "coalesced"]
    assert store.claim_job("w", 60).id == second[0]


def test_a_stale_snapshot_keeps_nothing_of_its_events(store):
    def snapshot(epoch, data=b"bank"):
        return NewSnapshot("g", "forecasts", 0, epoch, {"forecasts": epoch}, data)

    assert store.record_events([], snapshot=snapshot(0)).epoch == 1
    assert store.record_events([event("1")], snapshot=snapshot(1, b"\0new")).epoch == 2
    for stale in (0, 1, 3):
        with pytest.raises(ConflictError) as caught:
            store.record_events([event("2", "b")], snapshot=snapshot(stale))
        assert caught.value.found == 2
    found = store.snapshot("g", "forecasts", 0)
    assert (found.epoch, found.positions, found.data) == (2, {"forecasts": 1}, b"\0new")
    assert len(store.events()) == len(store.jobs()) == 1
    assert store.snapshot("g", "forecasts", 1) is None


def test_a_job_that_fails_is_run_again_later_and_dies(store):
    store.record_events([event()])
    for attempt in (1, 2):
        claim = store.claim_job("w", 60)
        assert claim.attempts == attempt
        assert store.fail_job(claim, f"fault {attempt}", attempts=3, backoff_s=60) == "queued"
        assert store.claim_job("w", 60) is None
        make_due(store)
    assert store.fail_job(store.claim_job("w", 60), "fault 3", attempts=3, backoff_s=0) == "dead"
    job = store.jobs("a", "dead")[0]
    assert (job.attempts, job.error, job.owner) == (3, "fault 3", "w")
    assert [row.state for row in store.job_events(job.id)] == ["coalesced"]
    assert store.retry_job(job.id).state == "queued"
    store.finish_job(store.claim_job("w", 60))
    assert [row.state for row in store.events()] == ["done"]
    with pytest.raises(StoreError, match="is done: only a dead job"):
        store.retry_job(job.id)


def test_a_job_that_kills_its_workers_dies(store):
    store.record_events([event()])
    for attempt in (1, 2, 3):
        assert lose(store, owner=f"w{attempt}").attempts == attempt
    assert store.claim_job("w4", 60, attempts=3) is None
    (job,) = store.jobs(state="dead")
    assert (job.attempts, job.error) == (3, "attempt 3: its worker w3 ended, or hung, in the middle")


def test_a_connection_that_records_often_still_finds_its_index(store):
    """A statement that the driver prepared must name the same index as the first time."""
    for i in range(12):
        store.record_events([event(str(i))])
        store.enqueue("b", {"kind": "refit"})
        store.claim_job("w", 60)
    assert len(store.events()) == 12


def test_a_waiting_job_keeps_its_payload_and_its_time(store):
    first = store.enqueue("a", {"kind": "refit"}, run_after_s=60)
    assert store.enqueue("a", {"kind": "drift"}) == first
    assert store.record_events([event()]).jobs == (first,)
    assert store.enqueue("a", {}, job_key="a/shadow/2") != first
    job = store.job(first)
    assert (job.payload, job.run_after_ms - job.created_ts_ms) == ({"kind": "refit"}, 60_000)
    assert store.claim_job("w", 60).job_key == "a/shadow/2"
    assert store.claim_job("w", 60) is None


def test_once_is_once_whatever_became_of_the_job(store):
    key = {"job_key": "a/refit/2026-01-01T00:00", "once": True}
    first = store.enqueue("a", {"kind": "refit"}, **key)
    assert store.enqueue("a", {"kind": "refit"}, **key) == first
    claim = store.claim_job("w", 60)
    assert store.enqueue("a", {"kind": "refit"}, **key) == first
    store.finish_job(claim)
    assert store.enqueue("a", {"kind": "refit"}, **key) == first
    assert states(store) == ["done"]
    assert set(at_once(6, lambda i: store.enqueue("b", {}, job_key="b/refit/1", once=True))) == {first + 1}


def test_jobs_go_by_the_time_they_are_due(store):
    late, soon = store.enqueue("late", {}, run_after_s=0.1), store.enqueue("soon", {})
    also = store.enqueue("also", {})
    time.sleep(0.12)
    assert [store.claim_job("w", 60).id for _ in range(3)] == [soon, also, late]


def test_events_that_are_ignored_make_no_job(store):
    found = store.record_events([event("1")], enqueue=False)
    assert found == Recorded(1, (), None)
    found = store.record_events([event("2")], ignored=[event("3", "b"), event("2")])
    assert (found.new, len(found.jobs)) == (2, 1)
    assert [(row.event.dedup_key, row.state) for row in store.events()] == [
        ("1", "ignored"), ("2", "coalesced"), ("3", "ignored"),
    ]  # fmt: skip
    assert [job.fleet for job in store.jobs()] == ["a"]


def test_jobs_and_events_are_filtered(store):
    store.record_events([event(str(i), "ab"[i % 2]) for i in range(6)])
    store.finish_job(store.claim_job("w", 60))
    assert [len(store.events(fleet=fleet)) for fleet in "abc"] == [3, 3, 0]
    assert [row.event.dedup_key for row in store.events(last=2)] == ["4", "5"]
    assert {row.event.fleet for row in store.events(state="done")} == {"a"}
    assert states(store, fleet="b") == ["queued"]
    assert [job.fleet for job in store.jobs(last=1)] == ["b"]
    for call in (store.jobs, store.events):
        with pytest.raises(StoreError, match=r"state 'late' is unknown; known"):
            call(state="late")
    with pytest.raises(StoreError, match="no job 99"):
        store.job(99)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.record_events([event(), event("2", "b")], job_key="x"), r"one fleet.*\['a', 'b'\]"),
        (lambda s: s.record_events([event(statistic=float("nan"))]), "'s1' has the statistic nan"),
        (lambda s: s.enqueue("a", {"x": object()}), "the payload holds a object"),
        (lambda s: s.enqueue("a", {1: 2}), "the payload has the key 1"),
        (lambda s: s.enqueue("", {}), "needs a fleet"),
        (lambda s: s.enqueue("a", {}, run_after_s=float("nan")), "cannot wait for nan"),
        (lambda s: s.enqueue("a", {}, run_after_s=-1), "cannot wait for -1"),
        (lambda s: s.claim_job("", 60), "a claim needs.*got '', 60, 5"),
        (lambda s: s.claim_job("w", 0), "a claim needs.*got 'w', 0, 5"),
        (lambda s: s.claim_job("w", 60, attempts=0), "a claim needs.*got 'w', 60, 0"),
        (lambda s: s.claim_job("w", float("inf")), "a claim needs.*got 'w', inf"),
        (lambda s: s.retry_job(1), "no job 1"),
    ],
)
def test_what_makes_no_sense_is_refused(store, call, message):
    with pytest.raises(StoreError, match=message):
        call(store)
    assert store.events() == store.jobs() == []


def test_large_numbers_and_many_events(store):
    store.record_events([event("x", statistic=float("inf"), threshold=1e308)])
    assert store.events()[0].event.statistic == float("inf")
    found = store.record_events([event(f"{i}", series=f"s{i}") for i in range(2_500)])
    assert (found.new, len(store.job_events(found.jobs[0]))) == (2_500, 2_501)
    assert store.jobs()[0].id == store.enqueue("a", {}, run_after_s=1e300)
