"""From the shadow to the throne, or not: on archived ticks, in bounded time, once."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.errors import LeaseLostError
from pipelines.monitor.archive import TickArchive
from pipelines.retrain import shadow
from pipelines.retrain.parity import parity
from pipelines.retrain.promote import promote
from pipelines.retrain.shadow import judge_shadow, patience
from tests.pipelines.retrain.fleet import HOUR_MS, IDS, POINTS, fit, ticks, values


def archive(shop, columns, first=POINTS):
    found = ticks(columns, first)
    TickArchive(shop.settings.history_root / "shop" / "ticks").write(
        0, first, first + len(found) - 1, found["unique_id"].tolist(), found["ts_ms"].to_numpy(),
        found["y"].to_numpy(),
    )  # fmt: skip


def live(ids, n, level, seed=900):
    return {name: values(seed + i, n, level) for i, name in enumerate(ids)}


def claimed(shop, row):
    payload = {"kind": "shadow", "version": row.version}
    shop.store.enqueue("shop", payload, job_key=f"shop/shadow/{row.version}")
    return shop.store.claim_job("worker", 60)


def judged(shop, row, **more):
    return judge_shadow(shop.settings, shop.store, claimed(shop, row), now_ms=row.added_ts_ms + 1_000, **more)


@pytest.fixture
def pair(shop):
    """A champion about 10, and a challenger of "b" and "c" about 20, in the shadow."""
    first = shop.whole()
    promote(shop.store, "shop", first, reason="first")
    return first, shop.overlay(first, ("b", "c"), level=20.0, state="shadow")


def test_it_waits_for_every_series_and_then_serves(shop, pair):
    _, second = pair
    archive(shop, {**live(("b",), 30, 20.0), **live(("c",), 5, 20.0)})
    outcome = judged(shop, second)
    assert outcome.kind == "wait"
    assert "4 of 12 ticks" in outcome.why
    (job,) = shop.store.jobs("shop")
    assert (job.state, job.attempts) == ("queued", 0)
    assert job.run_after_ms > job.created_ts_ms
    assert shop.store.version("shop", 2).state == "shadow"
    archive(shop, live(("c",), 9, 20.0), POINTS + 5)
    claim = due(shop)
    outcome = judge_shadow(shop.settings, shop.store, claim, now_ms=second.added_ts_ms + 2_000)
    assert outcome.kind == "promoted"
    assert outcome.champion.version.id == second.id
    assert shop.store.champion("shop").version.id == second.id
    assert [shop.store.version("shop", n).state for n in (1, 2)] == ["retired", "champion"]
    (row,) = shop.store.judgements("shop", second)
    assert (row.stage, row.passed, row.against_ver, row.job_id) == ("shadow", True, 1, claim.id)
    assert row.evidence["ticks_fewest"] == 13
    assert row.evidence["one_step"]["challenger"] < row.evidence["one_step"]["champion"]
    (job,) = shop.store.jobs("shop")
    assert (job.state, job.note.split(":")[0]) == ("done", "promoted")


def due(shop):
    """Claim the job that was put off."""
    from sqlalchemy import text

    with shop.store._engine.begin() as connection:
        connection.execute(text("UPDATE retrain_job SET run_after_ms = 0"))
    return shop.store.claim_job("worker", 60)


def test_one_that_is_worse_is_rejected_with_its_figures(shop, pair):
    first, second = pair
    archive(shop, live(("b", "c"), 20, 10.0))
    outcome = judged(shop, second)
    assert outcome.kind == "rejected"
    assert "worse one step ahead" in outcome.why
    assert shop.store.champion("shop").version.id == first.id
    assert shop.store.version("shop", 2).state == "rejected"
    (row,) = shop.store.judgements("shop", second)
    assert not row.passed
    assert row.evidence["one_step"]["p_worse"] < 0.05


def test_a_silent_feed_does_not_keep_it_for_ever(shop, pair):
    first, second = pair
    late = second.added_ts_ms + 5 * 12 * HOUR_MS
    outcome = judge_shadow(shop.settings, shop.store, claimed(shop, second), now_ms=late)
    assert outcome.kind == "rejected"
    assert "is the feed, or the monitor, silent?" in outcome.why
    assert shop.store.champion("shop").version.id == first.id


def test_when_the_time_is_up_it_is_judged_on_what_there_is(shop, pair):
    _, second = pair
    archive(shop, live(("b",), 30, 20.0))  # nothing of "c"
    late = second.added_ts_ms + 5 * 12 * HOUR_MS
    outcome = judge_shadow(shop.settings, shop.store, claimed(shop, second), now_ms=late)
    assert outcome.kind == "promoted"
    (row,) = shop.store.judgements("shop", second)
    assert row.evidence["time_is_up"] is True
    assert row.evidence["ticks_fewest"] == 0


def test_a_clock_that_runs_back_waits(shop, pair):
    _, second = pair
    outcome = judge_shadow(shop.settings, shop.store, claimed(shop, second), now_ms=0)
    assert outcome.kind == "wait"


def test_after_a_crash_between_promotion_and_commit_nothing_is_done_twice(shop, pair, monkeypatch):
    _, second = pair
    archive(shop, live(("b", "c"), 20, 20.0))

    def crash(*_, **__):
        raise KeyboardInterrupt

    claim = claimed(shop, second)
    with monkeypatch.context() as patch:
        patch.setattr(type(shop.store), "finish_job", crash)
        with pytest.raises(KeyboardInterrupt):
            judge_shadow(shop.settings, shop.store, claim, now_ms=second.added_ts_ms)
    assert shop.store.champion("shop").version.id == second.id
    shop.store.release_job(claim)
    again = shop.store.claim_job("other", 60)
    assert judge_shadow(shop.settings, shop.store, again).kind == "promoted"
    assert len(shop.store.promotions("shop")) == 2
    assert shop.store.jobs("shop")[0].state == "done"


def test_who_lost_the_job_promotes_nothing(shop, pair):
    first, second = pair
    archive(shop, live(("b", "c"), 20, 20.0))
    shop.store.enqueue("shop", {"kind": "shadow", "version": second.version}, job_key="k")
    old = shop.store.claim_job("slow", 0.001)
    taken = None
    while taken is None:
        taken = shop.store.claim_job("quick", 60)
    with pytest.raises(LeaseLostError):
        judge_shadow(shop.settings, shop.store, old, now_ms=second.added_ts_ms)
    assert shop.store.champion("shop").version.id == first.id
    assert shop.store.version("shop", 2).state == "shadow"
    assert judge_shadow(shop.settings, shop.store, taken, now_ms=second.added_ts_ms).kind == "promoted"


def test_on_top_of_another_champion_it_keeps_what_that_one_changed(shop, pair):
    first, second = pair
    other = shop.overlay(first, ("d",), level=30.0, seed=70)
    promote(shop.store, "shop", other, reason="meanwhile")
    archive(shop, live(("b", "c"), 20, 20.0))
    outcome = judged(shop, second)
    assert outcome.kind == "promoted"
    now = outcome.champion.version
    assert (now.ver, now.parent_version) == (4, other.version)
    assert shop.store.version("shop", 2).state == "retired"
    import forecast as fc

    whole = fc.load(now.artifact_uri, lambda parent: shop.store.version("shop", parent).artifact_uri)
    levels = whole.predict(300).groupby("unique_id")["AR"].last()
    assert [round(levels[name] / 10) for name in IDS] == [1, 2, 2, 3]
    (row,) = shop.store.judgements("shop", now)
    assert (row.evidence["rebased_from"], row.against_ver) == (2, 3)


def test_a_champion_that_changes_under_its_feet_is_judged_against_anew(shop, pair, monkeypatch):
    first, second = pair
    archive(shop, live(("b", "c"), 20, 20.0))
    other = shop.overlay(first, ("d",), level=30.0, seed=70)
    rebased = shadow.rebased

    def late(*arguments):
        promote(shop.store, "shop", other, reason="in between")
        return rebased(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(shadow, "rebased", late)
        outcome = judged(shop, second)
    assert outcome.kind == "wait"
    assert shop.store.champion("shop").version.id == other.id
    outcome = judge_shadow(shop.settings, shop.store, due(shop), now_ms=second.added_ts_ms)
    assert outcome.kind == "promoted"
    assert outcome.champion.version.parent_version == other.version


def test_a_challenger_that_is_damaged_is_rejected(shop, pair):
    import shutil

    _, second = pair
    archive(shop, live(("b", "c"), 20, 20.0))
    shutil.rmtree(second.artifact_uri)
    outcome = judged(shop, second)
    assert outcome.kind == "rejected"
    assert "is missing" in outcome.why


def test_a_whole_version_is_compared_on_a_sample(shop, monkeypatch):
    monkeypatch.setattr(shadow, "MOST_SERIES", 2)
    monkeypatch.setattr(shadow.load_pair, "__defaults__", (2,))
    first = shop.whole()
    promote(shop.store, "shop", first, reason="first")
    second = shop.whole(seed=30, level=20.0)
    archive(shop, live(IDS, 20, 20.0))
    outcome = judged(shop, second)
    assert outcome.kind == "promoted"
    (row,) = shop.store.judgements("shop", second)
    assert (row.evidence["n_series"], row.evidence["n_changed"]) == (2, 4)


@pytest.mark.parametrize(
    ("fewest", "elapsed", "expected"),
    [(12, 0.0, None), (11, 50.0, 50.0 / 11), (0, 10.0, 3600.0), (6, 6 * 3600.0, 3600.0), (0, 173_000.0, None),
     (0, 172_799.5, 1.0), (11, 0.0, 1.0), (6, 12.0, 12.0)],
)  # fmt: skip
def test_the_next_look_follows_the_pace(fewest, elapsed, expected):
    got = patience(fewest, 12, 3600.0, elapsed)
    assert got == (expected if expected is None else pytest.approx(expected))


def test_parity_says_what_was_compared(monkeypatch):
    records = fit({name: values(i, 80) for i, name in enumerate(IDS)}).records[0]
    found = parity(records)
    assert found.passed
    assert (found.evidence["n_compared"], found.evidence["n_series"]) == (4, 4)
    assert max(found.evidence["errors"].values()) < 1e-9
    assert parity(records, most=2).evidence["n_compared"] == 2
    monkeypatch.setattr("pipelines.retrain.parity.find_spec", lambda name: None)
    missing = parity(records)
    assert missing.passed
    assert "forecast-platform[edge]" in missing.why


def test_parity_fails_where_a_file_answers_otherwise(monkeypatch):
    from edge.bundle import making
    from edge.errors import GateError

    records = fit({name: values(i, 80) for i, name in enumerate(IDS)}).records[0]

    def refuse(*_, **__):
        raise GateError("model.onnx: mean is off by 0.1")

    monkeypatch.setattr(making, "hold_ticks", refuse)
    found = parity(records)
    assert not found.passed
    assert "off by 0.1" in found.evidence["why"]


def test_what_cannot_be_exported_is_no_fault():
    from dataclasses import replace

    records = fit({name: values(i, 80) for i, name in enumerate(IDS)}).records[0]
    lost = replace(records, levels=np.full_like(records.levels, np.nan))
    found = parity(lost)
    assert found.passed
    assert (found.evidence["n_compared"], found.evidence["n_left_out"]) == (0, 4)
    assert found.why.startswith("not compared")


def test_after_a_crash_one_that_was_put_on_top_of_another_is_not_promoted_again(shop, pair, monkeypatch):
    first, second = pair
    promote(shop.store, "shop", shop.overlay(first, ("d",), level=30.0, seed=70), reason="meanwhile")
    archive(shop, live(("b", "c"), 20, 20.0))

    def crash(*_, **__):
        raise KeyboardInterrupt

    claim = claimed(shop, second)
    with monkeypatch.context() as patch:
        patch.setattr(type(shop.store), "finish_job", crash)
        with pytest.raises(KeyboardInterrupt):
            judge_shadow(shop.settings, shop.store, claim, now_ms=second.added_ts_ms)
    before = shop.store.champion("shop")
    assert before.version.ver == 4
    shop.store.release_job(claim)
    assert judge_shadow(shop.settings, shop.store, shop.store.claim_job("other", 60)).kind == "promoted"
    assert shop.store.champion("shop").row_version == before.row_version
    assert len(shop.store.versions("shop")) == 4
    assert shop.store.version("shop", 2).state == "retired"


def test_what_another_changed_meanwhile_is_judged_anew(shop, pair):
    """The gate said that it beats version 1 on "b"; nobody knows whether it beats who serves "b" now."""
    first, second = pair
    newer = shop.overlay(first, ("b", "d"), level=20.0, seed=300)
    promote(shop.store, "shop", newer, reason="meanwhile")
    archive(shop, live(("b", "c"), 20, 20.0))
    shop.store.set_state(second, "rejected")  # as a worker does that is then killed
    outcome = judged(shop, second)
    assert (outcome.kind, outcome.champion) == ("again", None)
    assert "shop@3 changed 'b' since shop@2 was made" in outcome.why
    assert shop.store.champion("shop").version.id == newer.id
    assert shop.store.version("shop", 2).state == "rejected"
    (job,) = shop.store.jobs("shop", "queued")
    assert (job.payload["kind"], job.payload["series"]) == ("drift", ["b", "c"])


def test_a_new_whole_version_is_not_taken_back(shop, pair):
    _, second = pair
    newer = shop.whole(seed=300, level=20.0)
    promote(shop.store, "shop", newer, reason="trained last night")
    archive(shop, live(("b", "c"), 20, 20.0))
    assert judged(shop, second).kind == "again"
    assert shop.store.champion("shop").version.id == newer.id


def test_a_worker_whose_clock_is_days_ahead_rejects_nothing(shop, pair, monkeypatch):
    import time

    _, second = pair
    claim = claimed(shop, second)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3 * 86_400)
    assert judge_shadow(shop.settings, shop.store, claim).kind == "wait"
