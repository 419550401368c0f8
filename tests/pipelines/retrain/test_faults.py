"""What goes wrong between two steps, and with clocks and names."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import text

import pipelines.retrain.work
from pipelines.retrain.asking import ask
from pipelines.store import open_store
from tests.pipelines.retrain.fleet import frame, values
from tests.pipelines.retrain.plant import FLEET, POINTS, Plant, settings_in, shifted


@pytest.fixture
def drifted(tmp_path):
    """p1 shifted, and its event waits."""
    settings = settings_in(tmp_path)
    with open_store(settings.store(), lock_timeout_s=5) as store:
        store.upgrade()
        plant = Plant(settings, store)
        plant.train()
        plant.archive({"p1": shifted(1, 60, 4.0)})
        plant.drift("p1")
        yield plant


def put_off(store, job_id: int, until_ms: int) -> None:
    with store._engine.begin() as connection:
        due = text("UPDATE retrain_job SET run_after_ms = :due WHERE id = :id")
        connection.execute(due, {"due": until_ms, "id": job_id})


def test_a_tick_with_a_wrong_clock_stops_no_refit(drifted):
    drifted.archive({"p1": np.array([12.0])}, first=POINTS + 60 + 24 * 365)
    assert drifted.outcomes()[:2] == ["passed", "promoted"]


def test_ids_that_a_file_reads_as_numbers_are_those_of_the_fleet(tmp_path):
    ids = ("1", "2", "3")
    grown = {key: np.concatenate([values(i, POINTS), shifted(i, 60, 4.0)]) for i, key in enumerate(ids)}
    frame(grown).to_csv(tmp_path / "grown.csv", index=False)
    settings = settings_in(tmp_path)
    with open_store(settings.store(), lock_timeout_s=5) as store:
        store.upgrade()
        plant = Plant(settings, store)
        plant.train(frame({key: values(i, POINTS) for i, key in enumerate(ids)}))
        ask(store, FLEET, ["1"], input=str(tmp_path / "grown.csv"))
        assert plant.outcomes()[:2] == ["passed", "promoted"]


def test_promoted_killed_and_overtaken_is_no_conflict(drifted, monkeypatch):
    """Between the promotion and the end of its job the worker dies, and another version comes on top."""

    def dies(*arguments, **more):
        raise KeyboardInterrupt

    assert drifted.outcomes(max_jobs=1) == ["passed"]
    with monkeypatch.context() as patch:
        patch.setattr(pipelines.retrain.work, "backfill_of", dies)
        with pytest.raises(KeyboardInterrupt):
            drifted.run()
    (job,) = drifted.store.jobs(FLEET, "queued")
    put_off(drifted.store, job.id, 2**50)  # it waits while the next one is made and promoted
    drifted.archive({"p0": shifted(0, 60, 4.0)})
    drifted.drift("p0", name="next")
    assert drifted.outcomes()[:2] == ["passed", "promoted"]
    put_off(drifted.store, job.id, 0)
    assert drifted.outcomes() == ["promoted"]
    assert [row.state for row in drifted.store.versions(FLEET)] == ["retired", "retired", "champion"]


def test_what_a_later_worker_of_the_same_job_writes_is_left_alone(tmp_path):
    from pipelines.retrain.refit import _sweep

    for name in (".retrain-7-1.tmp", ".retrain-7-2.tmp", "..retrain-7-3.tmp.ab.tmp", ".retrain-70-1.tmp"):
        (tmp_path / name).mkdir()
    _sweep(tmp_path, "retrain-7-2")
    assert {path.name for path in tmp_path.iterdir()} == {"..retrain-7-3.tmp.ab.tmp", ".retrain-70-1.tmp"}
