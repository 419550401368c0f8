"""A job that is killed anywhere and resumed leaves what it would have left, in files and in the store."""

from __future__ import annotations

import shutil

import pytest

from tests.pipelines.train.conftest import RESUME, prepare
from tests.pipelines.train.left import left, litter

pytestmark = pytest.mark.slow

STAGES = [
    "begin",
    "snapshot",
    "check",
    "fit",
    "backtest",
    "version",
    "forecast",
    "report",
    "register",
    "track",
]
POINTS = [
    *(f"file:stages/{stage}.json" for stage in STAGES),  # a stage is done, and its marker not written
    "file:history.json", "file:history/sales/[0-9a-f]*", "file:quality.parquet",
    "file:fit/part-00001.json", "file:backtest/part-00001.parquet",
    "file:.*.tmp/manifest.json", "file:models/sales/[0-9a-f]*",
    "file:forecasts.parquet", "file:report.parquet", "file:summary.json",
    # Inside a transaction, of the first partition and of the second.
    "call:store.versions:_insert:1", "call:store.series:_add:1",
    "call:store.observations:series_numbers:1",
    "call:store.observations:write_rows:2", "call:store.forecasts:write_rows:1",
    "call:store.forecasts:write_rows:4", "call:store.champions:_move:1",
    # After its commit.
    "call:store:Store.lease:1", "call:store:Store.add_version:1", "call:store:Store.write_series:1",
    "call:store:Store.write_observations:1", "call:store:Store.trim_observations:1",
    "call:store:Store.write_forecasts:1",
    "call:store:Store.write_scores:1", "call:store:Store.write_scores:2", "call:store:Store.set_champion:1",
    "call:store:Store.trim_forecasts:1", "call:store:Store.set_tracking:1",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_resumed_is_as_if_undisturbed(point, whole, room, new_url, children, job):
    url = prepare(new_url, job)
    code, said = children.run(*RESUME, "--store", url, point=point)
    assert code == -9, said
    code, said = children.run(*RESUME, "--store", url)
    assert code == 0, said
    assert left(url, "r-1") == whole
    assert litter() == []


def test_killed_again_and_again(whole, room, new_url, children, job):
    url = prepare(new_url, job)
    for point in POINTS:
        code, said = children.run(*RESUME, "--store", url, point=point)
        assert code in (-9, 0), said  # 0: a point that lies behind
    assert children.run(*RESUME, "--store", url)[0] == 0
    assert left(url, "r-1") == whole
    assert litter() == []


def test_a_finished_job_resumed_does_nothing(whole, room, new_url, children, job):
    url = prepare(new_url, job)
    assert children.run(*RESUME, "--store", url)[0] == 0
    shutil.move("sales.parquet", "gone")
    assert children.run(*RESUME, "--store", url)[0] == 0
    assert left(url, "r-1") == whole
