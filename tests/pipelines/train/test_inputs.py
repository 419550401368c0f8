from __future__ import annotations

import errno
import os
import sqlite3
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
from sqlalchemy import create_engine, make_url

from forecast.errors import ColumnError, InputError
from forecast.models.frames import to_panel
from pipelines.errors import TrainError
from pipelines.train import inputs, sql_source
from pipelines.train.inputs import read_path
from pipelines.train.sql_source import read_sql
from tests.pipelines.train.conftest import sales


@pytest.fixture
def folder(room):
    """Three files of two series each, in folders."""
    frame = sales()
    for k, ids in enumerate((["s0", "s1"], ["s2", "s3"], ["s4", "s5"])):
        path = room / "fleet" / f"day={k}" / "part.parquet"
        path.parent.mkdir(parents=True)
        frame[frame["unique_id"].isin(ids)].to_parquet(path, index=False)
    return room / "fleet"


def ids(found):
    return list(dict.fromkeys(found.table["unique_id"].to_pylist()))


def test_a_folder_is_its_files_in_order_of_their_names(folder, job):
    found = read_path(folder, job)
    assert ids(found) == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert [f["file"] for f in found.files] == [f"day={k}/part.parquet" for k in range(3)]


def corrupt(path):
    path.write_bytes(path.read_bytes()[:200])


def text_of_numbers(path):
    pd.read_parquet(path).assign(y="a").to_parquet(path, index=False)


def without_y(path):
    pd.read_parquet(path).rename(columns={"y": "z"}).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(corrupt, "cannot be read"), (text_of_numbers, "column 'y' is"), (without_y, "'y' is missing")],
)
def test_a_bad_file_is_told_and_the_rest_read(folder, job, harm, reason):
    harm(folder / "day=1" / "part.parquet")
    found = read_path(folder, job)
    assert ids(found) == ["s0", "s1", "s4", "s5"]
    (skipped,) = found.skipped
    assert skipped.file == "day=1/part.parquet"
    assert reason in skipped.reason
    assert "part.parquet" not in skipped.reason  # the name is told once
    with pytest.raises(InputError, match=f"part.parquet: .*{reason}"):
        read_path(folder, replace(job, strict=True))


def test_numbers_of_several_types_go_together(folder, job):
    path = folder / "day=2" / "part.parquet"
    frame = pd.read_parquet(path)
    frame.assign(
        y=frame["y"].fillna(0).astype("int32"), unique_id=frame["unique_id"].astype("category")
    ).to_parquet(path)
    assert ids(read_path(folder, job))[-1] == "s5"


def test_an_id_in_the_name_of_a_folder(room, job):
    for name in ("a", "b"):
        path = room / "hive" / f"unique_id={name}" / "x.parquet"
        path.parent.mkdir(parents=True)
        sales(1).drop(columns="unique_id").to_parquet(path, index=False)
    assert ids(read_path(room / "hive", job)) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "key"),
    [("Z%C3%BCrich", "Zürich"), ("a%2Fb%3D1", "a/b=1"), ("__HIVE_DEFAULT_PARTITION__", None), ("50%", "50%")],
)
def test_names_of_folders_are_written_as_in_a_url(room, job, name, key):
    path = room / "hive" / f"unique_id={name}" / "x.parquet"
    path.parent.mkdir(parents=True)
    sales(1).drop(columns="unique_id").to_parquet(path, index=False)
    table = read_path(room / "hive", job).table
    assert set(table["unique_id"].to_pylist()) == {key}
    if key is None:
        with pytest.raises(ColumnError, match="40 missing ids"):
            to_panel(table, None)


def pipe(path):
    os.mkfifo(path)


def loop(path):
    path.symlink_to(path.name)


def dangling(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [(pipe, "is no regular file"), (loop, "symbolic links"), (dangling, "No such file")],
)
def test_what_is_no_file_is_not_opened(folder, job, make, reason, name):
    make(folder / name)
    found = read_path(folder, job)
    assert ids(found) == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert [s.file for s in found.skipped] == [name]
    assert reason in found.skipped[0].reason
    with pytest.raises(InputError, match=f"{name}: .*{reason}"):
        read_path(folder, replace(job, strict=True))
    with pytest.raises(InputError, match=r"no file or folder|neither a file nor"):
        read_path(folder / name, job)


