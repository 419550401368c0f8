"""The command line: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import forecast as fc
from pipelines.cli import COMMANDS, main


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    """A CSV of three series, one with gaps, one constant."""
    rng = np.random.default_rng(0)
    ds = pd.date_range("2015-01-01", periods=60, freq="MS")
    frames = [pd.DataFrame({"unique_id": i, "ds": ds, "y": 50 + rng.normal(size=60).cumsum()}) for i in "ab"]
    frames[1] = frames[1].drop(index=[20, 21])
    frames.append(pd.DataFrame({"unique_id": "c", "ds": ds, "y": 7.0}))
    path = tmp_path_factory.mktemp("cli") / "sales.csv"
    pd.concat(frames).to_csv(path, index=False)
    return path


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_the_line_that_the_group_shows(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    command = main.get_command(None, name)
    assert command.short_help == COMMANDS[name][1]
    assert COMMANDS[name][1] in run("--help").output


def test_help_is_light():
    code = (
        "import sys; from click.testing import CliRunner; from pipelines.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "heavy = ('numba', 'pandas', 'statsmodels', 'mlflow', 'numpy', 'scipy'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_prints_a_table_for_people_and_says_what_it_inferred(sales):
    result = run("check", sales)
    assert result.exit_code == 0
    assert "verdicts:" in result.output
    assert "MS" in result.output


def test_check_as_json_is_json_with_null_for_what_is_no_number(sales):
    result = run("check", sales, "--json")
    rows = json.loads(result.stdout)
    assert [row["unique_id"] for row in rows] == ["a", "b", "c"]
    assert rows[1]["n_missing"] == 2
    assert rows[1]["status"] == "gaps"
    assert rows[2]["verdict"] == "constant"
    assert rows[2]["adf"] is None


def test_check_writes_the_table(sales, tmp_path):
    out = tmp_path / "quality.parquet"
    assert run("check", sales, "--freq", "MS", "--out", out).exit_code == 0
    assert len(pd.read_parquet(out)) == 3


def test_backtest_scores_models_named_with_arguments(sales):
    result = run(
        "backtest", sales, "--horizon", 3, "--windows", 2, "--freq", "MS", "--json",
        "--model", 'AR {"lags": 2, "alias": "AR2"}', "--model", "Naive",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = {row["metric"]: row for row in json.loads(result.stdout)}
    assert set(rows["mase"]) == {"metric", "AR2", "Naive"}
    assert rows["mae"]["Naive"] > 0


def test_backtest_says_on_stderr_which_frequency_it_inferred(sales):
    result = run("backtest", sales, "--horizon", 3, "--model", "Naive")
    assert result.exit_code == 0
    assert "note: freq was not given; inferred 'MS'" in result.stderr


def test_predict_writes_what_python_predicts(sales, tmp_path):
    fitted = fc.fit(pd.read_csv(sales, parse_dates=["ds"]), fc.Naive(), "MS")
    fitted.save(tmp_path / "model")
    out = tmp_path / "f.parquet"
    result = run("predict", tmp_path / "model", "--horizon", 4, "--level", 90, "--out", out)
    assert result.exit_code == 0, result.output
    pd.testing.assert_frame_equal(pd.read_parquet(out), fitted.predict(4, level=90), check_dtype=False)


def test_predict_takes_future_regressors_from_a_file(tmp_path):
    rng = np.random.default_rng(1)
    df = pd.DataFrame(
        {"unique_id": "a", "ds": np.arange(40), "y": rng.normal(size=40), "x": rng.normal(size=40)}
    )
    fitted = fc.fit(df, fc.ARX(lags=1), 1, exog=["x"])
    fitted.save(tmp_path / "model")
    future = pd.DataFrame({"x": [1.0, 2.0], "ds": [40, 41], "unique_id": "a"})
    future.to_csv(tmp_path / "future.csv", index=False)
    result = run("predict", tmp_path / "model", "-n", 2, "--future", tmp_path / "future.csv", "--json")
    assert result.exit_code == 0, result.output
    got = [row["ARX"] for row in json.loads(result.stdout)]
    np.testing.assert_allclose(got, fitted.predict(2, X_df=future)["ARX"])
    missing = run("predict", tmp_path / "model", "-n", 2)
    assert missing.exit_code == 1
    assert "x" in missing.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["check", "nothing.csv"], "there is no file 'nothing.csv'"),
        (["check", __file__], "must end in .parquet or .csv"),
        (["predict", "nowhere", "-n", "3"], "nowhere"),
        (["backtest", "SALES", "-n", "3", "--model", "AutoARR"], "did you mean 'AutoAR'?"),
        (["backtest", "SALES", "-n", "3", "--model", 'AR {"lag": 3}'], "did you mean 'lags'?"),
        (["backtest", "SALES", "-n", "3", "--model", "AR [1]"], "must be a JSON object"),
        (["check", "SALES", "--freq", "²"], "²"),
        (["backtest", "SALES", "-n", "3", "--model", 'AR {"lags": 1, "alias": "metric"}'], "alias="),
        (["backtest", "SALES", "-n", "3", "--exog", "y"], "'y' is named twice"),
        (["check", "SALES", "--freq", "MSS"], "MSS"),
        (["check", "SALES", "--target-col", "yy"], "did you mean 'y'?"),
    ],
)
def test_what_fails_is_one_line_on_stderr_and_exit_1(words, text, sales):
    result = run(*[sales if word == "SALES" else word for word in words])
    assert result.exit_code == 1, result.output
    assert text in result.stderr
    assert result.stderr.startswith(f"forecast {words[0]}: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words", [["check"], ["nothing"], ["predict", "model"], ["check", "a.csv", "--nope"]]
)
def test_wrong_usage_exits_2(words):
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--horizon", 0],
        ["--horizon", 10**9],
        ["--windows", 10**8],
        ["--step", 0],
        ["--season-length", -3],
        ["--season-length", 10**21],
        ["--out", "x.xlsx"],
        ["--out", "nowhere/x.csv"],
    ],
)
def test_what_can_be_told_before_any_work_is(words, monkeypatch):
    monkeypatch.setattr("pipelines.tables.read_table", lambda *_: pytest.fail("worked"))
    result = run("backtest", "a.csv", *(() if "--horizon" in words else ("-n", 3)), *words)
    assert result.exit_code == 2, result.output
    assert words[0] in result.stderr
    assert str(words[1]) in result.stderr or "nowhere" in result.stderr


@pytest.mark.parametrize("levels", [("0",), ("100",), ("nan",), ("inf",), ("80", "80")])
def test_levels_are_judged_before_the_model_is_read(levels):
    result = run("predict", "nowhere", "-n", 3, *(word for each in levels for word in ("--level", each)))
    assert result.exit_code == 2
    assert "--level" in result.stderr


def test_predict_reads_the_settings_that_are_named(tmp_path):
    (tmp_path / "own.toml").write_text('store_url = "sqlite:///nowhere/own.db"\n')
    result = run("predict", "sales@1", "-n", 3, "--config", tmp_path / "own.toml")
    assert result.exit_code != 0
    assert "own.db" in result.stderr


def forecast(line, folder):
    """Run a line of bash in which $forecast is the program."""
    code = f"{sys.executable} -c 'from pipelines.cli import main; main()'"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("$forecast", code)], cwd=folder, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$forecast check sales.csv --freq MS | true", 0, ""),
        ("$forecast check sales.csv --freq MS --json | true", 0, ""),
        ("$forecast check sales.csv --freq MS >&-", 0, ""),
        (
            "$forecast check sales.csv --freq MS > /dev/full",
            1,
            "forecast check: standard output: No space left on device\n",
        ),
    ],
)
def test_a_stdout_that_ends(line, code, said, sales):
    done = forecast(line, sales.parent)
    assert (done.returncode, done.stderr) == (code, said)


def test_a_file_that_is_no_parquet_is_said_to_be_unreadable(tmp_path):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"not a parquet file at all")
    result = run("check", bad)
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr


def test_warm_fills_the_cache_and_says_where(monkeypatch):
    from pipelines import warming

    monkeypatch.setattr(warming, "STEPS", {"baselines": warming.STEPS["baselines"]})
    result = run("warm", "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["files"] > 0
    assert said["seconds"] >= 0
