"""Who serves: changed once, for a reason, and only to what may serve."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from forecast.models import version
from pipelines.cli import main
from pipelines.errors import ConflictError, PromotionError, StoreError
from pipelines.log.embedded import EmbeddedLog
from pipelines.log.records import Partition
from pipelines.retrain.promote import promote, rollback
from pipelines.wire import decode_control
from tests.pipelines.retrain.fleet import IDS, values


def state(shop, row):
    return shop.store.version("shop", row.ver).state


@pytest.fixture
def two(shop):
    first = shop.whole()
    return first, shop.overlay(first, ("b",))


def call(shop, *words):
    where = ["--store", shop.settings.store_url, "--tracking", shop.settings.tracking_uri]
    return CliRunner().invoke(main, ["models", *map(str, words), *where])


def test_a_promotion_retires_the_champion_and_is_done_once(shop, two):
    first, second = two
    assert promote(shop.store, "shop", first, reason="first").row_version == 1
    now = promote(shop.store, "shop", 2, reason="drift")
    assert (now.version.id, now.row_version, now.announced, now.mirrored) == (second.id, 2, 0, 0)
    assert (state(shop, first), state(shop, second)) == ("retired", "champion")
    assert promote(shop.store, "shop", second.version, reason="again", expected=1).row_version == 2
    assert [one.reason for one in shop.store.promotions("shop")] == ["first", "drift"]
    assert not shop.store.judgements("shop")


def test_a_decision_about_another_champion_changes_nothing(shop, two):
    first, second = two
    promote(shop.store, "shop", first, reason="first")
    with pytest.raises(ConflictError) as caught:
        promote(shop.store, "shop", second, reason="late", expected=0)
    assert caught.value.found == 1
    assert shop.store.champion("shop").version.id == first.id
    assert state(shop, second) == "candidate"


def test_the_pointer_moves_back_step_by_step_and_never_forward(shop, two):
    first, second = two
    third = shop.overlay(second, ("c",))
    for row in (first, second, third):
        promote(shop.store, "shop", row, reason="up")
    assert rollback(shop.store, "shop", reason="bad").version.id == second.id
    assert rollback(shop.store, "shop").version.id == first.id
    with pytest.raises(PromotionError, match="no champion before shop@1"):
        rollback(shop.store, "shop")
    assert rollback(shop.store, "shop", to=3).version.id == third.id
    assert rollback(shop.store, "shop").version.id == first.id
    reasons = [one.reason for one in shop.store.promotions("shop")][3:]
    assert reasons[0] == "rolled back from shop@3: bad"
    judged = shop.store.judgements("shop")
    assert [(j.stage, j.passed, j.ver, j.against_ver) for j in judged[:2]] == [
        ("manual", True, 2, 3), ("manual", True, 1, 2)
    ]  # fmt: skip
    assert judged[0].evidence["reason"] == "rolled back from shop@3: bad"


def test_there_must_be_something_to_go_back_from(shop, two):
    with pytest.raises(PromotionError, match="has no champion to go back from"):
        rollback(shop.store, "shop")
    promote(shop.store, "shop", 1, reason="first")
    with pytest.raises(StoreError, match="no version '9'"):
        rollback(shop.store, "shop", to=9)


def spoil(shop, row, **changes):
    """Write a version that no fit would give: other numbers in the records of one series."""
    found = version.load(row.artifact_uri)
    records = found.models[0].records
    columns = {name: np.array(getattr(records, name)) for name in changes}
    for name, value in changes.items():
        columns[name][0] = value
    return replace(found.models[0], records=replace(records, **columns))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"phi": 0.99995, "parcor": 0.99995}, "fails its certificate"), ({"phi": 1.2}, "not stationary"),
     ({"const": np.nan}, "must be finite"), ({"sigma2": np.inf}, "must be finite"),
     ({"levels": np.inf}, "must be finite")],
)  # fmt: skip
def test_what_is_not_sound_does_not_serve(shop, two, changes, told, monkeypatch):
    first, second = two
    promote(shop.store, "shop", first, reason="first")
    spoilt = spoil(shop, second, **changes)
    whole = version.load(second.artifact_uri)
    load = version.load

    def bad(path):
        found = load(path)
        return replace(found, models=(spoilt,)) if str(path) == second.artifact_uri else found

    assert whole.manifest.version == second.version
    monkeypatch.setattr(version, "load", bad)
    with pytest.raises(PromotionError, match=told):
        promote(shop.store, "shop", second, reason="bad", by_hand=True, force=True)
    assert shop.store.champion("shop").version.id == first.id
    (judged,) = shop.store.judgements("shop", second)
    assert (judged.stage, judged.passed) == ("manual", False)
    assert told in judged.evidence["why"]


def test_a_damaged_folder_does_not_serve(shop, two):
    first, second = two
    promote(shop.store, "shop", first, reason="first")
    (chunk,) = (shop.folder / "models" / "shop" / second.version / "chunks").iterdir()
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(PromotionError, match="cut short or changed"):
        promote(shop.store, "shop", second, reason="x")
    shutil.rmtree(second.artifact_uri)
    with pytest.raises(PromotionError, match="is missing"):
        promote(shop.store, "shop", second, reason="x")
    shutil.copytree(first.artifact_uri, second.artifact_uri)
    with pytest.raises(PromotionError, match=f"holds version {first.version[:12]}"):
        promote(shop.store, "shop", second, reason="x")
    assert shop.store.champion("shop").version.id == first.id


def test_a_parent_that_is_damaged_is_no_ground_to_stand_on(shop, two):
    first, second = two
    promote(shop.store, "shop", first, reason="first")
    shutil.rmtree(first.artifact_uri)
    with pytest.raises(PromotionError, match="is missing"):
        promote(shop.store, "shop", second, reason="x")


def test_a_rejected_version_and_one_on_another_grid_need_force(shop, two):
    import forecast as fc
    from tests.pipelines.retrain.fleet import frame

    first, second = two
    promote(shop.store, "shop", first, reason="first")
    shop.store.set_state(second, "rejected")
    with pytest.raises(PromotionError, match="shop@2 was rejected"):
        promote(shop.store, "shop", second, reason="x")
    assert promote(shop.store, "shop", second, reason="x", force=True).version.id == second.id
    daily = frame({name: values(i, 60) for i, name in enumerate(IDS)})
    daily["ds"] = daily.groupby("unique_id").cumcount().map(lambda k: np.datetime64("2024-01-01") + k)
    other = shop.add(fc.fit(daily, fc.AR(lags=1), "D", n_jobs=1))
    with pytest.raises(PromotionError, match="on the grid 'D', the champion shop@2 on 'h'"):
        promote(shop.store, "shop", other, reason="x")
    assert promote(shop.store, "shop", other, reason="x", force=True).version.id == other.id


def test_one_command_promotes_tells_the_stream_and_says_who_serves(shop, two):
    first, second = two
    log = shop.folder / "log.db"
    EmbeddedLog(log).close()
    done = call(shop, "promote", "shop@1", "--no-track", "--log", log)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("shop@1 (")
    done = call(shop, "promote", "shop@2", "--no-track", "--log", log, "--reason", "it drifted")
    assert (
        f"shop@2 ({second.version[:12]}) serves shop now, in place of shop@1; streams were told"
        in done.stdout
    )
    assert shop.store.promotions("shop")[-1].reason == "it drifted"
    done = call(shop, "promote", "shop@2", "--no-track", "--log", log)
    assert "serves shop now since " in done.stdout
    done = call(shop, "rollback", "shop", "--no-track", "--log", log, "--reason", "worse", "--json")
    found = json.loads(done.stdout)
    assert (found["serves"], found["before"], found["changed"], found["announced"]) == (1, 2, True, True)
    # Compact: the last word on a fleet is kept.
    assert [(m.row_version, m.version) for m in messages(log)] == [(3, first.version)]


def messages(path):
    log = EmbeddedLog(path)
    reader = log.reader()
    reader.assign({Partition("model-control", 0): None})
    found = [decode_control(b.value(i)) for b in reader.poll(1.0, 100) for i in range(len(b.offsets))]
    reader.close()
    log.close()
    return found


def test_a_log_that_is_not_there_leaves_the_promotion_and_says_run_again(shop, two):
    done = call(shop, "promote", "shop@1", "--no-track", "--log", shop.folder / "no" / "log.db")
    assert done.exit_code == 75, done.output
    assert "the champion is changed and streams are not told: run this again" in done.stderr
    assert "streams were not told" in done.stdout
    assert shop.store.champion("shop").version.ver == 1
    done = call(shop, "promote", "shop@1", "--no-track")
    assert "no log is named" in done.stderr
    assert done.exit_code == 0
    EmbeddedLog(shop.folder / "log.db").close()
    done = call(shop, "promote", "shop@1", "--no-track", "--log", shop.folder / "log.db")
    assert "streams were told" in done.stdout
    assert [m.row_version for m in messages(shop.folder / "log.db")] == [1]


@pytest.mark.parametrize(
    ("words", "told"),
    [(("rollback", "shop"), "no champion to go back from"), (("promote", "shop@9"), "no version '9'"),
     (("rollback", "other"), "'other' has no champion"), (("promote", "nonsense"), "must name one version")],
)  # fmt: skip
def test_what_cannot_be_is_one_line(shop, two, words, told):
    done = call(shop, *words, "--no-track")
    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_mlflow_that_is_down_is_no_reason_to_fail(shop, two):
    from tests.services.mlflow_server import free_port

    shop.settings = shop.settings.model_copy(update={"tracking_uri": f"http://127.0.0.1:{free_port()}"})
    done = call(shop, "promote", "shop@1")
    assert done.exit_code == 0
    assert "MLflow was not told" in done.stderr
    assert shop.store.champion("shop").mirrored == 0
