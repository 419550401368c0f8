from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.store import open_store

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
