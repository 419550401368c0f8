"""The monitor on a real broker."""

from __future__ import annotations

import uuid

import pytest

from pipelines.log import open_log
from pipelines.log.protocol import Membership, Topic
from pipelines.log.records import Partition, make_block
from pipelines.monitor import run_monitor
from pipelines.stream.stopping import Stop
from tests.pipelines.monitor.feeds import Feed, alerts, options, register, shifted
from tests.pipelines.monitor.test_faults import Running, done, keys, until

pytestmark = pytest.mark.stream

PARTITIONS = 4
IDS = [[f"p{number}-{i}" for i in range(5)] for number in range(PARTITIONS)]


class KafkaFeed(Feed):
    """Topics of a test's own; forecasts are written in transactions, as the stream does."""

    def __init__(self, log, name):
        self.log, self.name, self.writer = log, name, log.writer()
        self.topics = {"ticks": f"{name}-ticks", "forecasts": f"{name}-forecasts"}
        log.make_topics([Topic(topic, PARTITIONS) for topic in self.topics.values()])
        self.offsets = dict.fromkeys(range(PARTITIONS), 0)
        self.author = log.member(Membership(f"{name}-author", "one"))

    def round(self, rows, version, number):
        made, seen = self.encode(rows, version, number, ticks=self.topics["ticks"])
        self.writer.write(make_block(Partition(self.topics["ticks"], number), seen))
        self.writer.flush()
        self.author.begin()
        self.author.write(make_block(Partition(self.topics["forecasts"], number), made))
        self.author.commit({})

    def close(self):
        self.author.close()
        self.writer.close()


@pytest.fixture(params=["kafka-python", "confluent"])
def world(request, kafka_address):
    log = open_log(kafka_address, client=request.param)
    feed = KafkaFeed(log, f"monitor-{uuid.uuid4().hex[:8]}")
    yield log, feed
    feed.close()
    log.close()


def given(feed, **more):
    return {
        **feed.topics,
        "fleet_share": 0.5,
        "alerts": f"{feed.name}-alerts",
        "group": f"{feed.name}-group",
        **more,
    }


def send(feed, version, first, steps, shift_at=40):
    for number, ids in enumerate(IDS):
        rows = shifted(ids, steps, shift_at, who={f"p{number}-2"}, seed=number, first=first)
        feed.round(rows, version, number)


def test_what_is_there_is_done_once_and_markers_are_an_end(world, store, tmp_path):
    log, feed = world
    version = register(store, tmp_path, [name for ids in IDS for name in ids])
    send(feed, version, 0, 30)
    totals = run_monitor(log, lambda: store, options(**given(feed)), Stop())
    assert totals.counts["forecasts"] == totals.counts["ticks"] == 600
    send(feed, version, 30, 30)
    totals = run_monitor(log, lambda: store, options(**given(feed)), Stop())
    assert totals.counts["forecasts"] == 600
    assert {event.event.series_key for event in store.events("shop")} == {
        f"p{n}-2" for n in range(PARTITIONS)
    }
    assert {alert.dedup_key for alert in alerts(log, f"{feed.name}-alerts")} == set(keys(store))
    assert run_monitor(log, lambda: store, options(**given(feed)), Stop()).counts["forecasts"] == 0


def test_two_monitors_share_the_partitions_and_one_takes_over(world, store, tmp_path, kafka_address):
    log, feed = world
    version = register(store, tmp_path, [name for ids in IDS for name in ids])
    topic = feed.topics["forecasts"]
    other = open_log(kafka_address)
    try:
        first = Running(log, store, **given(feed, instance="m1"))
        second = Running(other, store, **given(feed, instance="m2"))

        def all_done(count):
            rows = [store.snapshot(f"{feed.name}-group", topic, number) for number in range(PARTITIONS)]
            return all(row and row.positions["ticks"]["offset"] >= count for row in rows)

        send(feed, version, 0, 30)
        until(lambda: all_done(150), 60.0)
        first.end()
        send(feed, version, 30, 30)
        until(lambda: all_done(300), 60.0)
        until(lambda: len(keys(store)) == PARTITIONS, 30.0)
        second.end()
        assert first.totals.counts["forecasts"] + second.totals.counts["forecasts"] == 1200
        assert len(store.jobs("shop")) == 1
        assert done(store) == 0  # nothing in a group of another name
    finally:
        other.close()
