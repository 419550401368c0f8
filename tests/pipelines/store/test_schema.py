"""Upgrade, check, downgrade: with rows, beside strangers, several at once, from other releases."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from sqlalchemy import create_engine, inspect, text

from pipelines.errors import StoreError
from pipelines.store import NewBundle, NewEvent, NewJudgement, NewSnapshot, open_store, upgrade
from pipelines.store.engine import writing
from pipelines.store.tables import Base
from tests.pipelines.store.fleets import manifest, predictions
from tests.pipelines.store.test_versions import at_once

ROOT = Path(__file__).parents[3]
SNAPSHOT = NewSnapshot("monitor", "forecasts", 0, 0, {"forecasts": 7}, b"bank")
SECOND = '''
"""Adds a column."""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    with op.batch_alter_table("model_version") as table:
        table.add_column(sa.Column("note", sa.Text()))
        table.alter_column("artifact_uri", nullable=True)


def downgrade() -> None:
    with op.batch_alter_table("model_version") as table:
        table.drop_column("note")
        table.alter_column("artifact_uri", nullable=False)
'''
FAILS = SECOND.replace("def downgrade", '    op.execute("SELECT nonsense FROM nowhere")\n\n\ndef downgrade')


@pytest.fixture
def next_release(tmp_path, monkeypatch):
    """Let the code under test be a release with one revision more; called again, the release of today."""
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", folder, ignore=shutil.ignore_patterns("__pycache__"))

    def install(source=SECOND):
        if source is None:
            monkeypatch.undo()
        else:
            (folder / "versions" / "0004_note.py").write_text(source)
            monkeypatch.setattr(upgrade, "migrations_folder", lambda: folder)

    return install


def fill(store):
    """Put a row into every table."""
    one = store.add_version("a", manifest(1), "m")
    row = store.add_version("a", manifest(2, parent=one.version), "m")
    store.set_champion("a", row, None)
    store.lease("a", "owner", 60)
    frame = predictions()
    store.write_forecasts(row, frame)
    scores = frame[["unique_id", "AutoAR"]].drop_duplicates("unique_id").assign(metric="mase")
    store.write_scores(row, scores)
    bundle = NewBundle("a", store.take_bundle_number("a"), "AutoAR", "s", "b", 21, "size", 0.1, 9, None)
    store.add_bundle(row, bundle)
    store.write_observations("f", frame["unique_id"], frame["ds"], frame["AutoAR"], "h")
    store.record_events([NewEvent("a", "v", "a", "AutoAR", "mean", 0, 9.0, 8.0, "k")], snapshot=SNAPSHOT)
    store.add_judgement("a", NewJudgement("gate", True, {"p": 0.01}, version=row, against=one))
    windows = pd.DataFrame({"model": ["AutoAR"], "metric": ["mase"], "cutoff": [frame["ds"][0]]})
    store.write_live_scores(row, scores, windows.assign(value=0.5, n=2))
    assert set(store.tables_with_rows()) == set(Base.metadata.tables)


def test_upgrade_check_downgrade_upgrade_with_rows(url):
    with open_store(url) as store:
        assert store.schema_state() == "absent"
        assert store.upgrade() == (None, "0003")
        assert store.check().ok
        fill(store)
        assert store.upgrade() == ("0003", "0003")
        assert len(store.versions()) == 2
        assert store.downgrade("base") == ("0003", None)
        assert store.schema_state() == "absent"
        assert store.tables_with_rows() == ()
        assert store.upgrade() == (None, "0003")
        assert store.check().ok
        fill(store)


def test_an_older_schema_is_named_and_upgraded_with_its_rows(store, next_release):
    fill(store)
    before = store.versions()
    next_release()
    assert store.schema_state() == "older"
    report = store.check()
    assert (report.found, report.wanted, report.behind, report.ok) == ("0003", "0004", 1, False)
    with pytest.raises(StoreError, match="forecast db upgrade"):
        store.require_current()
    assert store.upgrade() == ("0003", "0004")
    store.require_current()
    assert store.versions() == before  # on SQLite the table was rebuilt, while others refer to it
    assert set(store.tables_with_rows()) == set(Base.metadata.tables)
    assert store.downgrade("0003") == ("0004", "0003")
    assert store.versions() == before
    next_release(None)
    assert store.check().ok


def test_the_schema_before_retraining_keeps_its_rows_and_checks(store):
    """Down to the second revision and up again: no table that stays is rebuilt, on SQLite either."""
    fill(store)
    before = store.versions(), store.champion("a"), store.jobs(), store.events()
    assert store.downgrade("0002") == ("0003", "0002")
    names = {"judgement", "monitor_snapshot", "fleet_score"}
    assert not names & set(store.tables_with_rows())
    assert store.upgrade() == ("0002", "0003")
    assert store.check().ok
    assert (store.versions(), store.champion("a"), store.jobs(), store.events()) == before
    for statement in (
        "UPDATE retrain_job SET state = 'late'",
        "UPDATE model_version SET state = 'best'",
        "UPDATE drift_event SET state = 'lost'",
        "UPDATE champion SET model_version_id = 999",
    ):
        with pytest.raises(StoreError), writing(store._engine) as connection:
            connection.execute(text(statement))


def test_a_newer_schema_is_left_alone(store, next_release):
    next_release()
    store.upgrade()
    next_release(None)
    assert store.schema_state() == "newer"
    assert not store.check().ok
    for call in (store.require_current, store.upgrade, lambda: store.downgrade("base")):
        with pytest.raises(StoreError, match="0004 is newer than this program"):
            call()
    next_release()
    assert store.schema_state() == "current"


def test_a_revision_that_fails_changes_nothing(store, next_release):
    fill(store)
    next_release(FAILS)
    with pytest.raises(StoreError, match="nowhere"):
        store.upgrade()
    assert store.check().found == "0003"
    columns = [column["name"] for column in inspect(store._engine).get_columns("model_version")]
    assert "note" not in columns
    next_release(None)
    assert store.check().ok


def test_several_may_upgrade_at_once(url):
    def call(_):
        with open_store(url, lock_timeout_s=30) as store:
            return store.upgrade()

    found = at_once(6, call)
    assert sorted(found, key=str) == [("0003", "0003")] * 5 + [(None, "0003")]
    with open_store(url) as store:
        assert store.check().ok


def test_tables_of_others_are_not_seen_and_not_touched(url):
    with open_store(url) as store:
        store.upgrade()
        with writing(store._engine) as connection:
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
            connection.execute(text("INSERT INTO alembic_version VALUES ('mlflow')"))
            connection.execute(text("CREATE TABLE runs (id INTEGER)"))
            connection.execute(text("CREATE INDEX ix_runs ON runs (id)"))
        assert store.check().differences == ()
        store.downgrade("base")
        with writing(store._engine) as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "mlflow"


def test_a_table_that_was_changed_by_hand_is_seen(store):
    with writing(store._engine) as connection:
        connection.execute(text("ALTER TABLE model_version ADD COLUMN mine INTEGER"))
        connection.execute(text("DROP INDEX ix_model_chunk_sha256"))
    found = store.check()
    assert (found.state, found.ok) == ("current", False)
    assert any("mine" in one for one in found.differences)
    assert any("ix_model_chunk_sha256" in one for one in found.differences)


def test_an_unknown_revision_is_refused(store):
    with pytest.raises(StoreError, match="0009"):
        store.upgrade("0009")
    assert store.check().ok


def test_no_file_is_made_by_looking(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/none.db") as store:
        assert store.schema_state() == store.check().state == "absent"
        for call in (store.versions, lambda: store.downgrade("base"), lambda: store.lease("a", "b", 1)):
            with pytest.raises(StoreError, match="there is no store at"):
                call()
        with pytest.raises(StoreError, match=r"has no tables yet.*forecast db upgrade"):
            store.require_current()
    assert list(tmp_path.iterdir()) == []
    with (
        open_store(f"sqlite:///{tmp_path}/no/folder.db") as store,
        pytest.raises(StoreError, match="no folder"),
    ):
        store.upgrade()


def test_the_packaged_migrations_come_first(tmp_path, monkeypatch):
    assert upgrade.migrations_folder() == ROOT / "migrations"
    package = tmp_path / "pipelines"
    monkeypatch.setattr(upgrade, "__file__", str(package / "store" / "upgrade.py"))
    with pytest.raises(StoreError, match="lacks its migrations"):
        upgrade.migrations_folder()
    (package / "_migrations").mkdir(parents=True)
    (package / "_migrations" / "env.py").touch()
    assert upgrade.migrations_folder() == package / "_migrations"


def test_every_connection_of_sqlite_is_set(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/s.db", lock_timeout_s=3) as store:
        store.upgrade()
        with store._engine.connect() as one, store._engine.connect() as two:
            for connection in (one, two):
                found = [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
                ]
                assert found == ["wal", 1, 3000, 1]


def test_rows_of_foreign_make_are_refused(store):
    fill(store)
    with pytest.raises(StoreError), writing(store._engine) as connection:
        connection.execute(text("UPDATE champion SET model_version_id = 999"))
    with pytest.raises(StoreError), writing(store._engine) as connection:
        connection.execute(text("UPDATE model_version SET state = 'best'"))
    with pytest.raises(StoreError), writing(store._engine) as connection:
        connection.execute(text("UPDATE model_version SET ver = 1"))


def test_one_job_waits_and_one_runs_for_each_key(store):
    add = text(
        "INSERT INTO retrain_job (fleet, job_key, state, payload, run_after_ms, created_ts_ms) "
        "VALUES ('a', 'k', :state, '{}', 0, 0)"
    )
    with writing(store._engine) as connection:
        for state in ("queued", "running", "done", "done"):
            connection.execute(add, {"state": state})
    for state in ("queued", "running"):
        with pytest.raises(StoreError), writing(store._engine) as connection:
            connection.execute(add, {"state": state})


def test_a_database_of_sqlite_is_one_file_that_sqlite_reads(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        store.upgrade()
        fill(store)
    engine = create_engine(f"sqlite:///{tmp_path}/s.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM observation").scalar() == 6
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    engine.dispose()


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """The wheel, as an installer lays it out."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with ZipFile(path) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


FROM_THE_WHEEL = """
import json, sys, warnings
import pipelines
from pipelines.store import open_store, upgrade
with open_store(sys.argv[1]) as store:
    steps = [store.upgrade(), store.check().ok, store.downgrade("base"), store.upgrade(), store.check().ok]
print(json.dumps([pipelines.__file__, str(upgrade.migrations_folder()), steps]))
"""


@pytest.mark.slow
def test_the_installed_wheel_upgrades_and_downgrades(unpacked, url, store, tmp_path):
    fill(store)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FROM_THE_WHEEL, url],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    package, folder, steps = json.loads(done.stdout)
    assert Path(package).parent == unpacked / "pipelines"
    assert Path(folder) == unpacked / "pipelines" / "_migrations"
    assert steps == [["0003", "0003"], True, ["0003", None], [None, "0003"], True]
