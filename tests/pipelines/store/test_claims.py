"""Several workers, workers that are late or killed, jobs that fail: one commit a job, no event lost."""

from __future__ import annotations

import time
from itertools import count

import pytest
from sqlalchemy import text

from pipelines.errors import LeaseLostError, StoreError
from pipelines.store import FollowUp, NewJudgement, NewVersion, open_store
from pipelines.store.claims import _CLAIM
from pipelines.store.engine import NOW_MS, writing
from tests.pipelines.store.fleets import manifest
from tests.pipelines.store.killed import CONTEXT, run_rounds
from tests.pipelines.store.test_queue import event, lose, make_due, states
from tests.pipelines.store.test_versions import at_once


def drain(store, owner):
    """Claim and commit until nothing is due; return the ids."""
    claims = iter(lambda: store.claim_job(owner, 60), None)
    return [claim.id for claim in claims if store.finish_job(claim) is None]


def test_eight_threads_claim_every_job_once(store):
    store.record_events([event(f"{i}", f"fleet-{i}") for i in range(60)])
    claimed = [job for jobs in at_once(8, lambda i: drain(store, f"w{i}")) for job in jobs]
    assert sorted(claimed) == [job.id for job in store.jobs(state="done")]
    assert len(claimed) == len(set(claimed)) == 60
    assert {row.state for row in store.events()} == {"done"}


def _drain(url, owner, pipe):
    with open_store(url, lock_timeout_s=30) as store:
        pipe.send(drain(store, owner))


@pytest.mark.slow
def test_four_processes_claim_every_job_once(store, url):
    store.record_events([event(f"{i}", f"fleet-{i}") for i in range(40)])
    store.close()
    pipes = []
    for i in range(4):
        mine, other = CONTEXT.Pipe()
        CONTEXT.Process(target=_drain, args=(url, f"w{i}", other)).start()
        pipes.append(mine)
    claimed = [job for pipe in pipes for job in pipe.recv()]
    assert len(claimed) == len(set(claimed)) == 40


def test_of_one_key_one_job_runs_whoever_asks(store):
    store.enqueue("a", {})
    first = store.claim_job("w", 60)
    store.enqueue("a", {})
    assert at_once(8, lambda i: store.claim_job(f"w{i}", 60)) == [None] * 8
    store.finish_job(first)
    found = at_once(8, lambda i: store.claim_job(f"w{i}", 60))
    assert sum(one is not None for one in found) == 1


def test_events_that_come_while_jobs_are_claimed_are_all_in_a_commit(store):
    """The trap of the queue: an event that joins a job which is being claimed and ended at this moment."""
    numbers, seen = count(), []

    def act(i):
        for _ in range(25):
            if i % 2:
                store.record_events([event(f"{next(numbers)}")])
            elif (claim := store.claim_job(f"w{i}", 60)) is not None:
                seen.extend(row.event.dedup_key for row in store.job_events(claim.id))
                store.finish_job(claim)

    assert at_once(6, act) == [None] * 6
    last = store.claim_job("last", 60)
    if last is not None:
        seen.extend(row.event.dedup_key for row in store.job_events(last.id))
    assert sorted(seen, key=int) == [str(i) for i in range(75)]


def test_a_late_commit_is_good_while_nobody_took_the_job_over(store):
    store.record_events([event()])
    assert store.finish_job(lose(store), version=NewVersion(manifest(), "m")).ver == 1


def test_a_job_whose_worker_is_lost_goes_before_those_that_wait(store):
    store.enqueue("a", {})
    store.enqueue("b", {})
    lost = lose(store)
    found = store.claim_job("w", 60)
    assert (found.id, found.fence, found.attempts) == (lost.id, 2, 2)
    assert "its worker lost ended" in store.job(lost.id).error
    assert store.claim_job("w", 60).fleet == "b"


def test_a_commit_sent_again_finds_its_own(store):
    store.record_events([event()])
    claim = store.claim_job("w", 60)
    commit = {
        "version": NewVersion(manifest(), "m"),
        "judgements": [NewJudgement("gate", True, {})],
        "follow_up": FollowUp({}, "a/shadow", 60),
    }
    first = store.finish_job(claim, **commit)
    assert store.finish_job(claim, **commit) == first
    assert store.finish_job(claim, version=NewVersion(manifest(1), "m")) == first
    assert len(store.versions()) == len(store.judgements("a")) == 1
    assert states(store) == ["done", "queued"]
    with pytest.raises(LeaseLostError, match="done, last with 'w'"):
        store.renew_job(claim, 60)


