from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.store import open_store
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
        assert len(store.versions()) == 1
        assert len(store.forecasts(store.version("sales", "champion"))) == 6 * 12 * 2
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
    assert "promotion    1:" in shown.output


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
