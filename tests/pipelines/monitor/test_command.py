"""`forecast monitor`, as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from tests.pipelines.monitor.feeds import register, shifted

ROOT = Path(__file__).parents[3]
IDS = [f"s{i}" for i in range(5)]


def words(tmp_path, *more):
    return [
        "monitor", "shop", "--log", str(tmp_path / "log.db"), "--store", f"sqlite:///{tmp_path}/store.db",
        "--stop-at-end", *more,
    ]  # fmt: skip


def call(tmp_path, *more):
    os.chdir(tmp_path)
    return CliRunner().invoke(main, words(tmp_path, *more))


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_it_found_is_printed_and_kept(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=40, who={"s3"}), version)
    done = call(tmp_path, "--json", "--fleet-share", "0.5", "--cooldown", "100")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["forecasts"] == found["ticks"] == 300
    assert sum(found["events"].values()) == 1
    assert [event.event.series_key for event in store.events("shop")] == ["s3"]
    assert list((tmp_path / "history" / "shop" / "ticks").iterdir())
    again = call(tmp_path)
    assert again.exit_code == 0
    assert "0 forecasts, 0 ticks, 0 events" in again.output


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--fleet-share", "0"], 2, "fleet-share"),
        (["--arl0", "nan"], 1, "arl0"),
        (["--group", " "], 2, "a name is needed"),
        (["--alerts", "ticks"], 1, "three topics"),
        (["--forecasts", "nothing"], 1, "nothing"),
        (["--log", "missing.db"], 1, "no log"),
        (["--schemas", "missing.toml"], 1, "missing.toml"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(log, store, feed, tmp_path, more, code, said):
    done = call(tmp_path, *more)
    assert done.exit_code == code, done.output
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_store_that_has_no_tables_is_told(log, feed, tmp_path):
    done = call(tmp_path)
    assert done.exit_code == 1
    assert "forecast db upgrade" in done.output


@pytest.mark.slow
def test_neither_mlflow_nor_statsmodels_is_imported(log, store, feed, tmp_path):
    version = register(store, tmp_path, IDS)
    feed.send(shifted(IDS, 60, shift_at=99), version)
    code = (
        "import sys; from pipelines.cli import main; main(sys.argv[1:], standalone_mode=False); "
        "print([m for m in ('statsmodels', 'mlflow', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words(tmp_path)], cwd=tmp_path, capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.strip().splitlines()[-1] == "[]"