def test_a_file_that_cannot_be_opened_is_left_out(folder, job, monkeypatch):
    """As a file without permission is: a test that runs as root cannot make one."""
    read = Path.read_bytes

    def denied(self):
        if "day=1" in self.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", denied)
    found = read_path(folder, job)
    assert [(s.file, s.reason) for s in found.skipped] == [
        ("day=1/part.parquet", "cannot be read: Permission denied")
    ]


def test_a_folder_with_the_name_of_a_file_is_a_folder(room, job):
    path = room / "spark" / "d.parquet" / "part-0.parquet"
    path.parent.mkdir(parents=True)
    (path.parent / "_SUCCESS").touch()
    (path.parent / ".part-0.parquet.crc").touch()
    sales(2).to_parquet(path, index=False)
    found = read_path(room / "spark", job)
    assert ids(found) == ["s0", "s1"]
    assert found.skipped == ()
    assert ids(read_path(path.parent, job)) == ["s0", "s1"]


def csv(path, keys):
    path.parent.mkdir(exist_ok=True)
    path.write_text("unique_id,ds,y\n" + "".join(f"{key},2024-01-01,1\n" for key in keys))


def test_ids_of_a_csv_are_what_is_written(room, job):
    csv(room / "csv" / "b.csv", ["1", "2"])
    assert ids(read_path(room / "csv" / "b.csv", job)) == [1, 2]
    csv(room / "csv" / "c.csv", ["01", "001", "NA"])
    assert ids(read_path(room / "csv", job)) == ["1", "2", "01", "001", "NA"]
    csv(room / "csv" / "a.csv", ["1", "03"])
    assert ids(read_path(room / "csv", job)) == ["1", "03", "2", "01", "001", "NA"]


def test_whole_numbers_beyond_what_is_kept_are_named(room, job):
    sales(1).assign(unique_id=np.uint64(2**63)).to_parquet("big.parquet", index=False)
    with pytest.raises(InputError, match="column 'unique_id' holds numbers of 2"):
        read_path("big.parquet", job)
    sales(1).assign(unique_id=np.uint64(2**63 - 1)).to_parquet("big.parquet", index=False)
    assert ids(read_path("big.parquet", job)) == [2**63 - 1]
    with pytest.raises(InputError, match="column 'unique_id' mixes types"):
        inputs.to_arrow(sales(1).assign(unique_id=2**70))


