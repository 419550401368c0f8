"""The demo: real data, real models, real files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import forecast as fc
from pipelines.cli import main
from pipelines.demo import loop_picture, pictures
from pipelines.demo.datasets import DATASETS
from pipelines.demo.device import OnDevice, Skipped, run_device
from pipelines.demo.loop import run_loop
from pipelines.demo.run import Room, run_dataset
from pipelines.demo.streaming import run_stream

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda d: d.name)
def test_every_dataset_is_on_its_grid(dataset):
    df = dataset.read()
    assert {"unique_id", "ds", "y", *dataset.exog} <= set(df.columns)
    status = fc.fit(df, fc.Naive(), dataset.freq).report()["status"].item()
    assert status == ("gaps" if dataset.name == "co2" else "ok")


@pytest.mark.parametrize("name", ["nile", "macrodata"])
def test_a_dataset_leaves_a_picture_numbers_and_a_model(name, tmp_path):
    dataset = next(d for d in DATASETS if d.name == name)
    outcome = run_dataset(dataset, Room(tmp_path), None)
    assert all(path.exists() for path in outcome.files)
    picture, table, model = outcome.files
    assert picture.read_bytes()[:4] == b"\x89PNG"
    numbers = pd.read_csv(table)
    assert len(numbers) == dataset.h
    assert (numbers["AutoAR-lo-95"] <= numbers["AutoAR"]).all()
    again = fc.load(model)
    future = dataset.read().iloc[-dataset.h :].drop(columns="y") if dataset.exog else None
    assert again.predict(dataset.h, X_df=future)["AutoAR"].tolist() == pytest.approx(
        numbers["AutoAR"].tolist()
    )
    assert outcome.mase["AutoAR"] <= min(outcome.mase.values()) * 1.25  # it may lose, but not by much
    assert 0 <= outcome.coverage <= 1


def test_without_matplotlib_the_demo_says_so(tmp_path, monkeypatch):
    nile = next(d for d in DATASETS if d.name == "nile")
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    monkeypatch.setattr(loop_picture, "find_spec", lambda name: None)
    monkeypatch.setattr("pipelines.demo.run.DATASETS", (nile,))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "matplotlib is missing" in result.output
    assert not (tmp_path / "nile" / "forecast.png").exists()
    assert not (tmp_path / "loop" / "loop.png").exists()


def test_the_demo_tells_where_everything_is(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.demo.run.DATASETS", DATASETS[1:2])
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "sunspots" in result.output
    assert "forecast.png" in result.output
    as_json = CliRunner().invoke(main, ["demo", "--out", str(tmp_path), "--json"])
    assert json.loads(as_json.stdout)[0]["data"] == "sunspots"
    assert result.output.count("Nile") == 1
    assert "as a stream" in result.output
    assert "the stream forecasts with flow@2" in result.output
    assert json.loads(as_json.stdout)[-3]["looped"]["versions"] == ["flow@1", "flow@2"]
    assert "A champion on a device: skipped: pip cannot fetch" in result.output
    assert "pip cannot fetch" in json.loads(as_json.stdout)[-2]["device"]["reason"]
    assert json.loads(as_json.stdout)[-1]["streamed"]["forecasts"] > 2000


@pytest.mark.edge
def test_a_champion_answers_on_a_device_as_here(tmp_path):
    dataset = DATASETS[3]
    room = Room(tmp_path)
    run_dataset(dataset, room, None)
    done = run_device(room, tmp_path / "edge", dataset)
    if isinstance(done, Skipped) and "pip cannot fetch" in done.reason and not os.environ.get("CI"):
        pytest.skip(done.reason)
    assert isinstance(done, OnDevice), done
    assert done.difference < 1e-6
    assert {line.split("==")[0] for line in done.packages.split(", ")} == {"numpy", "onnxruntime"}
    verified, installed = done.said
    assert f"signed by {done.key_id}" in verified
    assert "installed; model.onnx answers within" in installed
    python, app = tmp_path / "edge/env/bin/python", tmp_path / "edge" / dataset.name / "forecast-edge.pyz"
    words = [python, app, "status", "--root", tmp_path / "edge/device"]
    status = subprocess.run(words, capture_output=True, text=True, check=True)
    assert f"current: {dataset.name} 1" in status.stdout


def test_a_real_series_with_gaps_streams_through_the_embedded_log(tmp_path):
    whole = DATASETS[0].read().iloc[208:]
    streamed = run_stream(tmp_path / "stream")
    assert streamed.ticks == streamed.forecasts == whole["y"].notna().sum()
    assert streamed.imputed == whole["y"].isna().sum() > 20
    assert streamed.error < streamed.naive_error
    assert 0.9 < streamed.coverage < 1.0
    again = run_stream(tmp_path / "stream")  # over what it left
    assert again.error == streamed.error
    shown = CliRunner().invoke(
        main, ["tail", "--log", streamed.log, "--from", "start", "--no-follow", "--limit", "3"]
    )
    assert len(shown.stdout.splitlines()) == 3, shown.output


def test_the_loop_notices_the_shift_of_the_nile_and_the_stream_goes_on_with_the_refit(tmp_path):
    looped = run_loop(tmp_path / "loop")
    first = looped.alarms[0]
    assert 1899 <= first.year <= 1905  # within some years of the shift
    assert first.detector == "mean"
    assert abs(first.statistic) > first.threshold
    assert looped.versions == ("flow@1", "flow@2")
    promoted = next(job for job in looped.jobs if job.outcome == "promoted")
    assert promoted.version == "flow@2"
    passed = next(job for job in looped.jobs if job.outcome == "passed")
    assert passed.p_value < 0.05
    assert 0 < passed.gain < 1
    assert looped.swapped == (promoted.year + 1,)
    before, after = (
        {step.version for step in looped.steps if (step.year > looped.swapped[0]) is late}
        for late in (False, True)
    )
    assert len(before) == len(after) == 1  # not a forecast of the old version once the new one is there
    assert before != after
    assert len(looped.steps) == 40  # a forecast a year, none lost at the swap
    assert looped.error < 0.7 * looped.frozen_error
    assert Path(looped.picture).read_bytes()[:4] == b"\x89PNG"
    shown = CliRunner().invoke(main, ["models", "show", "flow@2", "--store", looped.store])
    assert shown.exit_code == 0, shown.output
    for word in ("event", "gate", "promotion", "in place of flow@1"):
        assert word in shown.output
    assert run_loop(tmp_path / "loop").steps == looped.steps  # over what it left
