"""Several monitors at once: one event a key, one snapshot an epoch."""

from __future__ import annotations

import pytest

from pipelines.errors import ConflictError, StoreError
from pipelines.store import NewSnapshot, Recorded
from tests.pipelines.store.test_queue import event
from tests.pipelines.store.test_versions import at_once


def snapshot(epoch, data=b"bank", **positions):
    return NewSnapshot("g", "forecasts", 0, epoch, positions, data)


def test_eight_monitors_that_record_the_same_events_record_each_once(store):
    """In orders of their own: nobody waits for another in a circle."""
    events = [event(f"{i}", "ab"[i % 2]) for i in range(400)]

    def record(i):
        own = events[:: 1 if i % 2 else -1]
        return [store.record_events(own[k : k + 200]) for k in range(0, 400, 100)]

    found = at_once(8, record)
    assert sum(one.new for several in found for one in several) == 400
    assert len(store.events()) == 400
    assert [job.state for job in store.jobs()] == ["queued"] * 2
    joined = {job for several in found for one in several for job in one.jobs}
    assert joined == {job.id for job in store.jobs()}
    assert all(len(store.job_events(job.id)) == 200 for job in store.jobs())


@pytest.mark.parametrize("epoch", [0, 1])
def test_of_eight_monitors_of_one_partition_one_goes_on(store, epoch):
    if epoch:
        store.record_events([], snapshot=snapshot(0))

    def record(i):
        return store.record_events([event(f"{i}", f"fleet-{i}")], snapshot=snapshot(epoch, b"%d" % i))

    found = at_once(8, record)
    (won,) = [i for i, one in enumerate(found) if not isinstance(one, StoreError)]
    lost = [one for i, one in enumerate(found) if i != won]
    assert all(isinstance(one, ConflictError) and one.found == epoch + 1 for one in lost)
    assert [row.event.fleet for row in store.events()] == [f"fleet-{won}"]
    assert [job.fleet for job in store.jobs()] == [f"fleet-{won}"]
    assert store.snapshot("g", "forecasts", 0).data == b"%d" % won


def test_a_partition_is_taken_over_by_a_write(store):
    store.record_events([], snapshot=snapshot(0, offset=7))
    found = store.snapshot("g", "forecasts", 0)  # the old monitor is at this epoch, too
    taken = NewSnapshot("g", "forecasts", 0, found.epoch, found.positions, found.data)
    assert store.record_events([], snapshot=taken) == Recorded(0, (), 2)
    with pytest.raises(ConflictError, match=r"another monitor of group 'g' has forecasts/0.*epoch 2, not 1"):
        store.record_events([event()], snapshot=snapshot(1, offset=8))
    assert store.snapshot("g", "forecasts", 0).positions == {"offset": 7}
    assert store.events() == []


def test_partitions_and_groups_have_snapshots_of_their_own(store):
    for group, partition in (("g", 0), ("g", 1), ("h", 0)):
        new = NewSnapshot(group, "forecasts", partition, 0, {}, group.encode() * (partition + 1))
        assert store.record_events([], snapshot=new).epoch == 1
    assert store.snapshot("g", "forecasts", 1).data == b"gg"
    assert store.snapshot("h", "forecasts", 0).data == b"h"
    assert store.snapshot("g", "ticks", 0) is None


def test_a_large_snapshot_comes_back_to_the_byte(store):
    data = bytes(range(256)) * 40_000
    store.record_events([], snapshot=snapshot(0, data, forecasts=2**40))
    found = store.snapshot("g", "forecasts", 0)
    assert (found.data, found.positions) == (data, {"forecasts": 2**40})


def test_an_event_that_is_refused_keeps_no_snapshot(store):
    for bad in ({"threshold": float("nan")}, {"statistic": float("nan")}):
        with pytest.raises(StoreError, match="must be numbers"):
            store.record_events([event("1"), event("2", **bad)], snapshot=snapshot(0))
    with pytest.raises(StoreError, match="the positions holds a object"):
        store.record_events([event("1")], snapshot=snapshot(0, ticks=object()))
    assert store.events() == []
    assert store.snapshot("g", "forecasts", 0) is None
