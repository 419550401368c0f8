"""What goes wrong outside: locks, full disks, servers that die, files that are none, secrets in errors."""

from __future__ import annotations

import sqlite3
import threading
import traceback

import numpy as np
import pytest
from sqlalchemy import text

from pipelines.errors import StoreError
from pipelines.store import bulk, open_store
from pipelines.store.address import mask, parse_url
from pipelines.store.engine import writing
from tests.pipelines.store.fleets import manifest
from tests.pipelines.store.test_rows import dump

KILL_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def many(n=20_000):
    return ["a"] * n, np.arange(n), np.random.default_rng(0).normal(size=n), 1


def test_a_locked_file_is_retriable_and_waits_no_longer_than_told(tmp_path):
    file = tmp_path / "s.db"
    with open_store(f"sqlite:///{file}", lock_timeout_s=0.2) as store:
        store.upgrade()
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for call in (
            lambda: store.add_version("a", manifest(), "m"),
            lambda: store.write_observations("f", *many(3)),
            lambda: store.lease("a", "b", 1),
            store.upgrade,
        ):
            with pytest.raises(StoreError, match="another process is writing") as caught:
                call()
            assert caught.value.retriable
        assert store.versions() == []  # a reader does not wait
        other.execute("ROLLBACK")
        other.close()
        assert store.add_version("a", manifest(), "m").ver == 1


def test_a_writer_waits_for_another_that_ends_in_time(store, url):
    inside, go_on = threading.Event(), threading.Event()

    def hold():
        with writing(store._engine) as connection:
            connection.execute(text("INSERT INTO fleet_lease VALUES ('x', 'y', 0, 1)"))
            inside.set()
            go_on.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(5)
    threading.Timer(0.3, go_on.set).start()
    with open_store(url, lock_timeout_s=5) as other:
        assert other.lease("x", "z", 60).fence == 2
    holder.join()


def test_a_full_disk_keeps_nothing_of_the_write(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        store.upgrade()
        store.write_observations("f", ["a"], [0], [1.0], 1)
        with store._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
        before = dump(store, "observation")
        with pytest.raises(StoreError, match=r"disk of sqlite.* is full; nothing") as caught:
            store.write_observations("f", *many())
        assert not caught.value.retriable  # a person has to make room
        assert dump(store, "observation") == before
        with store._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {2**30}")
        assert store.write_observations("f", *many()) == 20_000


def test_files_that_are_no_store_are_named(tmp_path):
    (tmp_path / "text.db").write_text("this is not a database, but it is long enough to look like one" * 9)
    with open_store(f"sqlite:///{tmp_path}/text.db") as store:
        with pytest.raises(StoreError, match="not an SQLite file") as caught:
            store.schema_state()
        assert not caught.value.retriable
    (tmp_path / "empty.db").touch()
    with open_store(f"sqlite:///{tmp_path}/empty.db") as store:
        assert store.schema_state() == "absent"
        with pytest.raises(StoreError, match=r"no such table.*forecast db upgrade"):
            store.versions()
    (tmp_path / "folder").mkdir()
    with (
        open_store(f"sqlite:///{tmp_path}/folder") as store,
        pytest.raises(StoreError, match="cannot be opened"),
    ):
        store.schema_state()


def test_a_store_without_tables_says_so(url):
    with open_store(url) as store:
        if url.startswith("sqlite"):
            store.upgrade()
            store.downgrade("base")
        for call in (store.versions, lambda: store.write_observations("f", *many(2))):
            with pytest.raises(StoreError, match="forecast db upgrade"):
                call()


def test_an_error_in_a_transaction_keeps_nothing(store):
    def fail():
        with writing(store._engine) as connection:
            connection.execute(text("INSERT INTO fleet_lease VALUES ('x', 'y', 0, 1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert dump(store, "fleet_lease") == []


@pytest.mark.ops
@pytest.mark.slow
def test_a_server_that_went_down_and_came_back_is_used_again(postgres):
    with open_store(postgres.new_database()) as store:
        store.upgrade()
        store.add_version("a", manifest(), "m")
        postgres.stop()
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match=r"does not answer|was lost|stopping") as caught:
                    store.versions()
                assert caught.value.retriable
        finally:
            postgres.start()
        assert len(store.versions()) == 1


@pytest.mark.ops
def test_a_connection_that_dies_in_a_bulk_write_keeps_nothing(postgres, monkeypatch):
    with open_store(postgres.new_database()) as store:
        store.upgrade()
        batches = bulk._batches

        def dying(*arguments):
            for batch in batches(*arguments):
                yield batch
                with store._engine.begin() as other:
                    other.execute(text(KILL_OTHERS))

        monkeypatch.setattr(bulk, "_batches", dying)
        with pytest.raises(StoreError) as caught:
            store.write_observations("f", *many(60_000))
        monkeypatch.undo()
        assert caught.value.retriable
        assert dump(store, "observation") == dump(store, "series") == []
        assert store.write_observations("f", *many(60_000)) == 60_000


@pytest.mark.ops
def test_a_row_that_another_holds_too_long_is_retriable(postgres):
    with open_store(postgres.new_database(), lock_timeout_s=0.2) as store:
        store.upgrade()
        store.lease("a", "one", 0.001)
        with writing(store._engine) as connection:
            connection.execute(text("UPDATE fleet_lease SET owner = 'x'"))
            with pytest.raises(StoreError, match="another process is writing") as caught:
                store.lease("a", "two", 60)
            assert caught.value.retriable


@pytest.mark.ops
def test_a_database_that_is_not_there_is_not_retriable(postgres):
    with open_store(postgres.url("nowhere")) as store:
        with pytest.raises(StoreError, match="does not exist") as caught:
            store.schema_state()
        assert not caught.value.retriable


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://me:s3cret!@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x?user=me&password=s3cret!"],
)
def test_no_server_there_tells_no_secret(url):
    pytest.importorskip("psycopg")
    with open_store(url) as store:
        assert "s3cret" not in repr(store) + store.url
        with pytest.raises(StoreError, match="does not answer") as caught:
            store.versions()
    assert caught.value.retriable
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:s3cret@host/x", "begins with 'mysql'"),
        ("postgresql+psycopg2://me:s3cret@host/x", "begins with 'postgresql.psycopg2'"),
        ("postgresql://me:s3cret@host", "names no database"),
        ("postgresql://me:s3cret@host:port/x", "cannot be read"),
        ("forecast.db", "cannot be read"),
        ("", "cannot be read"),
        ("sqlite://", "give a file"),
        ("sqlite:///:memory:", "give a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "give a file"),
    ],
)
def test_other_urls_are_refused(url, message):
    with pytest.raises(StoreError, match=message) as caught:
        open_store(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in mask(url)


def test_postgres_urls_become_those_of_the_driver():
    assert parse_url("postgresql://h/d").drivername == "postgresql+psycopg"
    assert mask("postgresql://u:p@h/d?sslpassword=q&application_name=x") == (
        "postgresql://u:***@h/d?application_name=x&sslpassword=***"
    )
