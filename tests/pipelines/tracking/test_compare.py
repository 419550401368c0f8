"""`forecast compare` over a table of runs; MLflow itself is asked in test_log.py and test_scores.py."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import pipelines.tracking
from forecast.errors import InputError
from pipelines.cli.compare import command
from pipelines.cli.compare_table import in_order, side_by_side
from pipelines.errors import TrackingError
from pipelines.tracking import RunScores, Scored

TABLE = pd.DataFrame(
    {
        "job_id": ["b", "a"],
        "candidate": ["", ""],
        "kind": ["job", "job"],
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


BASIS = {"horizon": "6", "windows": "1", "season_length": "12", "freq": "MS"}


def run_scores(run_id: str, job_id: str, shift: float, digest: str = "d1", **change) -> RunScores:
    """Scores of forty series, `shift` above one draw that all runs share."""
    values = np.random.default_rng(0).gamma(2.0, size=40) + shift * np.linspace(0.9, 1.1, 40)
    series = pd.Series(values, index=[f"s{k}" for k in range(40)])
    given = {"model": "AR", "main": True, "digest": digest, "basis": BASIS, "scores": series, "why": ""}
    return RunScores(run_id, run_id, job_id, **(given | change))


@pytest.fixture
def asked(monkeypatch, tmp_path) -> list[tuple]:
    calls = []
    found = Scored({"2": run_scores("2", "b", 0.0), "1": run_scores("1", "a", 0.2)}, None, None)
    monkeypatch.setattr(pipelines.tracking, "scores", lambda *_, **__: found)

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
    # What is left of them: MLflow may be asked twice.
    assert [kwargs["timeout_s"] for _, kwargs in asked] == pytest.approx([7, 3], abs=1)


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
    lines = CliRunner().invoke(command, ["shop", "--no-test"]).output.splitlines()
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


def scored(monkeypatch, *runs: RunScores, against: str | None = None, champion: str | None = None) -> None:
    found = Scored({run.run_id: run for run in runs}, against, champion)
    monkeypatch.setattr(pipelines.tracking, "scores", lambda *_, **__: found)


def verdicts(*words: str) -> dict[str, dict]:
    result = CliRunner().invoke(command, ["shop", "--json", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return {row["job_id"]: row["comparison"] for row in json.loads(result.output)}


def test_each_run_is_judged_against_the_first_that_is_shown(asked):
    found = verdicts()
    assert {job: each["verdict"] for job, each in found.items()} == {"b": "reference", "a": "worse"}
    assert found["a"]["difference"] == pytest.approx(0.2)
    assert found["a"]["lo"] < 0.2 < found["a"]["hi"]
    assert (found["a"]["better"], found["a"]["worse"], found["a"]["shared"]) == (0, 40, 40)
    assert {job: each["verdict"] for job, each in verdicts("--reverse").items()} == {
        "b": "better", "a": "reference",
    }  # fmt: skip


def test_the_champion_is_the_reference_where_it_is_shown(asked, monkeypatch):
    scored(monkeypatch, run_scores("2", "b", 0.0), run_scores("1", "a", 0.2), champion="1")
    assert {job: each["against"] for job, each in verdicts().items()} == {"b": "a", "a": "a"}
    scored(monkeypatch, run_scores("2", "b", 0.0), run_scores("1", "a", 0.2), champion="9")
    assert verdicts()["a"]["against"] == "b"


def test_a_job_that_is_asked_for_is_the_reference_even_where_it_is_not_shown(asked, monkeypatch):
    old = run_scores("0", "old", 0.5)
    scored(monkeypatch, run_scores("2", "b", 0.0), run_scores("1", "a", 0.2), old, against="0")
    found = verdicts("--against", "old")
    assert {job: (each["against"], each["verdict"]) for job, each in found.items()} == {
        "b": ("old", "better"), "a": ("old", "better"),
    }  # fmt: skip
    scored(monkeypatch, run_scores("2", "b", 0.0), run_scores("1", "a", 0.2))
    result = CliRunner().invoke(command, ["shop", "--against", "c"])
    assert isinstance(result.exception, InputError)
    assert "no run of the job 'c'" in str(result.exception)


def test_of_candidates_the_model_of_the_job_is_the_reference(asked, monkeypatch):
    naive = run_scores("2", "b", 0.4, model="Naive", main=False)
    scored(monkeypatch, naive, run_scores("1", "b", 0.0))
    assert {each["against_model"] for each in verdicts("--candidates").values()} == {"AR"}


def test_the_table_says_what_follows(asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    output = CliRunner().invoke(command, ["shop"]).output
    assert "mase of each series against AR of b (below zero is better)" in output
    [line] = [
        line.split() for line in output.splitlines() if line.rstrip().endswith("worse") and " to " in line
    ]
    assert line[:2] == ["a", "0.2"]
    assert line[-4:] == ["0", "40", "40", "worse"]


def test_without_a_test_nothing_is_fetched(asked, monkeypatch):
    monkeypatch.delattr(pipelines.tracking, "scores")
    assert verdicts("--no-test") == {"b": None, "a": None}
    result = CliRunner().invoke(command, ["shop", "--no-test", "--against", "a"])
    assert isinstance(result.exception, InputError)


def test_runs_without_scores_are_shown_and_not_compared(asked, monkeypatch):
    nothing = {"scores": None, "why": "the run has no table of its series"}
    scored(monkeypatch, run_scores("2", "b", 0.0, **nothing), run_scores("1", "a", 0.2, **nothing))
    result = CliRunner().invoke(command, ["shop"])
    assert result.exit_code == 0
    assert "shop: the runs are not compared: the run has no table of its series" in result.stderr
    scored(monkeypatch, run_scores("2", "b", 0.0, **nothing), run_scores("1", "a", 0.2))
    assert verdicts()["b"]["verdict"] == "no scores"


def test_mlflow_that_fails_between_says_how_to_do_without(asked, monkeypatch):
    def fails(*_, **__):
        raise TrackingError("MLflow at x did not answer in time", retriable=True)

    monkeypatch.setattr(pipelines.tracking, "scores", fails)
    result = CliRunner().invoke(command, ["shop"])
    assert isinstance(result.exception, TrackingError)
    assert "--no-test" in str(result.exception)
    assert result.exception.retriable


@pytest.mark.parametrize(
    ("words", "score"),
    [
        ((), "mase"),
        (("--metric", "crps_mean"), "crps"),
        (("--by", "rmsse"), "rmsse"),
        (("--metric", "n_ok"), "mase"),
    ],
)
def test_runs_are_compared_by_the_score_that_is_shown(asked, monkeypatch, words, score):
    seen = {}

    def scores(*_, **options):
        seen.update(options)
        return Scored({"2": run_scores("2", "b", 0.0), "1": run_scores("1", "a", 0.2)}, None, None)

    monkeypatch.setattr(pipelines.tracking, "scores", scores)
    verdicts(*words, "--most-mb", "3")
    assert (seen["score"], seen["limit_bytes"]) == (score, 3_000_000)


def test_a_score_that_there_is_not_is_refused(asked):
    result = CliRunner().invoke(command, ["shop", "--by", "maes"])
    assert isinstance(result.exception, InputError)
    assert "'mae'" in str(result.exception)


def test_the_differences_are_drawn_beside_the_bars(asked, tmp_path):
    pytest.importorskip("matplotlib")
    whole, alone = tmp_path / "whole.png", tmp_path / "alone.png"
    for target, words in ((whole, ()), (alone, ("--no-test",))):
        result = CliRunner().invoke(command, ["shop", "--plot", str(target), *words])
        assert result.exit_code == 0, result.output
    import matplotlib.image as image

    assert image.imread(whole).shape[1] > image.imread(alone).shape[1]
