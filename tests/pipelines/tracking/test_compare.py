"""`forecast compare` over a table of runs; the reading of MLflow is tested in test_log.py."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import pipelines.tracking
from forecast.errors import InputError
from pipelines.cli.compare import command, in_order, side_by_side

TABLE = pd.DataFrame(
    {
        "job_id": ["b", "a"],
        "candidate": ["", ""],
        "run_id": ["2", "1"],
        "started": pd.to_datetime(["2026-01-02 03:04", "2026-01-01 03:04"], utc=True),
        "status": ["FINISHED", "FINISHED"],
        "version": ["cd" * 32, "ab" * 32],
        "params.freq": ["MS", "MS"],
        "params.model": ["AR", "ARIMA"],
        "mase_mean": [0.9, 1.1],
        "n_failed": [0.0, 2.0],
    }
)


@pytest.fixture
def asked(monkeypatch, tmp_path) -> list[tuple]:
    calls = []

    def runs(*args, **kwargs):
        calls.append((args, kwargs))
        return TABLE

    monkeypatch.setattr(pipelines.tracking, "runs", runs)
    monkeypatch.delenv("FORECAST_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return calls


def test_params_that_do_not_differ_are_left_out():
    table = side_by_side(in_order({"shop": TABLE}, None, False), ["mase_mean"])
    assert list(table.columns) == ["job_id", "started", "model", "mase_mean"]
    assert list(table["started"]) == ["2026-01-02 03:04", "2026-01-01 03:04"]


def test_the_options_reach_the_question(asked):
    result = CliRunner().invoke(command, ["shop", "--last", "3", "--tracking", "http://host:1"])
    assert result.exit_code == 0, result.output
    [(args, kwargs)] = asked
    assert args == ("http://host:1", "shop")
    assert kwargs["last"] == 3
    assert "ARIMA" in result.output


def test_json_holds_everything(asked):
    result = CliRunner().invoke(command, ["shop", "--json"])
    rows = json.loads(result.output)
    assert [row["mase_mean"] for row in rows] == [0.9, 1.1]
    assert rows[0]["params.freq"] == "MS"


def test_where_mlflow_is_and_how_long_it_may_take_are_settings(asked, tmp_path):
    (tmp_path / "forecast.toml").write_text('tracking_uri = "http://set:1"\ntracking_timeout_s = 7\n')
    CliRunner().invoke(command, ["shop"])
    CliRunner().invoke(command, ["shop", "--timeout", "3", "--tracking", "http://given:1"])
    assert [args[0] for args, _ in asked] == ["http://set:1", "http://given:1"]
    assert [kwargs["timeout_s"] for _, kwargs in asked] == [7, 3]


def test_what_is_no_number_is_null_in_json_and_a_dash_in_the_table(asked, monkeypatch):
    odd = TABLE.assign(mase_mean=[np.nan, np.inf])
    monkeypatch.setattr(pipelines.tracking, "runs", lambda *_, **__: odd)
    rows = json.loads(CliRunner().invoke(command, ["shop", "--json"]).output)
    assert [row["mase_mean"] for row in rows] == [None, None]
    shown = CliRunner().invoke(command, ["shop", "--sort", "mase_mean"])
    assert shown.exit_code == 0
    assert "nan" not in shown.output


def test_no_runs_are_said_and_an_empty_list_in_json(asked, monkeypatch):
    monkeypatch.setattr(pipelines.tracking, "runs", lambda *_, **__: TABLE[:0])
    assert CliRunner().invoke(command, ["shop", "depot"]).output == "no runs of shop, depot\n"
    assert json.loads(CliRunner().invoke(command, ["shop", "--json"]).output) == []


@pytest.mark.parametrize(
    ("sort", "reverse", "jobs"),
    [
        (None, False, ["b", "a", "c"]),
        (None, True, ["c", "a", "b"]),
        ("mase_mean", False, ["b", "a", "c"]),
        ("mase_mean", True, ["a", "b", "c"]),
        ("n_failed", False, ["b", "a", "c"]),
        ("crps_mean", False, ["b", "a", "c"]),
    ],
)
def test_the_order_is_by_age_or_by_a_metric_and_what_has_none_comes_last(sort, reverse, jobs):
    third = TABLE.iloc[1:].assign(job_id="c", mase_mean=np.nan, started=pd.Timestamp("2025-12-01", tz="UTC"))
    table = pd.concat([TABLE, third.assign(n_failed=3.0)])
    assert list(in_order({"shop": table}, sort, reverse)["job_id"]) == jobs


def test_several_fleets_are_told_apart():
    other = TABLE.drop(columns=["params.model", "n_failed"]).assign(**{"params.tz": "UTC"})
    frame = in_order({"shop": TABLE, "depot": other}, "mase_mean", False)
    assert list(frame["fleet"]) == ["shop", "depot", "shop", "depot"]
    table = side_by_side(frame, ["mase_mean"])
    assert list(table.columns) == ["fleet", "job_id", "started", "model", "tz", "mase_mean"]
    assert list(table["tz"]) == ["", "UTC", "", "UTC"]


def test_a_wide_terminal_holds_a_run_on_a_line(asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = CliRunner().invoke(command, ["shop"]).output.splitlines()
    assert [line.split() for line in lines if " AR" in line] == [
        ["b", "2026-01-02", "03:04", "AR", "0.9", "0"], ["a", "2026-01-01", "03:04", "ARIMA", "1.1", "2"],
    ]  # fmt: skip


@pytest.mark.parametrize("option", ["--metric", "--sort"])
def test_a_metric_that_there_is_not_is_refused(asked, option):
    result = CliRunner().invoke(command, ["shop", option, "mase_maen"])
    assert isinstance(result.exception, InputError)
    assert "mase_mean" in str(result.exception)
    assert not asked


def test_the_plot_is_a_picture(asked, tmp_path):
    pytest.importorskip("matplotlib")
    target = tmp_path / "x.png"
    result = CliRunner().invoke(command, ["shop", "--metric", "n_failed", "--plot", str(target)])
    assert result.exit_code == 0, result.output
    assert target.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--plot", "x.jpg"], ".png"), (["--metric", "n_ok", "--plot", "x.png"], "--metric")],
)
def test_a_plot_that_cannot_be_is_refused(asked, arguments, said):
    result = CliRunner().invoke(command, ["shop", *arguments])
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
