"""A retrain as MLflow is told of it."""

from __future__ import annotations

import pytest

from pipelines.errors import TrackingError
from pipelines.retrain.record import summary_of
from pipelines.store import open_store
from tests.pipelines.retrain.fleet import values
from tests.pipelines.retrain.plant import FLEET, POINTS, Plant, settings_in, shifted


@pytest.fixture
def plant(tmp_path):
    settings = settings_in(tmp_path)
    with open_store(settings.store(), lock_timeout_s=5) as store:
        store.upgrade()
        plant = Plant(settings, store)
        plant.train()
        yield plant


def test_a_promotion_is_told_by_the_job_that_made_it(plant):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    job = plant.drift("p1")
    refit, promotion, filled = plant.run().ended
    assert summary_of(plant.store, filled) is None
    found = summary_of(plant.store, promotion)
    assert found == summary_of(plant.store, refit)
    champion = plant.store.champion(FLEET).version
    assert (found.job, found.outcome, found.version) == (job, "promoted", champion.version)
    assert found.parent_version == champion.parent_version
    assert (found.metrics["n_events"], found.metrics["n_refit"]) == (1, 1)
    assert 0 < found.metrics["champion_gain"] < 1
    assert found.metrics["p_value"] < 0.05
    assert [one.name for one in found.candidates] == ["challenger", "champion"]
    assert found.params == {"model": "AR", "horizon": 6, "freq": "h", "windows": 8}


def test_what_stays_is_told_too_and_what_failed_is_not(plant):
    plant.archive({"p1": values(101, 60)})
    plant.drift("p1")
    (kept,) = plant.run().ended
    found = summary_of(plant.store, kept)
    assert (found.outcome, found.version, found.metrics["n_refit"]) == ("rejected", None, 0)
    plant.store.enqueue(FLEET, {"kind": "nonsense"})
    assert summary_of(plant.store, plant.run(max_jobs=1).ended[0]) is None


def test_mlflow_that_is_down_keeps_nothing_back(plant):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    plant.drift("p1")
    tried = []

    def down(store, ended):
        tried.append(ended.outcome)
        raise TrackingError("MLflow does not answer", retriable=True)

    counts = plant.run(record=down)
    assert [one.outcome for one in counts.ended] == ["passed", "promoted", "backfilled"]
    assert tried == ["passed"]
    assert counts.untold == {"record": "MLflow does not answer"}
    told = []
    plant.drift("p1", name="later")
    plant.run(record=lambda store, ended: told.append(ended.outcome))
    assert told == ["kept"]


def test_what_mlflow_refuses_keeps_no_other_waiting(plant):
    from forecast.errors import InputError

    plant.archive({"p1": shifted(1, 60, 4.0)})
    plant.drift("p1")
    told = []

    def picky(store, ended):
        if ended.outcome == "passed":
            raise InputError("no such address")
        told.append(ended.outcome)

    counts = plant.run(record=picky)
    assert told[0] == "promoted"
    assert counts.untold == {"record": "no such address"}


def test_one_that_did_not_hold_in_the_shadow_is_told_as_rejected(plant):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    job = plant.drift("p1")
    settings = plant.with_settings(shadow_ticks=24)
    plant.run(settings=settings, max_jobs=1)
    plant.archive({"p1": values(9, 30, -10.0)}, first=POINTS + 60)
    (ended,) = plant.run(settings=plant.with_settings(shadow_ticks=5)).ended
    assert ended.outcome == "kept"
    found = summary_of(plant.store, ended)
    assert (found.job, found.outcome, found.version) == (
        job,
        "rejected",
        plant.store.version(FLEET, 2).version,
    )