@pytest.mark.parametrize(
    "refused",
    [
        {"judgements": [NewJudgement("gate", True, {}), NewJudgement("best", True, {})]},
        {"judgements": [NewJudgement("gate", True, {"x": object()})]},
        {"version": NewVersion(manifest(1, parent="0" * 64), "m")},
        {"version": NewVersion(manifest(1), "m", state="champion")},
        {"follow_up": FollowUp({"x": object()})},
    ],
)
def test_a_commit_that_is_refused_keeps_nothing_and_leaves_the_job(store, refused):
    store.record_events([event()])
    claim = store.claim_job("w", 60)
    with pytest.raises(StoreError):
        store.finish_job(claim, **{"version": NewVersion(manifest(), "m"), **refused})
    assert store.versions() == store.judgements("a") == []
    assert (states(store), store.events()[0].state) == (["running"], "coalesced")
    assert store.finish_job(claim, version=NewVersion(manifest(), "m")).ver == 1


def test_a_claim_that_a_crashed_server_forgot_is_worth_nothing(store):
    """Claims do not wait for the disk of PostgreSQL: the next one may have the same fence."""
    store.enqueue("a", {})
    forgotten = store.claim_job("one", 60)
    with writing(store._engine) as connection:
        connection.execute(text("UPDATE retrain_job SET state = 'queued', fence = 0, attempts = 0"))
    again = store.claim_job("two", 60)
    assert again.fence == forgotten.fence
    for call in (
        lambda: store.finish_job(forgotten),
        lambda: store.finish_job(forgotten, version=NewVersion(manifest(), "m")),
        lambda: store.renew_job(forgotten, 60),
    ):
        with pytest.raises(LeaseLostError):
            call()
    assert store.finish_job(again, version=NewVersion(manifest(), "m")).ver == 1
    with pytest.raises(LeaseLostError):
        store.finish_job(forgotten)


def test_a_lease_is_renewed_and_released(store):
    store.enqueue("a", {})
    claim = store.claim_job("w", 60)
    for _ in range(3):
        time.sleep(0.01)
        before, claim = claim.lease_until_ms, store.renew_job(claim, 60)
        assert before < claim.lease_until_ms == store.job(claim.id).lease_until_ms
    assert store.claim_job("other", 60) is None
    store.release_job(claim, 60)
    assert (store.job(claim.id).attempts, store.claim_job("other", 60)) == (0, None)
    make_due(store)
    assert store.claim_job("other", 60).attempts == 1


def test_who_lost_a_job_to_itself_has_lost_it(store):
    store.enqueue("a", {})
    old, new = lose(store, owner="w"), store.claim_job("w", 60)
    for call in (store.finish_job, store.release_job, lambda claim: store.renew_job(claim, 60)):
        with pytest.raises(LeaseLostError):
            call(old)
    store.finish_job(new)


def test_a_commit_may_have_nothing_but_a_follow_up_or_a_judgement(store):
    store.enqueue("a", {})
    store.finish_job(store.claim_job("w", 60), follow_up=FollowUp({"kind": "shadow"}, "a/shadow"))
    store.finish_job(store.claim_job("w", 60), judgements=(NewJudgement("shadow", False, {}) for _ in "x"))
    assert states(store) == ["done", "done"]
    assert [row.job_id for row in store.judgements("a")] == [store.jobs()[1].id]


@pytest.mark.parametrize("end", ["fail", "release", "retry"])
def test_a_job_that_waits_again_takes_in_what_came_meanwhile(store, end):
    (first,) = store.record_events([event("1")]).jobs
    claim = store.claim_job("w", 60)
    (second,) = store.record_events([event("2")]).jobs
    if end == "retry":
        assert store.fail_job(claim, "fault", attempts=1, backoff_s=0) == "dead"
        assert store.retry_job(first).attempts == 0
    elif end == "fail":
        assert store.fail_job(claim, "fault", attempts=2, backoff_s=0) == "queued"
    else:
        store.release_job(claim)
    assert [row.event.dedup_key for row in store.job_events(first)] == ["1", "2"]
    joined = store.job(second)
    assert (joined.state, joined.note, store.job_events(second)) == ("done", f"joined job {first}", [])
    assert store.record_events([event("3")]).jobs == (first,)
    assert drain(store, "w") == [first]
    assert {row.state for row in store.events()} == {"done"}