def test_nothing_that_can_be_read(room, job):
    with pytest.raises(InputError, match="no file or folder"):
        read_path(room / "nowhere", job)
    (room / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        read_path(room / "empty", job)
    corrupt(room / "sales.parquet")
    with pytest.raises(InputError, match=r"sales.parquet: cannot be read"):
        read_path(room / "sales.parquet", job)


def test_a_file_that_changes_while_it_is_read_is_named(room, job, monkeypatch):
    parquet = inputs._parquet

    def meanwhile(*rest):
        found = parquet(*rest)
        os.utime(room / "sales.parquet", (1, 1))
        return found

    monkeypatch.setattr(inputs, "_parquet", meanwhile)
    with pytest.raises(TrainError, match=r"sales.parquet changed while it was read") as error:
        read_path(room / "sales.parquet", job)
    assert error.value.retriable


@pytest.fixture
def source(room):
    """A database with the rows of two series, in no order."""
    with closing(sqlite3.connect("source.db")) as database:
        sales(2).sample(frac=1.0, random_state=3).to_sql("sales", database, index=False)
    return "sqlite:///source.db"


def test_a_query_gives_sorted_rows_in_whatever_order_they_come(source, job, monkeypatch):
    def read(query):
        return read_sql(source, replace(job, input=query, sql=True)).table

    found = read("SELECT * FROM sales")
    assert found.equals(read("SELECT y, ds, unique_id, 1 AS other FROM sales ORDER BY y"))
    frame = found.to_pandas()
    assert frame["unique_id"].drop_duplicates().tolist() == ["s0", "s1"]
    pd.testing.assert_frame_equal(frame, sales(2), check_dtype=False)
    monkeypatch.setattr(sql_source, "BATCH", 7)
    assert found.equals(read("SELECT * FROM sales"))


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE sales",
        "DELETE FROM sales RETURNING unique_id, ds, y",
        "WITH a AS (SELECT 1) DELETE FROM sales RETURNING unique_id, ds, y",
        "WITH a AS (SELECT 1) UPDATE sales SET y = 0 RETURNING unique_id, ds, y",
        "INSERT INTO sales SELECT * FROM sales RETURNING unique_id, ds, y",
        "CREATE TABLE other AS SELECT * FROM sales",
        "CREATE TEMP TABLE other AS SELECT * FROM sales",
        "ATTACH 'made.db' AS made",
        "VACUUM INTO 'made.db'",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "SELECT 1; DROP TABLE sales",
    ],
)
def test_a_query_changes_nothing(source, job, query, journal):
    with closing(sqlite3.connect("source.db")) as database:
        database.execute(f"PRAGMA journal_mode = {journal}")
    before = Path("source.db").read_bytes()
    for url in (source, "sqlite:///file:source.db?mode=rwc&uri=true"):
        with pytest.raises(TrainError, match=r"may only read|one statement at a time") as error:
            read_sql(url, replace(job, input=query, sql=True))
        assert not error.value.retriable
    assert Path("source.db").read_bytes() == before
    assert not Path("made.db").exists()
    found = read_sql(source, replace(job, input="WITH a AS (SELECT * FROM sales) SELECT * FROM a", sql=True))
    assert found.table.num_rows == 78


def test_the_text_of_a_query_goes_to_the_driver_as_it_is(source, job):
    query = "SELECT unique_id || ':y %s 5%' AS unique_id, ds, y FROM sales WHERE unique_id LIKE 's%'"
    found = read_sql(source, replace(job, input=query, sql=True))
    assert ids(found) == ["s0:y %s 5%", "s1:y %s 5%"]


def test_a_file_with_signs_of_a_url_in_its_name(source, job):
    os.rename("source.db", "a b%20c#d.db")
    found = read_sql("sqlite:///a b%2520c#d.db", replace(job, input="SELECT * FROM sales", sql=True))
    assert found.table.num_rows == 78


