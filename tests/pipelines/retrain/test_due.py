"""The worker: what becomes of an event, whatever happens in between."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pipelines.retrain.work
from pipelines.errors import LogError, StoreError
from pipelines.retrain.asking import ask
from pipelines.retrain.due import Watcher, run_due
from pipelines.retrain.promote import promote
from pipelines.retrain.source import Source
from pipelines.store import open_store
from tests.pipelines.retrain.fleet import frame, values
from tests.pipelines.retrain.plant import FLEET, IDS, POINTS, Plant, settings_in, shifted


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained fleet, to be copied: folders are absolute, so it lies where the copy will."""
    folder = tmp_path_factory.mktemp("plant")
    with open_store(settings_in(folder).store(), lock_timeout_s=5) as store:
        store.upgrade()
        Plant(settings_in(folder), store).train()
    shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"))
    return folder


@pytest.fixture
def plant(trained):
    shutil.rmtree(trained)
    shutil.copytree(trained.with_name(f"{trained.name}-kept"), trained)
    settings = settings_in(trained)
    with open_store(settings.store(), lock_timeout_s=5) as store:
        yield Plant(settings, store)


@pytest.fixture
def drifted(plant):
    """p1 shifted, and its event waits."""
    plant.archive({"p1": shifted(1, 60, 4.0)})
    plant.drift("p1")
    return plant


def litter(plant) -> list[str]:
    return [path.name for path in (plant.settings.model_root / FLEET).iterdir() if path.name[0] == "."]


def test_an_event_becomes_a_champion_of_what_drifted_alone(drifted):
    first = drifted.store.champion(FLEET)
    told = []
    counts = drifted.run(announce=lambda store: told.append(store.champion(FLEET).row_version))
    assert [one.outcome for one in counts.ended] == ["passed", "promoted", "backfilled"]
    now = drifted.store.champion(FLEET)
    assert (now.version.ver, now.row_version) == (2, first.row_version + 1)
    assert (now.version.parent_version, now.version.n_series) == (first.version.version, 1)
    assert now.version.metrics == first.version.metrics
    job = drifted.store.jobs(FLEET)[0]
    assert job.version == now.version.version
    assert [row.state for row in drifted.store.events()] == ["done"]
    gate, parity = drifted.store.judgements(FLEET, now.version)
    assert (gate.stage, gate.passed, gate.against_ver, gate.job_id) == ("gate", True, 1, job.id)
    assert gate.evidence["why"] == "significant gain"
    assert (parity.stage, parity.passed) == ("parity", True)
    assert f"job {job.id}" in drifted.store.promotions(FLEET)[-1].reason
    assert told == [1, 2]  # at the beginning, and after the promotion
    since = drifted.store.forecasts(now.version)  # what it would have said since the event
    assert set(since["unique_id"]) == {"p1"}
    assert since["cutoff"].nunique() > 50
    assert drifted.outcomes() == []
    assert litter(drifted) == []