def test_the_wait_doubles_up_to_a_day(store):
    store.enqueue("a", {})
    waits = []
    for _ in range(14):
        claim = store.claim_job("w", 60, attempts=99)
        before = store.job(claim.id).lease_until_ms - 60_000
        store.fail_job(claim, "x", attempts=99, backoff_s=30)
        waits.append(round((store.job(claim.id).run_after_ms - before) / 1000))
        make_due(store)
    limits = [min(30 * 2**i, 86_400) for i in range(14)]
    assert all(limit <= wait <= limit + 5 for wait, limit in zip(waits, limits, strict=True))


def test_a_long_error_keeps_its_end(store):
    store.enqueue("a", {})
    store.fail_job(store.claim_job("w", 60), "x" * 9_000 + " the cause", attempts=1, backoff_s=0)
    error = store.jobs("a")[0].error
    assert (len(error), error[-9:]) == (4_000, "the cause")


def test_a_dead_job_does_not_hold_the_next_one_up(store):
    (first,) = store.record_events([event("1")]).jobs
    lose(store)
    (second,) = store.record_events([event("2")]).jobs
    assert store.claim_job("w", 60, attempts=1).id == second
    assert store.job(first).state == "dead"
    assert [row.state for row in store.job_events(first)] == ["coalesced"]  # for people to see
    assert store.retry_job(first).state == "queued"
    assert store.claim_job("w", 60) is None  # its key runs


def test_the_clock_is_that_of_the_store(store, monkeypatch):
    store.enqueue("a", {})
    for skew in (-1e9, 1e9):
        monkeypatch.setattr(time, "time", lambda skew=skew: skew)
        claim = store.claim_job("w", 60)
        assert store.claim_job("other", 60) is None
        store.release_job(store.renew_job(claim, 60))


def test_a_claim_finds_its_job_by_an_index(store):
    kind = store._engine.dialect.name
    claim = _CLAIM[kind].format(now=NOW_MS[kind])
    store.record_events([event(f"{i}", f"fleet-{i}") for i in range(200)])
    with writing(store._engine) as connection:
        explain = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
        if kind != "sqlite":  # a table of a few pages is read whole, however it is indexed
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = str(connection.execute(text(explain + claim), {"owner": "w", "ttl": 1}).all())
    for index in ("ix_retrain_job_late", "ix_retrain_job_due"):
        assert index in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.slow
def test_killed_workers_commit_once_and_lose_nothing(url):
    toll = run_rounds(url, 3)
    assert toll.ok, toll


@pytest.mark.ops
@pytest.mark.slow
def test_a_server_that_went_down_and_came_back_loses_no_commit(postgres):
    with open_store(postgres.new_database()) as store:
        store.upgrade()
        store.record_events([event("1")])
        claim = store.claim_job("w", 60)
        calls = (
            lambda: store.record_events([event("2")]),
            lambda: store.claim_job("w", 60),
            lambda: store.renew_job(claim, 60),
            lambda: store.finish_job(claim),
            lambda: store.finish_job(claim, version=NewVersion(manifest(), "m")),
        )
        store.versions()
        postgres.stop()
        try:
            for call in calls:
                with pytest.raises(StoreError, match=r"does not answer|was lost|stopping") as caught:
                    call()
                assert caught.value.retriable
        finally:
            postgres.start()
        assert [len(store.events()), *states(store)] in ([1, "running"], [1, "queued"])
        if states(store) == ["queued"]:  # the server forgot the claim
            claim = store.claim_job("w", 60)
        assert store.finish_job(claim, version=NewVersion(manifest(), "m")).ver == 1
        assert [row.state for row in store.events()] == ["done"]


@pytest.mark.ops
def test_a_connection_that_was_ended_is_replaced_before_it_is_used(postgres):
    with open_store(postgres.new_database()) as store, open_store(postgres.url()) as other:
        store.upgrade()
        store.enqueue("a", {})
        with other._engine.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")
            )
        assert store.claim_job("w", 60).fleet == "a"
