from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from forecast.errors import InputError
from pipelines.cli import main
from pipelines.store import open_store
from pipelines.train.history import History
from pipelines.train.job import Job, fleet_of
from tests.pipelines.children import ROOT
from tests.pipelines.train.conftest import sales

QUICK = ["train", "sales.parquet", "--model", 'AR {"lags": 2}', "--windows", "0", "--no-stationarity"]


def call(*words):
    return CliRunner().invoke(main, [*map(str, words)])


def test_with_the_real_store_twice_and_no_row_more(room):
    first = call(*QUICK, "--no-track", "--json")
    second = call(*QUICK, "--no-track", "--json")
    a, b = (json.loads(done.stdout) for done in (first, second))
    assert a["version"] == b["version"]
    assert a["register"]["ver"] == b["register"]["ver"] == 1
    assert (a["new_version"], b["new_version"]) == (True, False)
    with open_store("sqlite:///forecast.db") as store:
        (row,) = store.versions()
        assert len(store.forecasts(store.version("sales", "champion"))) == 6 * 12 * 2
    assert Job.from_json(row.training["job"]).fleet == "sales"  # what a refit begins from
    assert History(Path(row.training["history"])).facts["n_series"] == 6
    assert call("predict", "sales@champion", "-n", 2).exit_code == 0
    assert call("predict", a["version"][:10], "-n", 2).exit_code == 0
    assert json.loads(call("models", "list", "--json").stdout)[0]["champion"] is True
    assert call("models", "show", "sales@1").exit_code == 0


def test_the_rows_of_old_versions_go(room, monkeypatch):
    monkeypatch.setenv("FORECAST_SQL_VERSIONS", "1")
    for lags in (1, 2, 3, 1):
        model = f'AR {{"lags": {lags}}}'
        words = ("--model", model, "--windows", 1, "-n", 3, "--no-stationarity", "--no-track")
        assert call("train", "sales.parquet", *words).exit_code == 0
    with open_store("sqlite:///forecast.db") as store:
        kept = [v.ver for v in store.versions("sales") if len(store.forecasts(v)) and len(store.scores(v))]
        assert kept == [1, 3]  # the champion, and the newest
    shown = call("models", "show", "sales@2")
    assert "SeasonalNaive" in shown.output  # the means stay
    assert "promotion    1:" in call("models", "show", "sales@1").output


def test_a_query_in_any_order_gives_one_version(room):
    with closing(sqlite3.connect("source.db")) as source:
        sales().sample(frac=1.0, random_state=1).to_sql("sales", source, index=False)
    versions = set()
    for query in ("SELECT * FROM sales", "SELECT y, ds, unique_id FROM sales ORDER BY y"):
        words = ("--sql", query, "--from", "sqlite:///source.db", "--fleet", "sales", *QUICK[2:])
        done = call("train", *words, "--no-track", "--json")
        assert done.exit_code == 0, done.output
        versions.add(json.loads(done.stdout)["version"])
    assert len(versions) == 1


def test_another_trainer_has_the_fleet(room):
    with open_store("sqlite:///forecast.db") as store:
        store.upgrade()
        with store.lease("sales", "somebody", 60):
            done = call(*QUICK, "--no-track")
    assert done.exit_code == 75
    assert "somebody" in done.output


def test_mlflow_that_does_not_answer(room):
    done = call(*QUICK, "--tracking", "http://127.0.0.1:9")
    assert done.exit_code == 3, done.output
    assert "--resume" in done.output


@pytest.mark.parametrize(
    "words", [["train"], ["train", "a.csv", "--sql", "x"], ["train", "a.csv", "--resume", "r"]]
)
def test_wrong_usage(room, words):
    assert call(*words).exit_code == 2


