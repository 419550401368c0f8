"""A worker that is killed anywhere leaves what one leaves that was not: one version, one champion."""

from __future__ import annotations

import shutil
import time

import pytest

from pipelines.store import open_store
from tests.pipelines.retrain.plant import FLEET, Plant, settings_in, shifted

pytestmark = pytest.mark.slow

TTL_S = 0.5
POINTS = [
    "call:store:Store.claim_job:1",
    "call:retrain.data:read_data:1",
    "file:models/plant/[0-9a-f]*",  # the overlay is written, and has no name yet
    "call:retrain.work:refit:1",  # between fit and commit
    # Inside the commit.
    "call:store.versions:_insert:1",
    "call:store.claims:put_judgement:1",
    "call:store.claims:put_job:1",
    # After it.
    "call:store:Store.finish_job:1",
    "call:store:Store.claim_job:2",
    "call:store.champions:_move:1",
    "call:store:Store.set_champion:1",
    "call:retrain.work:promote:1",
    "call:store:Store.finish_job:2",
    "call:retrain.work:backfill:1",
]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.ops)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def plant(url, tmp_path, monkeypatch):
    """A fleet one of whose series drifted, and one job."""
    monkeypatch.chdir(tmp_path)
    settings = settings_in(tmp_path, store_url=url)
    with open_store(url, lock_timeout_s=5) as store:
        store.upgrade()
        plant = Plant(settings, store)
        plant.train()
        plant.archive({"p1": shifted(1, 60, 4.0)})
        plant.drift("p1")
        yield plant


def worker(plant: Plant, children, **more):
    env = {
        "FORECAST_STORE_URL": plant.settings.store_url,
        "FORECAST_MODEL_ROOT": str(plant.settings.model_root),
        "FORECAST_HISTORY_ROOT": str(plant.settings.history_root),
        "FORECAST_LEASE_TTL_S": str(TTL_S),
        "FORECAST_RETRAIN_BACKOFF_S": "0.01",
        "FORECAST_JOBS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return children.run("retrain", "--due", "--no-track", "--shadow-ticks", 0, env=env, **more)


def left(plant: Plant) -> dict[str, object]:
    store = plant.store
    return {
        "versions": [(row.ver, row.version, row.state, row.n_series) for row in store.versions(FLEET)],
        "champion": (store.champion(FLEET).version.ver, store.champion(FLEET).row_version),
        "promotions": [(one.ver, one.previous_ver) for one in store.promotions(FLEET)],
        "judgements": [(one.stage, one.passed, one.ver) for one in store.judgements(FLEET)],
        "jobs": [(job.payload["kind"], job.state, job.ver) for job in store.jobs(FLEET)],
        "events": [row.state for row in store.events(FLEET)],
        "folders": sorted(path.name for path in (plant.settings.model_root / FLEET).iterdir()),
    }


def run_to_the_end(plant: Plant, children) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        code, said = worker(plant, children)
        assert code == 0, said
        if all(job.state == "done" for job in plant.store.jobs(FLEET)):
            return
        time.sleep(TTL_S / 2)
    raise AssertionError([(job.payload, job.state, job.error) for job in plant.store.jobs(FLEET)])


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again_is_as_if_undisturbed(point, plant, children):
    code, said = worker(plant, children, point=point)
    assert code == -9, said
    run_to_the_end(plant, children)
    found = left(plant)
    first, second = found["versions"]
    assert (first[0], first[2], second[0], second[2], second[3]) == (1, "retired", 2, "champion", 1)
    assert found["champion"] == (2, 2)
    assert found["promotions"] == [(1, None), (2, 1)]
    assert found["judgements"] == [("gate", True, 2), ("parity", True, 2)]
    assert found["jobs"] == [
        ("drift", "done", 2),
        ("promote", "done", None),
        ("backfill", "done", None),
    ]
    assert found["events"] == ["done"]
    assert found["folders"] == sorted([first[1], second[1]])  # and nothing that was half written


def test_killed_at_every_point_after_another(plant, children):
    for point in POINTS:
        code, said = worker(plant, children, point=point)
        assert code in (-9, 0), said  # 0: a point that lies behind, or a lease that has not ended
        time.sleep(TTL_S)
    for job in plant.store.jobs(FLEET, "dead"):  # so many deaths are more than a job has attempts
        plant.store.retry_job(job.id)
    run_to_the_end(plant, children)
    assert left(plant)["champion"] == (2, 2)
    assert left(plant)["judgements"] == [("gate", True, 2), ("parity", True, 2)]


def test_a_worker_that_hung_is_fenced(plant, children):
    """It stands still with its challenger in hand, another commits, and it wakes up."""
    import os
    import signal

    env = {
        "FORECAST_STORE_URL": plant.settings.store_url,
        "FORECAST_MODEL_ROOT": str(plant.settings.model_root),
        "FORECAST_HISTORY_ROOT": str(plant.settings.history_root),
        "FORECAST_LEASE_TTL_S": str(TTL_S),
        "FORECAST_JOBS": "1",
    }
    words = ("retrain", "--due", "--no-track", "--shadow-ticks", 0)
    slow = children.start(*words, point="call:retrain.work:refit:1", act="stop", env=env)
    slow.until_stopped()
    time.sleep(TTL_S * 1.5)
    run_to_the_end(plant, children)
    before = left(plant)
    os.kill(slow.pid, signal.SIGCONT)
    slow.wait()
    assert "lost" in slow.said()
    assert left(plant) == before
    shutil.rmtree(plant.settings.run_root)
