"""The monitor on an embedded log and a store in SQLite."""

from __future__ import annotations

from pipelines.monitor import run_monitor
from pipelines.stream.stopping import Stop
from tests.pipelines.monitor.feeds import HOUR, START, alerts, options, register, shifted

IDS = [f"s{i}" for i in range(10)]


def run(log, store, **given):
    return run_monitor(log, lambda: store, options(**given), Stop())


def test_a_shift_becomes_one_event_a_job_and_an_alert(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), version)
    totals = run(log, store)
    events = store.events("shop")
    assert [(e.event.series_key, e.event.version, e.event.model) for e in events] == [("s3", version, "AR")]
    assert events[0].event.detector in ("mean", "slow", "variance", "coverage", "adaptive")
    assert START + 40 * HOUR < events[0].event.ts_ms <= START + 50 * HOUR
    assert events[0].event.statistic > events[0].event.threshold > 0
    (job,) = store.jobs("shop")
    assert events[0].job_id == job.id
    (alert,) = alerts(log)
    assert alert.dedup_key == events[0].event.dedup_key
    assert alert.series_id == "s3"
    assert totals.counts["forecasts"] == totals.counts["ticks"] == 600
