"""Numbers of edge bundles only grow; a bundle is registered once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from pipelines.errors import ConflictError, StoreError
from pipelines.store import NewBundle
from pipelines.store.engine import writing
from tests.pipelines.store.fleets import manifest
from tests.pipelines.store.test_versions import at_once

BUNDLE = NewBundle("shop", 1, "AutoAR", "ab" * 32, "out/shop", 21, "balanced", 1e-9, 5000, "0123456789abcdef")
OF_THE_FIRST = text(
    "INSERT INTO edge_bundle (model_version_id, sha256, artifact_uri, opset, quant, parity_err, size,"
    " created_ts_ms) VALUES (:of, :sha256, 'u', 21, 'int8', 0.1, 9, 0)"
)


def test_numbers_grow_within_a_name(store):
    assert [store.take_bundle_number("shop") for _ in range(3)] == [1, 2, 3]
    assert store.take_bundle_number("home") == 1


def test_a_number_is_never_given_twice_at_once(store):
    assert sorted(at_once(8, lambda _: store.take_bundle_number("shop"))) == list(range(1, 9))


def test_a_number_follows_what_is_registered(store):
    version = store.add_version("shop", manifest(1), "m")
    store.add_bundle(version, replace(BUNDLE, bundle_version=7))
    assert store.take_bundle_number("shop") == 8


def test_what_is_registered_is_listed(store):
    version = store.add_version("shop", manifest(1), "m")
    added = store.add_bundle(version, BUNDLE)
    other = store.add_bundle(version, replace(BUNDLE, name="home", sha256="cd" * 32, key_id=None))
    assert store.bundles("shop") == [added]
    assert store.bundles() == [other, added]
    assert (added.fleet, added.ver, added.version) == ("shop", 1, version.version)
    assert added.bundle == BUNDLE
    assert added.created_ts_ms > 1_700_000_000_000


@pytest.mark.parametrize("change", [{"sha256": "cd" * 32}, {"bundle_version": 2}])
def test_the_same_number_or_content_again_is_a_conflict(store, change):
    version = store.add_version("shop", manifest(1), "m")
    store.add_bundle(version, BUNDLE)
    with pytest.raises(ConflictError, match="shop 1 is registered already"):
        store.add_bundle(version, replace(BUNDLE, **change))
    assert len(store.bundles()) == 1


def test_a_version_that_is_not_registered_has_no_bundle(store):
    with pytest.raises(StoreError, match="not registered"):
        store.add_bundle("ff" * 32, BUNDLE)


def test_a_row_of_the_first_schema_keeps_a_number_of_its_own(store):
    version = store.add_version("shop", manifest(1), "m")
    assert store.downgrade("0001") == ("0003", "0001")
    with writing(store._engine) as connection:
        for sha256 in ("a", "b"):
            connection.execute(OF_THE_FIRST, {"of": version.id, "sha256": sha256})
    assert store.upgrade() == ("0001", "0003")
    assert store.check().ok
    assert [row.bundle.bundle_version for row in store.bundles()] == [row.id for row in store.bundles()]
    assert store.take_bundle_number("") == 3