def test_times_of_a_query_that_cross_a_change_of_the_clocks(room, job):
    rows = [("a", "2024-10-27T01:00:00+01:00", 3.0), ("a", "2024-10-27T01:00:00+02:00", 2.0)]
    with closing(sqlite3.connect("source.db")) as database:
        database.execute("CREATE TABLE t (unique_id, ds, y)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        database.commit()
    found = read_sql("sqlite:///source.db", replace(job, input="SELECT * FROM t", sql=True)).table
    assert found["y"].to_pylist() == [2.0, 3.0]
    assert found["ds"].to_pylist()[0] == pd.Timestamp("2024-10-26 23:00Z")


def test_batches_of_a_query_go_together(room, job, monkeypatch):
    rows = [("a", i, y) for i, y in enumerate([None, None, 1, 2, 3.5, None, None, None])]
    with closing(sqlite3.connect("source.db")) as database:
        database.execute("CREATE TABLE t (unique_id, ds, y)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        database.commit()
    monkeypatch.setattr(sql_source, "BATCH", 2)
    asked = replace(job, input="SELECT * FROM t", sql=True)
    found = read_sql("sqlite:///source.db", asked).table
    assert found["y"].to_pylist() == [None, None, 1.0, 2.0, 3.5, None, None, None]
    assert str(found.schema.field("ds").type) == "int64"
    with closing(sqlite3.connect("source.db")) as database:
        database.execute("INSERT INTO t VALUES ('a', 99, 'many')")
        database.commit()
    with pytest.raises(InputError, match="mixes types"):
        read_sql("sqlite:///source.db", asked)


def test_dates_are_read_by_the_first_of_all_batches(room, job, monkeypatch):
    days = [
        "13/02/2024",
        "01/03/2024",
        "02/03/2024",
    ]  # by themselves the last two are in January and February
    with closing(sqlite3.connect("source.db")) as database:
        pd.DataFrame({"unique_id": "a", "ds": days, "y": 1.0}).to_sql("t", database, index=False)
    monkeypatch.setattr(sql_source, "BATCH", 1)
    with warnings.catch_warnings(record=True):  # pandas says that the day comes first
        warnings.simplefilter("always")
        found = read_sql("sqlite:///source.db", replace(job, input="SELECT * FROM t", sql=True))
    assert [t.strftime("%d.%m.") for t in found.table["ds"].to_pylist()] == ["13.02.", "01.03.", "02.03."]


@pytest.mark.ops
def test_types_of_postgresql(room, job, postgres):
    """Decimals and zones; the result stays on the server but for a batch."""
    url = postgres.new_database()
    query = """
        SELECT 's' || (i % 2) AS unique_id, timestamptz '2024-03-30 00:00Z' + i * interval '1 hour' AS ds,
               CASE WHEN i % 5 > 0 THEN (i / 4.0)::numeric(12, 4) END AS y, i::date_or_int AS x
        FROM generate_series(1, 50) AS i ORDER BY random() -- 100%
    """.replace("i::date_or_int", "i::bigint")
    asked = replace(job, input=query, sql=True, models=("AutoAR",), exog=("x",))
    found = read_sql(f"{url}?options=-c%20timezone%3DEurope/Paris", asked).table.to_pandas()
    assert found["y"].dtype == "float64"
    assert str(found["ds"].dtype.tz) == "Europe/Paris"
    assert found.iloc[0].to_list() == ["s0", pd.Timestamp("2024-03-30 02:00Z"), 0.5, 2]
    assert found["unique_id"].is_monotonic_increasing
    day = replace(asked, input=query.replace("interval '1 hour' AS", "interval '1 hour' AS ds_at,").replace(
        "ds_at,", "ds_at, (date '2024-01-01' + i::int) AS"), exog=())  # fmt: skip
    assert read_sql(url, day).table["ds"].to_pylist()[0] == pd.Timestamp("2024-01-03")
    for wrong, said in (
        ("DELETE FROM pg_class", "syntax error"),
        ("SELECT 1/0", "division by zero"),
        ("SELECT 1", "is missing"),
    ):
        with pytest.raises((TrainError, InputError), match=said) as error:
            read_sql(url, replace(asked, input=wrong))
        assert "\n" not in str(error.value)


@pytest.mark.ops
def test_a_query_changes_nothing_in_postgresql(room, job, postgres):
    url = postgres.new_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE v AS SELECT 'a' AS unique_id, 1 AS ds, 1.0 AS y")
        connection.exec_driver_sql("CREATE SEQUENCE counter")
        connection.exec_driver_sql(
            "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM v; SELECT 1'"
        )
    for query in (
        "DROP TABLE v",
        "DELETE FROM v RETURNING unique_id, ds, y",
        "WITH d AS (DELETE FROM v RETURNING *) SELECT * FROM d",
        "SELECT unique_id, wipe() AS ds, y FROM v",
        "SELECT unique_id, nextval('counter') AS ds, y FROM v",
        "SELECT * FROM v; COMMIT; DROP TABLE v",
        "SELECT unique_id, ds, set_config('transaction_read_only', 'off', false) AS y FROM v",
    ):
        with pytest.raises(TrainError, match="the query failed") as error:
            read_sql(url, replace(job, input=query, sql=True))
        assert not error.value.retriable
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM v").scalar() == 1
        assert not connection.exec_driver_sql("SELECT is_called FROM counter").scalar()
    engine.dispose()
    asked = replace(job, input="SELECT ':y 5% %s' AS unique_id, ds, y FROM v", sql=True)
    assert ids(read_sql(url, asked)) == [":y 5% %s"]


@pytest.mark.ops
def test_ids_and_types_of_postgresql_that_are_no_text(room, job, postgres):
    url = postgres.new_database()
    key = "0b8a5bcb-6c56-4e9a-9e5a-2f1f3f8d0001"
    asked = replace(job, input=f"SELECT '{key}'::uuid AS unique_id, 1 AS ds, 1.0 AS y", sql=True)
    assert ids(read_sql(url, asked)) == [key]
    for y in ("int4range(1, 2)", f"'{key}'::uuid", "ARRAY['b']"):
        asked = replace(job, input=f"SELECT 'a' AS unique_id, 1 AS ds, {y} AS y", sql=True)
        with pytest.raises(InputError, match="column 'y'"):
            to_panel(read_sql(url, asked).table, 1)


@pytest.mark.ops
def test_what_no_second_try_mends(room, job, postgres):
    right = make_url(postgres.new_database())
    for url in (right.set(username="nobody"), right.set(database="nowhere")):
        with pytest.raises(TrainError, match=r"does not answer: .*does not exist") as error:
            read_sql(url.render_as_string(hide_password=False), replace(job, input="SELECT 1", sql=True))
        assert not error.value.retriable


@pytest.mark.parametrize(
    ("said", "retriable"),
    [
        ('FATAL:  password authentication failed for user "me"', False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "me"', False),
        ('FATAL:  database "x" does not exist', False),
        ("connection refused", True),
        ("FATAL:  sorry, too many clients already", True),
    ],
)
def test_a_server_that_refuses_for_good_is_not_asked_again(room, job, monkeypatch, said, retriable):
    def refuse(*_, **__):
        raise psycopg.OperationalError(said)

    monkeypatch.setattr(psycopg.Connection, "connect", refuse)
    monkeypatch.setattr(psycopg, "connect", refuse)
    with pytest.raises(TrainError, match="does not answer") as error:
        read_sql("postgresql+psycopg://me:s3cret@h/x", replace(job, input="SELECT 1", sql=True))
    assert error.value.retriable is retriable
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("url", "query", "message", "retriable"),
    [
        ("sqlite:///source.db", "SELEKT 1", "the query failed: near", False),
        ("sqlite:///source.db", "SELECT unique_id, ds, y FROM nowhere", "no such table: nowhere", False),
        (
            "sqlite:///source.db",
            "SELECT unique_id, ds, y FROM sales WHERE y = :y",
            "number of bindings",
            False,
        ),
        ("sqlite:///source.db", "DELETE FROM sales", "may only read, as a SELECT", False),
        ("sqlite:///source.db", "SELECT unique_id, ds, 1 AS yy FROM sales", "'y' is missing; did you", False),
        ("sqlite:///source.db", "SELECT unique_id, ds, y FROM sales LIMIT 0", "gives no rows", False),
        ("sqlite:///source.db", "SELECT unique_id, 'x' AS ds, y FROM sales", "holds no times", False),
        ("sqlite:////nowhere/x.db", "SELECT 1", "there is no such file", False),
        ("sqlite:///.", "SELECT 1", "it is no file", False),
        ("sqlite:///sales.parquet", "SELECT 1 FROM t", "file is not a database", False),
        ("sqlite:///missing.db", "SELECT 1", "there is no such file", False),
        ("postgresql+psycopg://me:s3cret@127.0.0.1:1/x", "SELECT 1", "does not answer", True),
        ("mysql+pymysql://me:s3cret@h/x", "SELECT 1", "--from mysql", False),
        ("postgresql+psycopg://me:s3cret@h:port/x", "SELECT 1", "--from", False),
        ("nonsense", "SELECT 1", "--from", False),
    ],
)
def test_a_query_that_fails_says_so_in_one_line(source, job, url, query, message, retriable):
    with pytest.raises((TrainError, InputError), match=message) as error:
        read_sql(url, replace(job, input=query, sql=True))
    assert "\n" not in str(error.value)
    assert "s3cret" not in str(error.value)
    assert error.value.retriable is retriable
    assert not Path("missing.db").exists()
    assert read_sql(source, replace(job, input="SELECT * FROM sales", sql=True)).table.num_rows == 78
