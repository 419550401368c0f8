"""One trainer a fleet; who lost the lease commits nothing."""

from __future__ import annotations

import multiprocessing
import time

import pandas as pd
import pytest

from pipelines.errors import StoreError
from pipelines.store import open_store
from tests.pipelines.store.fleets import manifest, predictions
from tests.pipelines.store.test_rows import dump
from tests.pipelines.store.test_versions import at_once

SCORES = pd.DataFrame({"unique_id": ["a"], "metric": ["mase"], "AutoAR": [0.5]})


def test_the_second_trainer_hears_who_is_first(store):
    with store.lease("a", "host-1", 60) as lease:
        assert (lease.fence, store.lease_holder("a").owner) == (1, "host-1")
        with pytest.raises(StoreError, match="host-1") as caught:
            store.lease("a", "host-2", 60)
        assert caught.value.retriable
        assert store.lease("b", "host-2", 60).fence == 1
    assert store.lease_holder("a") is None
    assert store.lease("a", "host-2", 60).fence == 2


def test_of_eight_threads_one_wins(store):
    found = at_once(8, lambda i: store.lease("a", f"owner-{i}", 60))
    won = [one for one in found if not isinstance(one, StoreError)]
    assert len(won) == 1
    assert all(one.retriable and won[0].owner in str(one) for one in found if isinstance(one, StoreError))


def _take(arguments):
    url, owner = arguments
    with open_store(url) as store:
        try:
            return store.lease("a", owner, 60).fence
        except StoreError:
            return None


@pytest.mark.slow
def test_of_four_processes_one_wins(store, url):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(_take, [(url, f"process-{i}") for i in range(4)], chunksize=1)
    assert sorted(found, key=str) == [1, None, None, None]


def test_an_expired_lease_is_taken_over_and_its_fence_refused(store):
    old = store.lease("a", "old", 0.05)
    row = store.add_version("a", manifest(0), "m", lease=old)
    time.sleep(0.1)
    assert store.lease_holder("a") is None
    late = store.add_version("a", manifest(1), "m", lease=old)  # expired, but nobody's yet
    new = store.lease("a", "new", 60)
    assert new.fence == old.fence + 1
    for commit in (
        lambda: store.add_version("a", manifest(2), "m", lease=old),
        lambda: store.set_champion("a", row, None, lease=old),
        lambda: store.write_series("f", ["x"], "h", lease=old),
        lambda: store.write_observations("f", ["x"], [1], [1.0], 1, lease=old),
        lambda: store.write_forecasts(row, predictions(), lease=old),
        lambda: store.write_scores(row, SCORES, lease=old),
        lambda: store.trim_forecasts("a", 1, lease=old),
        old.renew,
    ):
        with pytest.raises(StoreError, match="lost") as caught:
            commit()
        assert "'new'" in str(caught.value)
        assert caught.value.retriable  # the job may be run again, under a lease of its own
    old.release()  # does nothing to the new one
    assert store.lease_holder("a").owner == "new"
    assert [one.version for one in store.versions("a")] == [row.version, late.version]
    assert dump(store, "series") == []
    assert store.set_champion("a", late, None, lease=new) == 1
    assert store.write_scores(row, SCORES, lease=new) == 1


def test_a_renewed_lease_lives_on(store):
    lease = store.lease("a", "one", 0.2)
    for _ in range(4):
        time.sleep(0.1)
        lease.renew()
    assert store.lease_holder("a").until_ms == lease.until_ms
    with pytest.raises(StoreError, match="'one'"):
        store.lease("a", "two", 60)


def test_an_owner_takes_its_own_lease_over(store):
    killed = store.lease("a", "job-1", 60)
    resumed = store.lease("a", "job-1", 60)
    assert resumed.fence == 2
    with pytest.raises(StoreError, match="lost"):
        killed.renew()


def test_a_block_that_fails_releases_and_keeps_its_error(store):
    with pytest.raises(ZeroDivisionError), store.lease("a", "one", 60):
        raise ZeroDivisionError
    assert store.lease_holder("a") is None


@pytest.mark.parametrize("bad", [("", "o", 1), ("f", "", 1), ("f", "o", 0)])
def test_a_lease_needs_all_its_parts(store, bad):
    with pytest.raises(StoreError, match="needs"):
        store.lease(*bad)
