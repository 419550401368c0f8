"""What jobs leave in the store: the newest numbers, of a bounded window, and where the files are now."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tests.pipelines.train.conftest import sales
from tests.pipelines.train.test_cli import call

QUICK = ("--windows", 0, "-n", 3, "--no-stationarity", "--no-track", "--json", "--jobs", 1)


@pytest.fixture
def train(store, url, tmp_path, monkeypatch):
    """Train on a frame; returns what `forecast train --json` says."""
    monkeypatch.chdir(tmp_path)

    def train(frame, *words, fleet="sales", model='AR {"lags": 2}', **env):
        frame.to_parquet("sales.parquet", index=False)
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(f"FORECAST_{name.upper()}", str(value))
            asked = ("sales.parquet", "--fleet", fleet, "--model", model, "--store", url)
            done = call("train", *asked, *QUICK, *words)
        assert done.exit_code == 0, done.output
        return {**json.loads(done.stdout), "said": done.stderr}

    return train


def points(store, fleet):
    return [len(store.observations(fleet, f"s{i}", "MS")) for i in range(6)]


def test_the_window_is_bounded_job_after_job(store, train):
    short = sales()[lambda f: f["ds"] < "2023-01-01"]
    train(short, hot_window=5)
    train(sales(), hot_window=5)
    assert points(store, "sales") == [5] * 6
    wanted = sales().query("unique_id == 's1'").tail(5)
    found = store.observations("sales", "s1", "MS")
    assert found["ds"].tolist() == wanted["ds"].tolist()
    np.testing.assert_array_equal(found["y"], wanted["y"])


@pytest.mark.parametrize(("sql_rows", "window"), [(20, 3), (5, 0)])
def test_a_fleet_that_is_too_large_has_a_shorter_window(store, train, sql_rows, window):
    train(sales())
    train(sales(), fleet="other")
    done = train(sales(), sql_rows=sql_rows)
    assert f"the last {window} points of each series, not 64" in done["said"]
    assert done["register"]["rows"]["observations"] == 6 * window
    assert points(store, "sales") == [window] * 6
    assert points(store, "other") == [40] * 6


def test_two_fleets_with_the_same_ids(store, train):
    train(sales())
    train(sales().assign(y=1.0), fleet="other")
    np.testing.assert_array_equal(store.observations("sales", "s0", "MS")["y"], sales()["y"].iloc[:40])
    assert set(store.observations("other", "s0", "MS")["y"]) == {1.0}


def test_another_future_of_the_same_version_replaces_the_forecasts(store, train):
    frame = sales().assign(x=lambda f: np.arange(len(f)) % 7.0)
    ds = pd.date_range("2023-05-01", periods=3, freq="MS")
    ids = frame["unique_id"].unique()
    said = []
    for x in (1.0, 50.0):
        future = pd.DataFrame({"unique_id": np.repeat(ids, 3), "ds": np.tile(ds, 6), "x": x})
        future.to_parquet("future.parquet", index=False)
        words = ("--exog", "x", "--future", "future.parquet")
        said.append(train(frame, *words, model='ARX {"lags": 1}'))
    assert said[0]["version"] == said[1]["version"]
    new, old = (pd.read_parquet(done["forecasts"]) for done in said[::-1])
    assert not np.allclose(new["ARX"], old["ARX"])
    found = store.forecasts(store.version("sales", 1)).query("level == 80")
    np.testing.assert_array_equal(found["mean"], new["ARX"])


def test_a_version_whose_folder_went_is_found_in_its_new_one(store, url, train):
    first = train(sales(), model_root="old")
    shutil.rmtree("old")
    again = train(sales(), model_root="new")
    assert first["version"] == again["version"]
    assert store.version("sales", 1).artifact_uri == again["folder"]
    assert call("predict", "sales@1", "-n", 2, "--store", url).exit_code == 0
