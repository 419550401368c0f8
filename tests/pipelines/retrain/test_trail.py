"""One command says why a version serves."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from forecast.models import version
from pipelines.cli import main
from pipelines.errors import StoreError
from pipelines.retrain.promote import promote, rollback
from pipelines.retrain.trail import lines, trail
from pipelines.store import NewEvent, NewJudgement, NewVersion
from tests.pipelines.retrain.fleet import HOUR_MS, START_MS


@pytest.fixture
def promoted(shop):
    """A fleet with a champion, events, the job that they made, an overlay of it that serves."""
    first = shop.whole()
    promote(shop.store, "shop", first, reason="the first version")
    events = [
        NewEvent("shop", first.version, name, "AR", detector, START_MS + t * HOUR_MS, 7.5, 5.0, f"{name}{t}")
        for name, detector, t in (
            ("b", "mean", 9), ("b", "mean", 4), ("c", "mean", 5), ("b", "variance", 6),
        )
    ]  # fmt: skip
    shop.store.record_events(events)
    claim = shop.store.claim_job("worker-1", 60)
    overlay = shop.overlay(first, ("b", "c"))
    manifest = version.load(overlay.artifact_uri).manifest
    gate = {
        "passed": True,
        "why": "significant gain",
        "p": 0.0123456,
        "folds": 8,
        "coverage": {"champion": 0.4},
    }
    shop.store.finish_job(
        claim,
        version=NewVersion(manifest, overlay.artifact_uri),
        judgements=[NewJudgement("gate", True, gate, None, first)],
        note="significant gain",
    )
    second = shop.store.version("shop", 2)
    promote(shop.store, "shop", second, reason=f"job {claim.id}: significant gain")
    return first, second


def test_the_trail_goes_from_the_alarm_to_the_throne(shop, promoted):
    _, second = promoted
    found = trail(shop.store, "shop", "champion")
    assert (found.name, found.version, found.serves, found.announced) == (
        "shop@2",
        second.version,
        True,
        False,
    )
    assert found.parents == ("shop@1",)
    (job,) = found.jobs
    assert (job.kind, job.state, job.attempts, job.owner) == ("drift", "done", 1, "worker-1")
    mean, variance = sorted(job.alarms, key=lambda one: one.detector)
    assert (mean.detector, mean.count, mean.n_series, mean.series) == ("mean", 3, 2, ("b", "c"))
    assert mean.first < mean.last
    assert mean.first.endswith("+00:00")
    assert (variance.count, variance.largest) == (1, 1.5)
    (test,) = found.judgements
    assert (test.stage, test.passed, test.against, test.job_id) == ("gate", True, "shop@1", job.id)
    assert [(one.to, one.before) for one in found.changes] == [("shop@2", "shop@1")]
    old = trail(shop.store, "shop", 1)
    assert (old.serves, old.announced, old.mirrored) == (False, None, None)
    assert [one.to for one in old.changes] == ["shop@1", "shop@2"]


def test_one_command_prints_it(shop, promoted):
    rollback(shop.store, "shop", reason="complaints")
    where = ["--store", shop.settings.store_url, "--tracking", shop.settings.tracking_uri]
    done = CliRunner().invoke(main, ["models", "show", "shop@2", *where])
    assert done.exit_code == 0, done.output
    for said in (
        "event        mean: 3 from", "at most 1.5 times the threshold: b, c", "event        variance: 1 from",
        "job          1: ", "drift, done, attempts 1 by worker-1", ": significant gain",
        "judgement    gate: ",
        "passed against shop@1: significant gain (p 0.01235, folds 8, coverage.champion 0.4)",
        "promotion    2: ", "shop@2, in place of shop@1; job 1: significant gain",
        "promotion    3: ", "shop@1, in place of shop@2; rolled back from shop@2: complaints",
        "parent       shop@1", "serves       no, retired",
    ):  # fmt: skip
        assert said in done.stdout, said
    done = CliRunner().invoke(main, ["models", "show", "shop@champion", *where])
    assert "judgement    manual: " in done.stdout
    assert "serves       yes; streams are not told yet, MLflow is not told yet" in done.stdout
    done = CliRunner().invoke(main, ["models", "show", "shop@2", "--json", *where])
    found = json.loads(done.stdout)["trail"]
    assert found["jobs"][0]["alarms"][0]["detector"] == "mean"
    assert found["judgements"][0]["evidence"]["p"] == 0.0123456
    assert found["changes"][-1]["reason"] == "rolled back from shop@2: complaints"


def test_jobs_that_were_about_it_are_there_too(shop, promoted):
    _, second = promoted
    shop.store.enqueue("shop", {"kind": "shadow", "version": second.version}, job_key="shop/shadow/x")
    shop.store.enqueue("shop", {"kind": "shadow", "version": "f" * 64}, job_key="shop/shadow/y")
    claim = shop.store.claim_job("worker-2", 60)
    shop.store.fail_job(claim, "first line\nthe disk is full", attempts=1, backoff_s=1)
    found = trail(shop.store, "shop", 2)
    assert [(job.kind, job.state) for job in found.jobs] == [("drift", "done"), ("shadow", "dead")]
    assert any("it failed: the disk is full" in text for _, text in lines(found))


def test_events_of_the_whole_fleet_and_of_counted_times(shop, promoted):
    event = NewEvent("shop", "0" * 64, None, "AR", "fleet", 2**61, 3.0, 0.0, "whole")
    shop.store.record_events([event])
    claim = shop.store.claim_job("w", 60)
    shop.store.finish_job(
        claim, judgements=[NewJudgement("gate", False, {"why": "no"}, shop.store.version("shop", 2))]
    )
    found = trail(shop.store, "shop", 2)
    (alarm,) = found.jobs[-1].alarms
    assert (alarm.series, alarm.n_series, alarm.largest, alarm.first) == ((), 0, 0.0, str(2**61))
    assert any("the whole fleet" in text for _, text in lines(found))


def test_what_is_not_there(shop, promoted):
    with pytest.raises(StoreError, match="no version '7'"):
        trail(shop.store, "shop", 7)


def test_what_was_put_on_top_of_another_shows_where_it_came_from(shop, promoted):
    """The job, its alarms and its gate are those of the version that it was before."""
    from pipelines.retrain.backfill import drift_began

    _, second = promoted
    third = shop.overlay(second, ("b",), seed=80)
    shop.store.enqueue("shop", {"kind": "shadow", "version": second.version, "job": 1}, job_key="s")
    claim = shop.store.claim_job("worker-1", 60)
    passed = NewJudgement("shadow", True, {"passed": True, "why": "holds"}, third, second)
    shop.store.finish_job(claim, judgements=[passed])
    found = trail(shop.store, "shop", third.ver)
    assert [job.kind for job in found.jobs] == ["drift", "shadow"]
    assert sum(one.count for one in found.jobs[0].alarms) == 4
    assert [one.stage for one in found.judgements] == ["gate", "shadow"]
    assert drift_began(shop.store, third) == START_MS + 4 * HOUR_MS
