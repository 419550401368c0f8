"""`forecast compare` over a table of runs; the reading of MLflow is tested in test_log.py."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner

import pipelines.tracking
from forecast.errors import InputError
from pipelines.cli.compare import command, side_by_side

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
def asked(monkeypatch) -> list[tuple]:
    calls = []

    def runs(*args, **kwargs):
        calls.append((args, kwargs))
        return TABLE

    monkeypatch.setattr(pipelines.tracking, "runs", runs)
    return calls


def test_params_that_do_not_differ_are_left_out():
    table = side_by_side(TABLE, ["mase_mean"])
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


def test_a_metric_that_there_is_not_is_refused(asked):
    result = CliRunner().invoke(command, ["shop", "--metric", "mase_maen"])
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