def test_an_input_that_is_not_there(room):
    done = call("train", "nothing.csv", "--no-track")
    assert done.exit_code == 1
    assert "no file or folder 'nothing.csv'" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["--resume", "r", "--promote", "--horizon", 3, "--model", "Naive", "--fleet", "x"],
        ["--resume", "r", "--horizon", 12],
        ["--resume", "r", "--level", 80],
    ],
)
def test_resume_takes_no_option_of_the_job(room, words):
    done = call("train", *words)
    assert done.exit_code == 2, done.output
    for word in words[2:]:
        assert not str(word).startswith("--") or word in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--level", "nan"],
        ["--level", "inf"],
        ["--level", 80, "--level", 80],
        ["--season-length", 10**21],
        ["--windows", 10**8],
        ["--horizon", 10**9],
        ["--from", "sqlite:///source.db"],
        ["--out", "x.xlsx"],
        ["--out", "nowhere/x.csv"],
        ["--exog", "temp", "--model", "AutoAR", "--out", "x.csv"],
    ],
)
def test_wrong_usage_is_told_before_any_work(room, words):
    done = call("train", "sales.parquet", "--no-track", *words)
    assert done.exit_code == 2, done.output
    assert words[0] in done.stderr or "--out" in done.stderr
    assert not (room / "runs").exists()
    assert not (room / "forecast.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--exog", "temp", "--exog", "temp"], "'temp' is named twice"),
        (["--exog", "y"], "'y' is named twice"),
        (["--id-col", "ds"], "'ds' is named twice"),
        (["--target-col", "unique_id"], "'unique_id' is named twice"),
        (["--future", "f.csv"], "exog names no regressor"),
        (["--model", 'AR {"lags": 1, "alias": "unique_id"}'], "alias="),
        (["--model", 'AR {"lags": 1, "alias": "metric"}'], "alias="),
        (["--model", 'AR {"lags": 1, "alias": "y"}'], "alias="),
        (["--freq", "²"], "²"),
    ],
)
def test_a_job_that_cannot_be(room, words, said):
    done = call("train", "sales.parquet", "--no-track", *words)
    assert done.exit_code == 1, done.output
    assert said in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_an_input_without_a_name(room):
    assert call("train", "").exit_code == 2


@pytest.mark.parametrize(
    ("path", "fleet"),
    [("a/sales.parquet", "sales"), ("sales.csv.gz", "sales"), ("x_1-2.CSV", "x_1-2"), ("d/", "d")],
)
def test_the_fleet_of_a_file(path, fleet):
    assert fleet_of(path) == fleet


@pytest.mark.parametrize("path", ["продажи.csv", "./-x.csv", "my sales.csv", ".csv", ""])
def test_a_file_that_names_no_fleet(path):
    with pytest.raises(InputError, match="name it with --fleet"):
        fleet_of(path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_job_that_is_stopped_lets_go_of_its_fleet(room, children, number, code):
    child = children.start(*QUICK, "--jobs", 1, point="file:stages/check.json", act="wait")
    child.until_there()
    os.kill(child.pid, number)
    assert child.wait() == code
    [folder] = (room / "runs").iterdir()
    assert child.said().endswith(f"stopped; go on with: forecast train --resume {folder.name}\n")
    with open_store("sqlite:///forecast.db") as store, store.lease("sales", "another", 60):
        pass
    assert children.run("train", "--resume", folder.name)[0] == 0


def test_every_line_is_json(room):
    done = call("train", "nothing.csv", "--no-track", "--log-format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[0]["message"].startswith("run ")
    assert (lines[-1]["level"], lines[-1]["exit_code"], lines[-1]["fleet"]) == ("error", 1, "nothing")
    assert lines[-1]["run_id"] == lines[0]["run_id"]
    wrong = call("train", "--log-format", "json")
    assert json.loads(wrong.stderr)["exit_code"] == wrong.exit_code == 2
    late = call(*QUICK, "--tracking", "http://127.0.0.1:9", "--log-format", "json")
    assert [json.loads(line)["message"] for line in late.stderr.splitlines()][-1].startswith("log it later")


def test_compare_with_nothing_logged_yet(room):
    done = call("compare", "sales")
    assert (done.exit_code, done.stdout) == (0, "no runs of sales\n")


@pytest.mark.parametrize(("into", "code"), [("| true", 0), ("> /dev/full", 1)])
def test_a_job_whose_output_nobody_takes_is_done(room, into, code):
    program = f"{sys.executable} -c 'from pipelines.cli import main; main()'"
    line = f"{program} train sales.parquet --model Naive --windows 0 --no-stationarity --no-track {into}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "None" not in done.stderr
    assert ("standard output: No space left on device" in done.stderr) == bool(code)
    assert "Exception ignored" not in done.stderr
    with open_store("sqlite:///forecast.db") as store:
        assert len(store.versions()) == 1
