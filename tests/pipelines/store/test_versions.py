"""Versions, champions and what happens when several write at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from pipelines.errors import ConflictError, StoreError
from pipelines.store import open_store
from pipelines.store.tables import ModelVersion
from tests.pipelines.store.fleets import manifest


def at_once(n, call):
    """Call `call(i)` from n threads that start together; return results and errors in the order of i."""
    gate = threading.Barrier(n)

    def run(i):
        gate.wait()
        try:
            return call(i)
        except StoreError as error:
            return error

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


def test_a_version_is_kept_with_its_chunks(store):
    given = manifest(aliases=("AutoAR", "Naive"), tz="Europe/Paris")
    row = store.add_version("power", given, "file:///m")
    assert (row.ver, row.version, row.state, row.parent_version) == (1, given.version, "candidate", None)
    assert (row.freq, row.tz, row.n_series, row.created_ts_ms) == ("h", "Europe/Paris", 20, 1_700_000_000_000)
    assert [model["alias"] for model in row.models] == ["AutoAR", "Naive"]
    assert store.chunks(row) == {model.alias: model.chunks for model in given.models}
    assert store.versions("power") == store.versions() == [row]


def test_a_version_added_again_is_the_same_row(store):
    first = store.add_version("power", manifest(), "file:///m")
    again = store.add_version("power", manifest(), "file:///elsewhere", tracking={"mlflow_run_id": "r1"})
    assert again.id == first.id
    assert again == store.version("power", 1)
    assert again.artifact_uri == "file:///elsewhere"  # where it was before may be gone
    assert again.mlflow_run_id == "r1"
    assert len(store.versions()) == 1


def test_fleets_number_their_versions_by_themselves(store):
    rows = [store.add_version(fleet, manifest(i), "m") for i in (1, 2) for fleet in ("a", "b")]
    assert [(row.fleet, row.ver) for row in rows] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    with pytest.raises(StoreError, match="several fleets"):
        store.set_tracking(manifest(1).version, "run", "1")


def test_a_parent_must_be_of_the_fleet(store):
    parent = store.add_version("a", manifest(1), "m")
    child = manifest(2, parent=parent.version)
    with pytest.raises(StoreError, match="not registered for fleet 'b'"):
        store.add_version("b", child, "m")
    assert store.versions("b") == []
    assert store.add_version("a", child, "m").parent_version == parent.version
    with pytest.raises(StoreError, match="the manifest's parent is"):
        store.add_version("a", child, "m", parent_version="0" * 64)


def test_a_version_is_found_by_number_prefix_and_champion(store):
    rows = [store.add_version("a", manifest(i), "m") for i in range(3)]
    for row in rows:
        assert store.version("a", row.ver) == store.version("a", str(row.ver)) == row
        assert store.version("a", row.version[:10]) == store.version("a", row.version) == row
    store.set_champion("a", rows[1], None)
    assert store.version("a", "champion").id == rows[1].id


@pytest.mark.parametrize(
    ("fleet", "ref", "message"),
    [
        ("a", "9", "it has 1 to 1"),
        ("a", "champion", "no champion yet"),
        ("a", "abcdef", "no version"),
        ("a", "%", "no version"),
        ("b", "1", "fleets: a"),
    ],
)
def test_an_unknown_version_says_what_there_is(store, fleet, ref, message):
    store.add_version("a", manifest(), "m")
    with pytest.raises(StoreError, match=message):
        store.version(fleet, ref)


def test_a_short_beginning_that_two_share_asks_for_more(store):
    store.add_version("a", manifest(0), "m")
    known = [store.add_version("a", manifest(i), "m").version for i in range(1, 3)]
    with store._engine.begin() as connection:
        for i, version in enumerate(known):
            same = update(ModelVersion).where(ModelVersion.version == version)
            connection.execute(same.values(version=f"abcdef{i}{version[7:]}"))
    with pytest.raises(StoreError, match=r"2 .abcdef0.*3 .abcdef1.*give more"):
        store.version("a", "abcdef")
    assert store.version("a", "abcdef1").ver == 3


def test_unknown_states_and_tracking_keys_are_refused(store):
    with pytest.raises(StoreError, match="known: candidate"):
        store.add_version("a", manifest(), "m", state="best")
    with pytest.raises(StoreError, match="set_champion"):
        store.add_version("a", manifest(), "m", state="champion")
    with pytest.raises(StoreError, match="run_id"):
        store.add_version("a", manifest(), "m", tracking={"run_id": "x"})
    assert store.versions() == []


def test_threads_that_add_get_different_numbers_and_one_version_once(store):
    rows = at_once(8, lambda i: store.add_version("a", manifest(i % 4), "m"))
    assert sorted({row.ver for row in rows}) == [1, 2, 3, 4]
    assert [row.version for row in rows] == [manifest(i % 4).version for i in range(8)]
    assert len(store.versions("a")) == 4


def test_the_champion_moves_by_compare_and_set(store):
    one, two = (store.add_version("a", manifest(i), "m") for i in (1, 2))
    assert store.champion("a") is None
    assert store.set_champion("a", one, None) == 1
    assert store.set_champion("a", two.version, 1) == 2
    found = store.champion("a")
    assert (found.version.id, found.row_version, found.version.state) == (two.id, 2, "champion")
    assert store.version("a", 1).state == "retired"
    with pytest.raises(ConflictError) as caught:
        store.set_champion("a", one, 1)
    assert caught.value.found == 2
    assert not caught.value.retriable
    assert store.champion("a") == found


def test_setting_the_champion_that_is_there_changes_nothing(store):
    one = store.add_version("a", manifest(1), "m")
    assert store.set_champion("a", one, 0) == 1
    before = store.champion("a")
    assert store.set_champion("a", one, 0) == 1
    assert store.champion("a") == before


def test_every_promotion_is_kept(store):
    one, two = (store.add_version("a", manifest(i), "m") for i in (1, 2))
    assert store.promotions("a") == []
    store.set_champion("a", one, None, reason="the first version")
    store.set_champion("a", one, 1, reason="nothing changes")
    store.set_champion("a", two, 1, reason="better")
    with pytest.raises(ConflictError):
        store.set_champion("a", one, 1, reason="too late")
    store.set_champion("a", one, 2, reason="back")
    found = store.promotions("a")
    assert [(p.row_version, p.ver, p.previous_ver, p.reason) for p in found] == [
        (1, 1, None, "the first version"), (2, 2, 1, "better"), (3, 1, 2, "back"),
    ]  # fmt: skip
    assert [p.version for p in found] == [one.version, two.version, one.version]
    assert found[-1].ts_ms == store.champion("a").changed_ts_ms
    assert store.promotions("b") == []


def test_metrics_are_those_of_the_last_job(store):
    assert store.add_version("a", manifest(), "m").metrics is None
    for mase in (0.5, 0.25):
        row = store.add_version("a", manifest(), "m", metrics={"AutoAR": {"mase_mean": mase}})
    assert store.add_version("a", manifest(), "m") == row
    assert store.version("a", 1).metrics == {"AutoAR": {"mase_mean": 0.25}}


def test_a_champion_is_of_its_fleet(store):
    row = store.add_version("a", manifest(1), "m")
    with pytest.raises(StoreError, match="of fleet 'a', not 'b'"):
        store.set_champion("b", row, None)
    store.set_champion("a", row, None)
    with pytest.raises(StoreError, match="set_champion only"):
        store.set_state(row, "rejected")
    other = store.add_version("a", manifest(2), "m")
    assert store.set_state(other, "shadow").state == "shadow"


@pytest.mark.parametrize("expected", [None, 1])
def test_of_eight_promotions_at_once_one_wins(store, expected):
    rows = [store.add_version("a", manifest(i), "m") for i in range(9)]
    if expected:
        store.set_champion("a", rows[8], None)
    found = at_once(8, lambda i: store.set_champion("a", rows[i], expected))
    won = [i for i, one in enumerate(found) if not isinstance(one, StoreError)]
    assert len(won) == 1
    assert all(isinstance(one, ConflictError) for i, one in enumerate(found) if i not in won)
    assert store.champion("a").version.id == rows[won[0]].id
    assert store.champion("a").row_version == (expected or 0) + 1


def test_tracking_is_noted_later(store):
    row = store.add_version("a", manifest(), "m")
    assert store.set_tracking(row.version, "run", "7").mlflow_version == "7"
    assert store.version("a", 1).mlflow_run_id == "run"


def test_what_is_written_is_there_for_the_next_process(store, url):
    row = store.add_version("a", manifest(), "m")
    store.close()
    with open_store(url) as again:
        assert again.versions() == [row]
