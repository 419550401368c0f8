"""`forecast db`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pipelines.cli import LazyGroup
from pipelines.cli.db import command
from pipelines.store import open_store, upgrade
from tests.pipelines.store.fleets import manifest


class OneGroup(LazyGroup):
    """`forecast` with this command alone, however `forecast` lists it."""

    def get_command(self, ctx, cmd_name):
        return command if cmd_name == "db" else None


@pytest.fixture
def run(monkeypatch, tmp_path, url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORECAST_STORE_URL", url)

    def call(*arguments):
        return CliRunner().invoke(OneGroup("forecast"), ["db", *arguments])

    return call


def test_up_check_down_up(run, url):
    assert run("check").exit_code == 1
    done = run("upgrade")
    assert (done.exit_code, done.stdout.endswith(": no tables -> 0001\n")) == (0, True)
    assert "is at 0001 already" in run("upgrade").stdout
    assert (run("check").exit_code, "0001 is current" in run("check").stdout) == (0, True)
    assert run("downgrade", "base").exit_code == 0  # no rows, no question
    assert json.loads(run("upgrade", "--json").stdout)["to"] == "0001"
    assert json.loads(run("check", "--json").stdout)["state"] == "current"
    with open_store(url) as store:
        store.add_version("a", manifest(), "m")
    refused = run("downgrade", "base")
    assert (refused.exit_code, "model_version" in refused.stderr) == (2, True)
    assert run("check").exit_code == 0
    assert json.loads(run("downgrade", "base", "--yes", "--json").stdout)["from"] == "0001"
    absent = run("check")
    assert (absent.exit_code, "1 behind 0001; run `forecast db upgrade`" in absent.stdout) == (1, True)


def test_errors_are_one_line(run):
    for arguments in (("upgrade", "0009"), ("upgrade", "--store", "mysql://u:s3cret@h/d")):
        done = run(*arguments)
        assert (done.exit_code, done.stderr.count("\n"), "s3cret" in done.output) == (1, 1, False)


def test_a_newer_store_is_told_apart(run, monkeypatch):
    run("upgrade")
    monkeypatch.setattr(upgrade, "_known", lambda script: [])
    monkeypatch.setattr(upgrade, "_head", lambda script: "0000")
    done = run("check")
    assert (done.exit_code, "0001 is newer than this program" in done.stdout) == (1, True)


def test_differences_are_listed(run, url):
    run("upgrade")
    with open_store(url) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_model_chunk_sha256")
    done = run("check")
    assert (done.exit_code, "ix_model_chunk_sha256" in done.stdout) == (1, True)
