"""Ticks for the engine that adds up, and what has to come of them."""

from __future__ import annotations

import random

from pipelines.log.protocol import Delivery, Membership
from pipelines.stream.preparing import make_stream_topics
from pipelines.stream.service import ServiceOptions
from pipelines.stream.worker_options import WorkerOptions
from tests.pipelines.stream.adding import TOPICS, pairs, produce, read, tick


def options(delivery=Delivery.EXACTLY_ONCE, tmp_path=None, **changes):
    quick = {"commit_interval_s": 0.0, "batch_limit": 7, "idle_wait_s": 0.01, "linger_s": 0.0}
    worker = WorkerOptions(**quick | changes)
    membership = Membership("group", "one", delivery)
    snapshots = None if tmp_path is None else tmp_path / "snapshots"
    return ServiceOptions(
        membership, TOPICS, partitions=2, worker=worker, stop_at_end=True, snapshots=snapshots,
        snapshot_interval_s=0.0,
    )  # fmt: skip


def fill(log, n=30, half=lambda: None):
    """Write ticks of a few series, some of them poisoned; return what has to come of them.

    `half` is called when half of the ticks are there.
    """
    make_stream_topics(log, TOPICS, "model-control", 2)
    draw = random.Random(0)
    sums, forecasts, dead = {}, {0: [], 1: []}, {0: [], 1: []}
    for offset in range(n):
        if offset == n // 2:
            half()
        for number in (0, 1):
            if offset % 11 == 5:
                record = (b"poison", b"{not a tick")
                dead[number].append(record)
            else:
                series, value = f"{number}-{draw.randrange(3)}", draw.randrange(100)
                record = tick(series, value)
                total = sums.get((number, series), (0, 0))[0] + value
                sums[number, series] = total, offset
                forecasts[number].append((series.encode(), f"{total} {number} {offset} v1".encode()))
            produce(log, number, [record])
    state = {n: {key.encode(): v for (m, key), v in sums.items() if m == n} for n in (0, 1)}
    return forecasts, state, dead


def check(log, expected, engine=None, exactly=True):
    forecasts, state, dead = expected
    found = read(log, TOPICS.forecasts)
    if exactly:
        assert found == forecasts
    for number in (0, 1):
        assert set(found[number]) == set(forecasts[number])
        assert dict(read(log, TOPICS.state)[number]) == dict(pairs(state[number]))
        assert set(read(log, TOPICS.dead)[number]) == set(dead[number])
    if exactly:
        assert read(log, TOPICS.dead) == dead
    if engine is not None:
        assert engine.states == state
