"""A retrain as MLflow is told of it."""

from __future__ import annotations

import pytest

from forecast.errors import InputError
from pipelines.errors import TrackingError
from pipelines.retrain import record as recording
from pipelines.retrain.record import record, summary_of
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


@pytest.fixture
def told(monkeypatch):
    """What MLflow is told, by a stand-in that can be down."""
    told = []

    def log_retrain(summary, uri, timeout_s):
        if uri == "down":
            raise TrackingError("MLflow does not answer", retriable=True)
        if uri == "picky" and summary.outcome == "promoted":
            raise InputError("no such address")
        told.append(summary)

    monkeypatch.setattr("pipelines.tracking.log_retrain", log_retrain)
    return told


def by(uri):
    return lambda store: record(store, uri, 1.0)


def test_a_promotion_is_told_by_the_job_that_made_it(plant, told):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    job = plant.drift("p1")
    plant.run(max_jobs=1, record=by("up"))
    plant.run(record=by("up"))
    assert [(one.job, one.outcome) for one in told] == [(job, "candidate"), (job, "promoted")]
    found = told[-1]
    champion = plant.store.champion(FLEET).version
    assert found.version == champion.version
    assert found.parent_version == champion.parent_version
    assert (found.metrics["n_events"], found.metrics["n_refit"]) == (1, 1)
    assert 0 < found.metrics["champion_gain"] < 1
    assert found.metrics["p_value"] < 0.05
    assert [one.name for one in found.candidates] == ["challenger", "champion"]
    assert found.params == {"model": "AR", "horizon": 6, "freq": "h", "windows": 8}
    assert record(plant.store, "up", 1.0) == 0  # nothing is told twice


def test_what_stays_is_told_too_and_what_failed_is_not(plant, told):
    plant.archive({"p1": values(101, 60)})
    plant.drift("p1")
    plant.run(record=by("up"))
    (found,) = told
    assert (found.outcome, found.version, found.metrics["n_refit"]) == ("rejected", None, 0)
    plant.store.enqueue(FLEET, {"kind": "nonsense"})
    plant.run(max_jobs=1, record=by("up"))
    assert len(told) == 1


def test_mlflow_that_is_down_keeps_nothing_back_and_is_told_by_another_worker(plant, told):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    job = plant.drift("p1")
    counts = plant.run(record=by("down"))
    assert [one.outcome for one in counts.ended] == ["passed", "promoted", "backfilled"]
    assert counts.untold == {"record": "MLflow does not answer"}
    assert told == []
    counts = plant.run(record=by("up"))  # nothing is due any more
    assert (counts.ended, counts.untold) == ([], {})
    assert [(one.job, one.outcome) for one in told] == [(job, "promoted")]


def test_what_mlflow_refuses_keeps_no_other_waiting(plant, told):
    plant.archive({"p1": shifted(1, 60, 4.0), "p2": values(102, 60)})
    plant.drift("p1")
    plant.run()
    later = plant.drift("p2", name="later")
    counts = plant.run(record=by("picky"))
    assert [(one.job, one.outcome) for one in told] == [(later, "rejected")]
    assert counts.untold == {"record": "no such address"}


def test_a_crash_before_it_is_noted_tells_it_again(plant, told, monkeypatch):
    plant.archive({"p1": values(101, 60)})
    plant.drift("p1")
    plant.run()
    ((job, outcome),) = plant.store.unlogged_jobs()
    assert summary_of(plant.store, job, outcome).outcome == "rejected"
    with monkeypatch.context() as patch:
        patch.setattr(type(plant.store), "set_logged", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            recording.record(plant.store, "up", 1.0)
    assert record(plant.store, "up", 1.0) == 1
    assert len(told) == 2


def test_one_that_did_not_hold_in_the_shadow_is_told_as_rejected(plant, told):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    job = plant.drift("p1")
    settings = plant.with_settings(shadow_ticks=24)
    plant.run(settings=settings, max_jobs=1, record=by("up"))
    plant.archive({"p1": values(9, 30, -10.0)}, first=POINTS + 60)
    (ended,) = plant.run(settings=plant.with_settings(shadow_ticks=5), record=by("up")).ended
    assert ended.outcome == "kept"
    assert [(one.job, one.outcome) for one in told] == [(job, "shadow"), (job, "rejected")]
