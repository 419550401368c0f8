"""Alerts: a message an event, keyed by its series, sent again after a fault."""

from __future__ import annotations

import math

import pytest

from pipelines.errors import LogError, WireError
from pipelines.log.partitioning import partition_of
from pipelines.log.protocol import Topic
from pipelines.monitor.alerts import Alerts
from pipelines.store import NewEvent
from pipelines.wire import decode_drift
from tests.pipelines.memory_log import MemoryLog, MemoryWriter


def event(series="a", ts=0, statistic=9.0, **changes):
    given = {
        "fleet": "shop", "version": "v" * 64, "series_key": series, "model": "AR", "detector": "mean",
        "ts_ms": ts, "statistic": statistic, "threshold": 8.0, "dedup_key": f"{str(series)[:9]}/{ts}",
    }  # fmt: skip
    return NewEvent(**(given | changes))


@pytest.fixture
def log():
    log = MemoryLog()
    log.make_topics([Topic("drift-events", 3)])
    return log


def test_events_go_to_the_partition_of_their_series_in_order(log):
    alerts = Alerts(log, "drift-events")
    ids = ["a/b", "é日本", "x" * 256, "plain"]
    assert alerts.send([event(name, ts) for ts in range(3) for name in ids]) == 12
    found = {}
    for number, part in enumerate(log.topics["drift-events"]):
        for key, value in part:
            assert partition_of(key, 3) == number
            message = decode_drift(value)
            assert message.series_id.encode() == key
            found.setdefault(message.series_id, []).append(message.ts_ms)
    assert found == {name: [0, 1, 2] for name in ids}
    alerts.close()


def test_an_event_of_the_fleet_is_keyed_by_the_model(log):
    Alerts(log, "drift-events").send([event(None, detector="fleet", dedup_key="k")])
    ((key, value),) = [pair for part in log.topics["drift-events"] for pair in part]
    assert key == b"AR"
    assert decode_drift(value).series_id is None


def test_what_json_has_no_number_for_is_told_as_the_nearest(log):
    Alerts(log, "drift-events").send([event(statistic=math.inf), event("b", threshold=math.nan)])
    found = {
        decode_drift(value).series_id: decode_drift(value)
        for part in log.topics["drift-events"]
        for _, value in part
    }
    assert found["a"].statistic > 1e308
    assert found["b"].threshold == 0.0


def test_nothing_is_written_when_one_cannot_be_a_message(log):
    alerts = Alerts(log, "drift-events")
    with pytest.raises(WireError, match="dedup_key has 257 characters"):
        alerts.send([event(), event("b", dedup_key="k" * 257)])
    assert not any(log.topics["drift-events"])
    assert alerts.send([]) == 0


def test_after_a_fault_events_are_sent_again_by_a_new_writer(log, monkeypatch):
    alerts, writers = Alerts(log, "drift-events"), []

    class Failing(MemoryWriter):
        def flush(self):
            if len(writers) == 1:
                raise LogError("away", retriable=True)

        def close(self):
            writers.append("closed")

    monkeypatch.setattr(log, "writer", lambda: writers.append("opened") or Failing(log))
    with pytest.raises(LogError):
        alerts.send([event()])
    assert alerts.send([event()]) == 1
    assert writers == ["opened", "closed", "opened"]
    told = [decode_drift(value).dedup_key for part in log.topics["drift-events"] for _, value in part]
    assert told == ["a/0", "a/0"]  # at least once: equal keys


def test_a_topic_that_is_not_there_is_an_error(log):
    with pytest.raises(LogError, match="no topic"):
        Alerts(log, "nowhere")
