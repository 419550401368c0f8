"""Metrics: what was counted, in labels that do not grow with the fleet."""

from __future__ import annotations

import pandas as pd
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.monitor.metrics import OTHER, Metrics, Totals
from pipelines.monitor.scoring import WindowScores


def window(model="AR", value=1.0, version="v"):
    fleet = pd.DataFrame(
        {"model": [model], "metric": ["mase_mean"], "cutoff": [0], "value": [value], "n": [3]}
    )
    return WindowScores(version, model, pd.DataFrame(), fleet)


def shown(totals):
    text = generate_latest(Metrics(totals).registry).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_everything_counted_is_shown():
    totals = Totals()
    totals.add("ticks", 7)
    totals.record(["mean", "mean", "fleet"])
    totals.lag = {("ticks", 0): 5}
    totals.gauges["archive_files"] = 3.0
    totals.bad["malformed"] += 1
    totals.score([window(value=0.8)], now_s=123.0)
    found = shown(totals)
    assert found[("forecast_monitor_ticks_total",)] == 7
    assert found["forecast_monitor_events_total", ("detector", "mean")] == 2
    assert found["forecast_monitor_lag", ("partition", "0"), ("topic", "ticks")] == 5
    assert found[("forecast_monitor_archive_files",)] == 3
    assert found["forecast_monitor_bad_total", ("reason", "malformed")] == 1
    assert found["forecast_monitor_score", ("metric", "mase_mean"), ("model", "AR")] == 0.8
    assert found[("forecast_monitor_window_seconds",)] == 123
    assert found[("forecast_monitor_windows_total",)] == 1


def test_labels_do_not_grow_without_end():
    totals = Totals()
    totals.record(f"detector {k}" for k in range(1000))
    for k in range(1000):
        totals.score([window(f"model {k}", float(k))])
    assert len(totals.events) <= 65
    assert totals.events[OTHER] == 1000 - 64
    assert len(totals.fleet) == 64
    assert totals.fleet["model 999", "mase_mean"] == 999.0  # the newest stay


def test_a_later_window_replaces_the_one_before():
    totals = Totals()
    totals.score([window(value=0.8, version="v")])
    totals.score([window(value=0.5, version="w")])
    assert totals.fleet == {("AR", "mase_mean"): 0.5}