def test_the_new_champion_stands_at_the_end_of_the_ticks_and_serves_all(drifted):
    from pipelines.stream.loading import load_named

    drifted.run()
    served = load_named(drifted.store, f"{FLEET}@champion")
    records = served.records
    assert sorted(records.ids.tolist()) == sorted(IDS)
    at = records.ids.tolist().index("p1")
    ends = records.freq.times(records.start, records.nobs.astype(np.int64))
    others = [i for i in range(3) if i != at]
    assert ((ends[at] - ends[others]) // 3_600_000_000_000).tolist() == [60, 60]
    mean = records.const[at] / (1 - records.phi[at].sum())
    assert mean == pytest.approx(14.0, abs=1.0)


def test_without_drift_the_champion_stays_and_it_is_told_why(plant):
    plant.archive({"p1": values(101, 60)})
    plant.drift("p1")
    assert plant.outcomes() == ["kept"]
    assert len(plant.store.versions(FLEET)) == 1
    (judgement,) = plant.store.judgements(FLEET)
    assert (judgement.stage, judgement.passed, judgement.ver, judgement.against_ver) == (
        "gate",
        False,
        None,
        1,
    )
    assert "no significant gain" in judgement.evidence["why"]
    assert plant.store.jobs(FLEET)[0].note == judgement.evidence["why"]


def test_a_second_drift_goes_on_from_the_overlay(drifted):
    drifted.run()
    drifted.archive({"p1": values(7, 60, 25.0), "p2": shifted(2, 120, 5.0, calm=60)}, first=POINTS + 60)
    drifted.drift("p1", name="again")
    assert drifted.outcomes() == ["passed", "promoted", "backfilled"]
    now = drifted.store.champion(FLEET).version
    assert (now.ver, now.n_series) == (3, 1)
    assert now.training == drifted.store.version(FLEET, 1).training


def test_with_a_shadow_the_challenger_waits(drifted):
    counts = drifted.run(settings=drifted.with_settings(shadow_ticks=24))
    assert [one.outcome for one in counts.ended][:2] == ["passed", "waits"]
    assert drifted.store.champion(FLEET).version.ver == 1
    assert drifted.store.version(FLEET, 2).state == "shadow"
    waiting = drifted.store.jobs(FLEET, "queued")
    assert [job.payload["kind"] for job in waiting] == ["shadow"]
    drifted.archive({"p1": values(9, 30, 14.0)}, first=POINTS + 60)
    deadline = time.monotonic() + 20
    settings = drifted.with_settings(shadow_ticks=1)
    while drifted.store.champion(FLEET).version.ver == 1 and time.monotonic() < deadline:
        drifted.run(settings=settings)
        time.sleep(0.2)
        with drifted.store._engine.begin() as connection:  # the clock of an hourly fleet is slow
            connection.exec_driver_sql("UPDATE retrain_job SET run_after_ms = 0")
    assert drifted.store.champion(FLEET).version.ver == 2


def test_a_refit_by_the_clock_is_of_all_series(plant):
    plant.archive({key: shifted(i, 60, 4.0) for i, key in enumerate(IDS)})
    plant.store.enqueue(FLEET, {"kind": "refit", "fire_ms": 0}, job_key=f"{FLEET}/clock/x", once=True)
    assert plant.outcomes() == ["passed", "promoted"]
    assert plant.store.champion(FLEET).version.n_series == 3


def test_a_refit_by_hand(plant):
    plant.archive({"p0": shifted(0, 60, 4.0)})
    first = ask(plant.store, FLEET, ["p0"])
    assert ask(plant.store, FLEET, ["p0"]) == first
    assert ask(plant.store, FLEET) != first
    waiting = plant.drift("p2")
    assert waiting != first
    counts = plant.run()
    assert plant.store.champion(FLEET).version.n_series == 1
    assert "promoted" in [one.outcome for one in counts.ended]


def test_a_champion_that_changed_meanwhile_is_judged_anew(drifted, monkeypatch):
    """Between the commit of the challenger and its promotion somebody else promotes another version."""
    first = drifted.store.champion(FLEET)
    assert drifted.outcomes(max_jobs=1) == ["passed"]
    other = drifted.store.version(FLEET, 2)
    # Another version: the same records under another parent's name would do, so the challenger itself is it,
    # promoted and rolled back, which moves the row twice.
    promote(drifted.store, FLEET, other, reason="by hand")
    promote(drifted.store, FLEET, first.version, reason="back")
    outcomes = drifted.outcomes()
    assert outcomes[0] == "again"
    assert drifted.store.champion(FLEET).row_version >= 3
    assert outcomes[1:] == ["passed", "kept"] or outcomes[1:] == ["passed", "promoted", "backfilled"]


def test_a_history_that_is_gone_fails_is_tried_again_and_dies(drifted):
    shutil.rmtree(next(p for p in (drifted.settings.history_root / FLEET).iterdir() if p.name != "ticks"))
    settings = drifted.with_settings(retrain_attempts=2)
    counts = run_due(settings, open_store, owner="w", max_jobs=1)
    assert [one.outcome for one in counts.ended] == ["failed"]
    assert "is not at" in counts.ended[0].why
    assert "--input FILE" in counts.ended[0].why
    time.sleep(0.05)
    assert drifted.outcomes(settings=settings) == ["dead"]
    job = drifted.store.jobs(FLEET, "dead")[0]
    assert "is not at" in job.error
    assert [row.state for row in drifted.store.events()] == ["coalesced"]
    drifted.store.retry_job(job.id)
    path = drifted.settings.run_root.parent / "fresh.parquet"
    both = {key: values(i, POINTS) for i, key in enumerate(IDS)}
    frame(both).to_parquet(path, index=False)
    source = Source(str(path))
    assert drifted.outcomes(source=source, source_fleet=FLEET) == ["passed", "promoted", "backfilled"]


def test_an_archive_without_ticks_is_a_clear_error(plant):
    plant.drift("p0")
    counts = plant.run()
    assert counts.ended[0].outcome == "failed"
    assert "no tick of 'p0' after the history" in counts.ended[0].why


def test_a_damaged_history_is_told(drifted):
    folder = next(p for p in (drifted.settings.history_root / FLEET).iterdir() if p.name != "ticks")
    (folder / "part-00000.parquet").write_bytes(b"PAR1 no longer")
    why = drifted.run().ended[0].why
    assert "damaged" in why
    assert "part-00000.parquet" in why


def test_a_source_is_of_its_fleet_only(drifted):
    missing = Source("/nowhere/at/all.parquet")
    assert drifted.outcomes(source=missing, source_fleet="another") == ["passed", "promoted", "backfilled"]
    drifted.drift("p1", name="later")
    counts = drifted.run(source=missing, source_fleet=FLEET)
    assert "no file or folder" in counts.ended[0].why


def test_a_file_may_hold_what_came_after(plant):
    """A fleet that is refitted from a file that grows, without a stream."""
    plant.store.enqueue(FLEET, {"kind": "drift", "series": ["p0"]})
    path = plant.settings.run_root.parent / "grown.parquet"
    grown = {key: np.concatenate([values(i, POINTS), shifted(i, 60, 4.0)]) for i, key in enumerate(IDS)}
    frame(grown).to_parquet(path, index=False)
    assert plant.outcomes(source=Source(str(path)), source_fleet=FLEET) == ["passed", "promoted"]


@pytest.mark.parametrize(
    ("payload", "why"),
    [({"kind": "nonsense"}, "kind 'nonsense'"), ({"kind": "drift", "series": ["px"]}, "no series 'px'"),
     ({"kind": "drift", "series": ["p0"], "model": "Nope"}, "no model 'Nope'"),
     ({"kind": "promote", "version": "0" * 64, "row_version": 1}, "no version")],
)  # fmt: skip
def test_a_job_that_makes_no_sense_is_told(plant, payload, why):
    plant.store.enqueue(FLEET, payload)
    ended = plant.run().ended[0]
    assert ended.outcome == "failed"
    assert why in ended.why


def test_an_event_of_the_whole_fleet_asks_for_nothing(plant):
    plant.store.enqueue(FLEET, {"kind": "drift"})
    assert plant.outcomes() == ["kept"]


def test_a_fleet_without_a_champion_is_told(plant):
    plant.store.enqueue("other", {"kind": "refit"})
    assert "has no champion to refit" in plant.run().ended[0].why


def test_a_fault_of_the_program_is_noted_and_the_worker_goes_on(drifted, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(pipelines.retrain.work, "refit", broken)
    assert drifted.run().ended[0].why == "ZeroDivisionError: by chance"
    assert drifted.store.jobs(FLEET)[0].error == "ZeroDivisionError: by chance"


def test_what_cannot_be_told_is_tried_again(drifted):
    def down(store):
        raise LogError("no broker answers", retriable=True)

    counts = drifted.run(announce=down, mirror=down)
    assert [one.outcome for one in counts.ended] == ["passed", "promoted", "backfilled"]
    assert set(counts.untold) == {"announce", "mirror"}
    told = []
    assert drifted.run(announce=told.append).untold == {}
    assert len(told) == 1


def test_a_lost_lease_commits_nothing(drifted, monkeypatch):
    """Another worker takes the job over while this one fits."""
    settings = drifted.with_settings(lease_ttl_s=0.05)
    monkeypatch.setattr("pipelines.train.heartbeat.Thread.start", lambda thread: None)
    monkeypatch.setattr("pipelines.train.heartbeat.Thread.join", lambda thread: None)

    class Rival(Watcher):
        claim = None

        def progress(self, done, total):
            if done == 2:
                time.sleep(0.1)
                self.claim = drifted.store.claim_job("rival", 60)

    rival = Rival()
    counts = run_due(settings, open_store, owner="slow", watcher=rival, max_jobs=1)
    assert [one.outcome for one in counts.ended] == ["lost"]
    assert rival.claim.fence == 2
    assert len(drifted.store.versions(FLEET)) == 1
    assert drifted.store.judgements(FLEET) == []
    drifted.store.release_job(rival.claim)
    assert drifted.outcomes() == ["passed", "promoted", "backfilled"]
    assert litter(drifted) == []


def test_the_heartbeat_holds_the_lease(drifted):
    settings = drifted.with_settings(lease_ttl_s=0.3)

    class Slow(Watcher):
        def progress(self, done, total):
            time.sleep(0.2)

    assert [one.outcome for one in run_due(settings, open_store, owner="w", watcher=Slow()).ended] == [
        "passed",
        "promoted",
        "backfilled",
    ]
    assert drifted.store.jobs(FLEET)[0].fence == 1


def test_a_stop_gives_the_job_back(drifted):
    stop = threading.Event()

    class Stopper(Watcher):
        def progress(self, done, total):
            stop.set()

    counts = run_due(drifted.settings, open_store, owner="w", stop=stop, watcher=Stopper())
    assert [one.outcome for one in counts.ended] == ["stopped"]
    job = drifted.store.jobs(FLEET)[0]
    assert (job.state, job.attempts) == ("queued", 0)
    assert drifted.outcomes() == ["passed", "promoted", "backfilled"]


def test_an_interrupt_gives_the_job_back(drifted):
    class Interrupt(Watcher):
        def progress(self, done, total):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drifted.run(watcher=Interrupt())
    job = drifted.store.jobs(FLEET)[0]
    assert (job.state, job.attempts) == ("queued", 0)


def test_watching_takes_what_comes(plant):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    stop = threading.Event()
    out = []
    thread = threading.Thread(target=lambda: out.append(plant.run(watch_s=0.05, stop=stop)))
    thread.start()
    try:
        plant.drift("p1")
        deadline = time.monotonic() + 30
        while len(plant.store.jobs(FLEET, "done")) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(30)
    assert [one.outcome for one in out[0].ended] == ["passed", "promoted", "backfilled"]


def test_a_store_that_is_down_is_an_error_and_watched_through(plant, monkeypatch):
    calls = []

    def down(self, *_, **__):
        calls.append(1)
        if len(calls) < 3:
            raise StoreError("connection refused", retriable=True)

    monkeypatch.setattr("pipelines.store.Store.claim_job", down)
    with pytest.raises(StoreError, match="refused"):
        plant.run()
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    assert plant.run(watch_s=0.05, stop=stop).ended == []
    timer.join()
    assert len(calls) > 3


def test_two_workers_do_every_job_once(plant):
    plant.archive({key: shifted(i, 60, 4.0) for i, key in enumerate(IDS)})
    for key in IDS:
        ask(plant.store, FLEET, [key])
    found = []
    threads = [threading.Thread(target=lambda: found.append(plant.run())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plant.run()  # what conflicted is judged anew
    jobs = plant.store.jobs(FLEET)
    assert {job.state for job in jobs} == {"done"}
    assert {job.fence for job in jobs} == {1}
    changed = set()
    row = plant.store.champion(FLEET).version
    while row.parent_version is not None:
        changed.add(row.ver)
        row = plant.store.version(FLEET, row.parent_version)
    assert len(changed) == 3  # each series is in an overlay of the champion's line


def test_a_version_that_a_device_would_answer_otherwise_is_rejected(drifted, monkeypatch):
    from pipelines.retrain.parity import Parity

    bad = Parity(False, "the files differ", {"passed": False, "why": "the files differ"})
    monkeypatch.setattr("pipelines.retrain.parity.parity", lambda records: bad)
    assert drifted.outcomes() == ["kept"]
    assert drifted.store.version(FLEET, 2).state == "rejected"
    assert [one.passed for one in drifted.store.judgements(FLEET)] == [True, False]
    assert drifted.store.champion(FLEET).version.ver == 1


def test_a_damaged_overlay_is_not_promoted(drifted):
    assert drifted.outcomes(max_jobs=1) == ["passed"]
    row = drifted.store.version(FLEET, 2)
    chunk = next(Path(row.artifact_uri).glob("chunks/*.npz"))
    chunk.write_bytes(chunk.read_bytes()[:-3])
    assert drifted.outcomes() == ["kept"]
    assert drifted.store.version(FLEET, 2).state == "rejected"
    assert drifted.store.judgements(FLEET)[-1].passed is False
