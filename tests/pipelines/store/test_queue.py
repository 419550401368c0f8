"""The queue: what comes in, who runs it, what is committed."""

from __future__ import annotations

import time

import pytest

from pipelines.errors import ConflictError, LeaseLostError, StoreError
from pipelines.store import FollowUp, NewEvent, NewJudgement, NewSnapshot, NewVersion
from tests.pipelines.store.fleets import manifest


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


def test_events_of_a_fleet_share_one_job(store):
    found = store.record_events([event("1"), event("2", series="s2"), event("3", "b")])
    assert (found.new, len(found.jobs), found.epoch) == (3, 2, None)
    again = store.record_events([event("2"), event("4", series=None)])
    assert (again.new, again.jobs) == (1, found.jobs[:1])
    assert [row.event.dedup_key for row in store.job_events(found.jobs[0])] == ["1", "2", "4"]
    assert {row.state for row in store.events()} == {"coalesced"}
    assert store.record_events([event("1"), event("4")]) == type(found)(0, ())
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
        assert store.fail_job(claim, f"fault {attempt}", attempts=3, backoff_s=0.05) == "queued"
        assert store.claim_job("w", 60) is None
        time.sleep(0.05 * 2**attempt)
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
