"""The monitor on an embedded log and a store in SQLite."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import pytest
from msgspec import structs

from pipelines.errors import LogError, SettingsError, StoreError, StreamError
from pipelines.log.embedded import EmbeddedLog
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition
from pipelines.monitor import run_monitor
from pipelines.store import NewSnapshot, open_store
from pipelines.stream.stopping import Stop
from pipelines.wire import encode_forecast
from tests.pipelines.monitor.feeds import HOUR, START, Feed, alerts, forecast, options, register, shifted

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


def test_what_is_done_is_not_done_again(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 60, shift_at=40, who={"s3"})
    for first in range(0, 600, 130):
        feed.send(rows[first : first + 130], version)
        run(log, store)
    (event,) = store.events("shop")
    assert event.event.series_key == "s3"
    assert len(alerts(log)) == 1
    whole = run(log, store, group="another").counts
    assert whole["forecasts"] == 600
    assert len(store.events("shop")) == 1  # its key is known
    assert len(store.jobs("shop")) == 1


def test_alarms_of_a_large_share_are_one_event_and_no_job(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=40, shift=9.0), version)
    run(log, store)
    events = store.events("shop")
    assert store.jobs("shop") == []
    assert {event.state for event in events} == {"ignored"}
    (whole,) = [event.event for event in events if event.event.series_key is None]
    assert (whole.detector, whole.threshold) == ("fleet", 0.2)
    assert {event.event.series_key for event in events} == {None, *IDS}
    (alert,) = alerts(log)
    assert (alert.series_id, alert.detector) == (None, "fleet")


def test_a_constant_feed_is_an_event_and_no_job(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    rows = [(name, step, 0.25 if name == "s1" else z) for name, step, z in shifted(IDS, 30, shift_at=99)]
    feed.send(rows, version)
    run(log, store, constant_ticks=20)
    (event,) = store.events("shop")
    assert (event.event.series_key, event.event.detector, event.event.ts_ms) == ("s1", "feed-constant", START)
    assert event.state == "ignored"
    assert store.jobs("shop") == []
    assert alerts(log)[0].detector == "feed-constant"


@pytest.mark.parametrize("how", ["gone", "null"])
def test_a_series_without_values_is_an_event_and_no_job(log, store, feed, tmp_path, how):
    version = register(store, tmp_path, IDS)
    rows = [row for row in shifted(IDS, 40, shift_at=99) if how == "null" or row[0] != "s1" or row[1] < 10]
    rows = [(name, step, None if name == "s1" and step >= 10 else z) for name, step, z in rows]
    feed.send(rows, version)
    totals = run(log, store, silent_ticks=12)
    (event,) = store.events("shop")
    assert (event.event.series_key, event.event.detector) == ("s1", "feed-silent")
    assert event.event.ts_ms == START + 9 * HOUR
    assert store.jobs("shop") == []
    feed.send(shifted(IDS, 1, shift_at=99, first=40), version)
    assert run(log, store, silent_ticks=12).counts["healed"] == 1
    assert totals.events == {"feed-silent": 1}


def test_a_fleet_without_values_is_told(log, store, feed, tmp_path):
    """Nobody moves on while a series does not: it is its own ticks that say so."""
    version = register(store, tmp_path, IDS)
    rows = [(name, step, z if step < 10 else None) for name, step, z in shifted(IDS, 40, shift_at=99)]
    feed.send(rows, version)
    run(log, store, silent_ticks=12)
    events = [event.event for event in store.events("shop")]
    assert [event.detector for event in events if event.series_key is None] == ["fleet-feed"]
    assert {event.series_key for event in events if event.detector == "feed-silent"} == set(IDS)
    feed.send(shifted(IDS, 1, shift_at=99, first=40), version)
    assert run(log, store, silent_ticks=12).counts["healed"] == 10


def test_a_series_alone_whose_ticks_have_no_value_is_told_once(log, store, feed, tmp_path):
    version = register(store, tmp_path, ["s0"])
    for first in range(0, 40, 8):
        rows = [("s0", step, 0.5 if step < 10 else None) for step in range(first, first + 8)]
        feed.send(rows, version)
        run(log, store, silent_ticks=12)
    (event,) = store.events("shop")
    assert (event.event.detector, event.event.ts_ms) == ("feed-silent", START + 9 * HOUR)


@pytest.mark.parametrize("n_partitions", [1, 2])
def test_a_backlog_is_scored_whole(log, store, tmp_path, n_partitions):
    feed = Feed(log, n_partitions)
    version = register(store, tmp_path, IDS)
    for number in range(n_partitions):
        feed.send(shifted(IDS[number::n_partitions], 24 * 12, shift_at=9999), version, number)
    totals = run(log, store, batch_limit=500)
    assert totals.counts["paths_late"] == 0
    scores = store.fleet_scores("shop", "live")
    n_series = scores[scores["metric"] == "mae_mean"].set_index("cutoff")["n"]
    assert len(n_series) == 11  # nothing ends in the first hours of the first day; the last is open
    assert (n_series == 10).all()


def test_every_run_goes_on_from_the_windows_of_the_one_before(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    for day in range(8):
        feed.send(shifted(IDS, 24, shift_at=9999, first=24 * day), version)
        totals = run(log, store)
        assert totals.counts["paths_late"] == 0
        assert store.fleet_scores("shop", "live")["cutoff"].nunique() == day


def test_forecasts_of_other_levels_and_horizons_are_scored_as_what_they_are(log, store, feed, tmp_path):
    versions = [register(store, tmp_path, IDS, const=const) for const in (0.0, 1.0)]
    made, seen = feed.encode(shifted(IDS, 24 * 4, shift_at=9999), versions[0])
    for k in range(len(made) // 2, len(made)):  # a new champion: of no intervals, and further ahead
        name, step = IDS[k % 10], k // 10
        other = forecast(name, step, 0.1, versions[1], offset=k, h=5)
        made[k] = (name.encode(), encode_forecast(structs.replace(other, level=[], lo=[], hi=[])))
    feed.raw(*seen, topic="ticks")
    feed.raw(*made)
    totals = run(log, store)
    assert totals.counts["paths"] == 10 * (15 + 9)  # the path under way at the change is dropped
    assert totals.counts["forecasts"] == 960


def test_bad_messages_are_counted_and_left_out(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.raw((b"s0", b"{"), (b"s0", None), (None, b"[]"))
    feed.raw((b"s0", b"\xff\xfe"), (b"x", b'{"series_id":"s0","ts_ms":1,"value":1.0,"v":1}'), topic="ticks")
    feed.send(shifted(IDS, 3, shift_at=99), version)
    totals = run(log, store)
    assert totals.bad == {"malformed": 2, "empty": 1, "wrong_type": 1, "key_mismatch": 1}
    assert totals.counts["counted"] == 30


def test_ticks_are_archived_and_paths_scored(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 60, shift_at=99)
    feed.send(rows, version)
    totals = run(log, store, archive=tmp_path / "history")
    assert totals.counts["paths"] > 100
    from pipelines.history import read_ticks

    frame = read_ticks(tmp_path / "history" / "shop" / "ticks", IDS)
    assert len(frame) == 600
    got = {(row.unique_id, row.ts_ms): row.y for row in frame.itertuples()}
    assert got == {(name, START + step * HOUR): z for name, step, z in rows}
    scores = store.fleet_scores("shop", "live")
    assert {"mae_mean", "coverage-95_mean"} <= set(scores["metric"])
    mae = scores.loc[scores["metric"] == "mae_mean", "value"]
    assert 0.5 < mae.mean() < 1.1  # E|z| is 0.8


def test_forecasts_of_other_ticks_are_watched_and_not_scored(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    log.make_topics([Topic("others", 1)])
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), version)
    totals = run(log, store, ticks="others")
    assert totals.counts["elsewhere"] == 600
    assert totals.counts["paths"] == 0
    assert len(store.events("shop")) == 1


def test_a_monitor_that_begins_late_sees_what_comes(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 20, shift_at=99), version)
    run(log, store, from_latest=True)
    feed.send(shifted(IDS, 5, shift_at=99, first=20), version)
    assert store.snapshot("monitor", "forecasts", 0) is None  # there was nothing to be kept
    assert run(log, store).counts["forecasts"] == 250


def test_as_many_partitions_of_ticks_as_of_forecasts_are_needed(log, store):
    log.make_topics([Topic("ticks", 2), Topic("forecasts", 3)])
    with pytest.raises(StreamError, match="3 partitions and 'ticks' has 2"):
        run(log, store)


@pytest.mark.parametrize("fleet", ["..", "../x", "/x", "a/b", ".", "/"])
def test_a_fleet_that_would_lead_out_of_the_archive_is_refused(fleet, tmp_path):
    with pytest.raises(SettingsError, match="archive"):
        dataclasses.replace(options(archive=tmp_path), fleet=fleet)
    dataclasses.replace(options(), fleet="a/b")


def test_a_topic_that_is_not_there_is_told(log, store):
    with pytest.raises(LogError, match="forecasts"):
        run(log, store)


def test_a_store_without_tables_is_told(log, feed, tmp_path):
    with open_store(f"sqlite:///{tmp_path}/empty.db") as store, pytest.raises(StoreError, match="db upgrade"):
        run(log, store)


def test_snapshots_of_other_topics_are_not_gone_on_with(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 3, shift_at=99), version)
    run(log, store)
    log.make_topics([Topic("others", 1)])
    with pytest.raises(StreamError, match="give another --group"):
        run(log, store, ticks="others")


def test_a_topic_made_anew_is_told(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 3, shift_at=99), version)
    run(log, store)
    with closing(EmbeddedLog(tmp_path / "log2.db")) as log2:
        Feed(log2)
        with pytest.raises(LogError, match="beyond the end"):
            run(log2, store)


def test_messages_that_are_no_longer_kept_are_passed_over(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 3, shift_at=99), version)
    run(log, store)
    feed.send(shifted(IDS, 10, shift_at=99, first=3), version)
    log.forget(Partition("forecasts", 0), 100)
    log.forget(Partition("ticks", 0), 100)
    totals = run(log, store)
    assert totals.counts["forecasts"] == 30
    assert totals.counts["skipped"] == 140  # 70 of each


def test_a_damaged_snapshot_costs_the_state_of_detectors_and_no_position(log, store, feed, tmp_path, caplog):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 3, shift_at=99), version)
    run(log, store)
    row = store.snapshot("monitor", "forecasts", 0)
    spoilt = NewSnapshot("monitor", "forecasts", 0, row.epoch, row.positions, row.data[:-9])
    store.record_events([], snapshot=spoilt)
    feed.send(shifted(IDS, 3, shift_at=99, first=3), version)
    totals = run(log, store)
    assert totals.counts["forecasts"] == 30
    assert "cannot be used" in caplog.text
    assert "detectors begin at rest" in caplog.text


def test_a_feed_that_stands_still_for_all_is_told_once(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    rows = shifted(IDS, 10, shift_at=99) + [(name, 10 + k, 1.5) for k in range(30) for name in IDS]
    feed.send(rows, version)
    run(log, store, constant_ticks=20, arl0=1e9)
    events = [event.event for event in store.events("shop") if event.event.detector.startswith("fe")]
    assert sum(event.series_key is None for event in events) == 0
    told = [alert.detector for alert in alerts(log)]
    assert told.count("fleet-feed") == 1
    assert "feed-constant" not in told
    constant = [event for event in store.events("shop") if event.event.detector == "feed-constant"]
    assert len(constant) == 10
    assert store.jobs("shop") == []


def test_ticks_without_forecasts_are_kept_when_it_is_to_end(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 2, shift_at=99), version)
    _, seen = feed.encode(shifted(IDS, 30, shift_at=99, first=2), version)
    feed.raw(*seen, topic="ticks")
    totals = run(log, store, queue_limit=100, batch_limit=50)
    assert totals.counts["ticks"] == 320
    assert store.snapshot("monitor", "forecasts", 0).positions["ticks"]["offset"] == 320
