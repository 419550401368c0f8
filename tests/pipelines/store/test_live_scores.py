"""Scores of live ticks: of series and of fleets, window after window."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import StoreError
from tests.pipelines.store.fleets import manifest

CUTOFF = pd.Timestamp("2024-01-01")


def fleet_frame(value=0.5, cutoff=CUTOFF, **columns):
    rows = {"model": ["AutoAR"] * 2, "metric": ["mase", "cov95"], "cutoff": [cutoff] * 2}
    return pd.DataFrame({**rows, "value": [value, np.nan], "n": [3, 2], **columns})


def series_frame(value=0.25, cutoff=CUTOFF):
    return pd.DataFrame({"unique_id": ["a", "b"], "metric": "mase", "cutoff": cutoff, "AutoAR": [value, 1]})


def test_scores_of_windows_come_back(store):
    row = store.add_version("power", manifest(), "m")
    assert store.write_live_scores(row, series_frame(), fleet_frame()) == 4
    later = CUTOFF + pd.Timedelta(hours=1)
    assert store.write_live_scores(row.version, series_frame(cutoff=later), fleet_frame(0.75, later)) == 4
    found = store.fleet_scores("power")
    ms = CUTOFF.value // 10**6
    assert found.to_dict("list") | {"value": None} == {
        "ver": [1] * 4, "version": [row.version] * 4, "source": ["live"] * 4, "model": ["AutoAR"] * 4,
        "metric": ["cov95", "cov95", "mase", "mase"], "cutoff": [ms, ms + 3_600_000] * 2, "value": None,
        "n": [2, 2, 3, 3],
    }  # fmt: skip
    np.testing.assert_array_equal(found["value"], [np.nan, np.nan, 0.5, 0.75])
    scores = store.scores(row).query("source == 'live'")
    assert scores["cutoff"].tolist() == [ms, ms + 3_600_000] * 2
    assert store.fleet_scores("power", "backtest").empty
    assert len(store.fleet_scores("power", "live")) == 4
    assert list(store.fleet_scores("other").columns) == list(found.columns)


def test_a_window_sent_again_replaces_its_scores(store):
    row = store.add_version("power", manifest(), "m")
    for value in (0.5, 0.125):
        store.write_live_scores(row, series_frame(value), fleet_frame(value))
    assert store.fleet_scores("power").query("metric == 'mase'")["value"].tolist() == [0.125]
    assert len(store.scores(row)) == 2


def test_one_of_the_two_may_be_empty(store):
    row = store.add_version("power", manifest(), "m")
    assert store.write_live_scores(row, series_frame(), fleet_frame()[:0]) == 2
    assert store.write_live_scores(row, pd.DataFrame(), fleet_frame()) == 2
    assert store.write_live_scores(row, series_frame()[:0], fleet_frame()[:0]) == 0


def test_scores_of_a_grid_of_ints_and_of_a_time_zone(store):
    row = store.add_version("steps", manifest(1, freq="1"), "m")
    store.write_live_scores(row, series_frame(cutoff=7), fleet_frame(cutoff=7))
    assert set(store.fleet_scores("steps")["cutoff"]) == set(store.scores(row)["cutoff"]) == {7}
    zoned = store.add_version("paris", manifest(2, tz="Europe/Paris"), "m")
    cutoff = CUTOFF.tz_localize("Europe/Paris")
    store.write_live_scores(zoned, series_frame(cutoff=cutoff), fleet_frame(cutoff=cutoff))
    wanted = {CUTOFF.value // 10**6 - 3_600_000}
    assert set(store.fleet_scores("paris")["cutoff"]) == set(store.scores(zoned)["cutoff"]) == wanted


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (fleet_frame().drop(columns="n"), "no column 'n'"),
        (fleet_frame(metric=["mase", "mase"]), "'AutoAR' has two scores 'mase' of one window"),
        (fleet_frame(value="much"), "'value' holds"),
        (fleet_frame(n=["many", "few"]), "'n' holds"),
    ],
)
def test_a_frame_that_is_wrong_keeps_nothing(store, frame, message):
    row = store.add_version("power", manifest(), "m")
    with pytest.raises(StoreError, match=message):
        store.write_live_scores(row, series_frame(), frame)
    assert store.fleet_scores("power").empty
    assert store.scores(row).empty


def test_scores_of_the_fleet_stay_when_those_of_series_are_trimmed(store):
    rows = [store.add_version("power", manifest(i), "m") for i in range(2)]
    for row in rows:
        store.write_live_scores(row, series_frame(), fleet_frame())
    store.trim_forecasts("power", keep_versions=1)
    assert store.scores(rows[0]).empty
    assert set(store.fleet_scores("power")["ver"]) == {1, 2}
