"""`forecast db`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

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
    assert (done.exit_code, done.stdout.endswith(": no tables -> 0003\n")) == (0, True)
    assert "is at 0003 already" in run("upgrade").stdout
    assert (run("check").exit_code, "0003 is current" in run("check").stdout) == (0, True)
    assert run("downgrade", "base").exit_code == 0  # no rows, no question
    assert json.loads(run("upgrade", "--json").stdout)["to"] == "0003"
    assert json.loads(run("check", "--json").stdout)["state"] == "current"
    with open_store(url) as store:
        store.add_version("a", manifest(), "m")
    refused = run("downgrade", "base")
    assert (refused.exit_code, "model_version" in refused.stderr) == (2, True)
    assert run("check").exit_code == 0
    assert json.loads(run("downgrade", "base", "--yes", "--json").stdout)["from"] == "0003"
    absent = run("check")
    assert (absent.exit_code, "3 behind 0003; run `forecast db upgrade`" in absent.stdout) == (1, True)


HOSTILE = [
    ("upgrade", "0009"),
    ("upgrade", "base:head"),
    ("downgrade", "0009", "--yes"),
    ("downgrade", "--yes", "--", "-9"),
    *((what, "--store", "mysql://u:s3cret@h/d") for what in ("upgrade", "check")),
    ("upgrade", "--store", "postgresql://u:s3cret@127.0.0.1:1/d"),
    ("check", "--store", "postgresql://u@127.0.0.1:1/d?password=s3cret"),
    ("upgrade", "--store", "postgresql://u:s3cret@127.0.0.1:none/d"),
    ("upgrade", "--store", "sqlite:////nowhere/at/all.db"),
    ("downgrade", "base", "--store", "sqlite:///absent.db"),
    ("check", "--config", "absent.toml"),
]


def test_errors_are_one_line(run):
    run("upgrade")
    for arguments in HOSTILE:
        done = run(*arguments)
        assert "Traceback" not in done.output
        wanted = 75 if "does not answer" in done.output else 1
        found = (done.exit_code, done.stderr.count("\n"), "s3cret" in done.output)
        assert found == (wanted, 1, False), done.output


def test_a_newer_store_is_told_apart(run, monkeypatch):
    run("upgrade")
    monkeypatch.setattr(upgrade, "_known", lambda script: [])
    monkeypatch.setattr(upgrade, "_head", lambda script: "0000")
    done = run("check")
    assert (done.exit_code, "0003 is newer than this program" in done.stdout) == (1, True)


def test_differences_are_listed(run, url):
    run("upgrade")
    with open_store(url) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_model_chunk_sha256")
    done = run("check")
    assert (done.exit_code, "ix_model_chunk_sha256" in done.stdout) == (1, True)


def test_twelve_processes_upgrade_at_once(children, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at_work = [children.start("db", "upgrade", "--store", url, "--json") for _ in range(12)]
    assert [child.wait() for child in at_work] == [0] * 12, [child.said() for child in at_work]
    found = [json.loads(child.said()) for child in at_work]
    assert sorted(str(one["from"]) for one in found) == ["0003"] * 11 + ["None"]
    assert {one["to"] for one in found} == {"0003"}
    with open_store(url) as store:
        assert store.check().ok


@pytest.fixture
def read_only():
    """A store that this process, or the user it becomes, may read and not write; yields its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_store(f"sqlite:///{folder}/s.db") as store:
            store.upgrade()
            store.add_version("a", manifest(), "m")
        (folder / "s.db").chmod(0o444)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def test_a_file_that_may_only_be_read(children, read_only, monkeypatch):
    monkeypatch.chdir(read_only)
    url = f"sqlite:///{read_only}/s.db"
    nobody = 65534 if os.geteuid() == 0 else None
    for words in (
        ("db", "upgrade"),
        ("db", "downgrade", "base", "--yes"),
        ("db", "check"),
        ("models", "list"),
    ):
        code, said = children.run(*words, "--store", url, user=nobody)
        assert code == 1, said
        assert "check its permissions" in said or "cannot be opened" in said
        assert said.count("\n") == 1
    assert [path.name for path in read_only.iterdir()] == ["s.db"]


@pytest.mark.ops
@pytest.mark.slow
def test_a_database_that_mlflow_uses_too(postgres, monkeypatch, tmp_path):
    """Its own tables and its own table of revisions come through an upgrade and a downgrade of ours."""
    psycopg = pytest.importorskip("psycopg")
    url = postgres.new_database()
    mlflow = [sys.executable, "-m", "mlflow", "db", "upgrade", url]
    subprocess.run(mlflow, check=True, capture_output=True, cwd=tmp_path)

    def theirs():
        query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        with closing(psycopg.connect(url.replace("+psycopg", ""))) as connection:
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            return revision, sorted(connection.execute(query).fetchall())

    before = theirs()
    with open_store(url) as store:
        assert store.upgrade() == (None, "0003")
        assert store.check().ok
        store.add_version("a", manifest(), "m")
        subprocess.run(mlflow, check=True, capture_output=True, cwd=tmp_path)
        assert store.downgrade("base") == ("0003", None)
    revision, columns = theirs()
    assert revision == before[0]
    assert [one for one in columns if not one[0].startswith("forecast_alembic")] == before[1]
