"""`forecast retrain`, as people and schedulers call it."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.store import open_store
from tests.pipelines.retrain.fleet import frame, values
from tests.pipelines.retrain.plant import FLEET, IDS, POINTS, Plant, settings_in, shifted


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plant")
    with open_store(settings_in(folder).store(), lock_timeout_s=5) as store:
        store.upgrade()
        Plant(settings_in(folder), store).train()
    shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"))
    return folder


@pytest.fixture
def plant(trained, monkeypatch):
    shutil.rmtree(trained)
    shutil.copytree(trained.with_name(f"{trained.name}-kept"), trained)
    monkeypatch.chdir(trained)
    (trained / "forecast.toml").write_text(
        'store_url = "sqlite:///store.db"\nhistory_root = "history"\nmodel_root = "models"\n'
        "retrain_backoff_s = 0.01\nretrain_attempts = 2\nshadow_ticks = 0\njobs = 1\n"
    )
    with open_store(settings_in(trained).store(), lock_timeout_s=5) as store:
        yield Plant(settings_in(trained), store)


@pytest.fixture
def drifted(plant):
    plant.archive({"p1": shifted(1, 60, 4.0)})
    plant.drift("p1")
    return plant


def retrain(*words, code=0):
    found = CliRunner().invoke(main, ["retrain", *map(str, words)], prog_name="forecast")
    assert found.exit_code == code, (found.output, found.exception)
    return found


def test_what_is_due_is_run_and_told(drifted):
    said = retrain("--due", "--no-track").stdout
    assert "plant@2 promoted" in said
    assert "significant gain" in said
    assert retrain("--due", "--no-track").stdout == "nothing is due\n"


def test_it_is_told_as_json(drifted):
    found = json.loads(retrain("--due", "--no-track", "--json").stdout)
    assert [one["outcome"] for one in found["runs"]] == ["passed", "promoted", "backfilled"]
    assert found["untold"] == {}
    jobs = json.loads(retrain("--list", "--json").stdout)
    assert [(job["kind"], job["state"], job["made"]) for job in jobs] == [
        ("drift", "done", "plant@2"),
        ("promote", "done", None),
        ("backfill", "done", None),
    ]
    assert jobs[0]["series"] == "p1"


def test_a_shadow_is_asked_for(drifted):
    said = retrain("--due", "--no-track", "--shadow-ticks", 24).stdout
    assert "in the shadow" in said
    assert drifted.store.champion(FLEET).version.ver == 1


def test_promotions_are_announced_to_the_log(drifted):
    from pipelines.log import open_log
    from pipelines.log.records import Partition
    from pipelines.wire import decode_control

    retrain("--due", "--no-track", "--log", "stream.db")
    log = open_log("embedded:stream.db")
    reader = log.reader()
    reader.assign({Partition("model-control", 0): None})
    found = [
        decode_control(batch.value(i)) for batch in reader.poll(1.0, 10) for i in range(len(batch.offsets))
    ]
    reader.close()
    log.close()
    assert found[-1].row_version == 2  # a compact topic: the last word counts
    assert found[-1].version == drifted.store.champion(FLEET).version.version


def test_a_log_that_is_down_is_told_by_the_exit_code(drifted):
    (drifted.settings.run_root.parent / "broken.db").write_text("no database")
    found = retrain("--due", "--no-track", "--log", "broken.db", code=3)
    assert "promoted" in found.stdout
    assert "not all champions were told of" in found.stderr
    assert drifted.store.champion(FLEET).version.ver == 2


def test_a_refit_by_hand(plant):
    plant.archive({"p0": shifted(0, 60, 4.0)})
    said = retrain("--now", "--fleet", FLEET, "--series", "p0", "--no-track")
    assert "asked for" in said.stderr
    assert "plant@2 promoted" in said.stdout
    assert plant.store.champion(FLEET).version.n_series == 1


def test_a_refit_from_a_file(plant):
    import numpy as np

    grown = {key: np.concatenate([values(i, POINTS), shifted(i, 60, 4.0)]) for i, key in enumerate(IDS)}
    frame(grown).to_csv("grown.csv", index=False)
    said = retrain("--now", "--fleet", FLEET, "--input", "grown.csv", "--no-track").stdout
    assert "plant@2 promoted" in said
    assert plant.store.champion(FLEET).version.n_series == 3


def test_a_job_that_dies_is_seen_and_run_again(drifted):
    history = next(p for p in (drifted.settings.history_root / FLEET).iterdir() if p.name != "ticks")
    history.rename("away")
    found = retrain("--due", "--no-track", "--max-jobs", 1, code=75)
    assert "failed, tried again later" in found.stdout
    time.sleep(0.05)
    found = retrain("--due", "--no-track", code=1)
    assert "is not at" in found.stdout
    assert "Traceback" not in found.output
    said = retrain("--list").stdout
    assert "dead" in said
    assert "is not at" in said
    (drifted.settings.run_root.parent / "away").rename(history)
    assert "waits again" in retrain("--retry", 1).stderr
    assert "promoted" in retrain("--due", "--no-track").stdout
    assert "only a dead job is run again" in retrain("--retry", 1, code=1).stderr


def test_a_fleet_that_is_unknown_is_named(plant):
    assert "did you mean 'plant'" in retrain("--now", "--fleet", "plan", code=1).stderr
    assert "no jobs" in retrain("--list").stdout


def test_a_wrong_schedule_is_told(plant):
    with open("forecast.toml", "a") as file:
        file.write('[schedules]\nplant = "61 * * * *"\n')
    assert "61" in retrain("--due", "--no-track", code=1).stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "say what to do"),
        (("--now",), "--now needs --fleet"),
        (("--due", "--series", "a"), "--series goes with --now"),
        (("--due", "--input", "a.csv"), "--fleet says whose data"),
        (("--due", "--fleet", "f", "--input", "a.csv", "--sql", "SELECT"), "name one"),
        (("--due", "--fleet", "f", "--from", "sqlite:///x"), "--from is the database of --sql"),
        (("--list", "--due"), "--list only lists"),
        (("--due", "--log", "x.db", "--bootstrap", "h:1"), "is for Kafka"),
        (("--due", "--log", "kafka"), "say where the log is"),
        (("--watch", "0"), "--watch"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(plant, words, why):
    assert why in retrain(*words, code=2).stderr


def test_a_store_without_tables_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "forecast db upgrade" in retrain("--due", code=1).stderr
