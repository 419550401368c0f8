from __future__ import annotations

import os
import sqlite3
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import InputError
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
    with pytest.raises(InputError, match=reason):
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


def test_nothing_that_can_be_read(room, job):
    with pytest.raises(InputError, match="no file or folder"):
        read_path(room / "nowhere", job)
    (room / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        read_path(room / "empty", job)
    corrupt(room / "sales.parquet")
    with pytest.raises(InputError, match=r"sales.parquet cannot be read"):
        read_path(room / "sales.parquet", job)


def test_a_file_that_changes_while_it_is_read_is_named(room, job, monkeypatch):
    parquet = inputs._parquet

    def meanwhile(path, *rest):
        found = parquet(path, *rest)
        os.utime(path, (1, 1))
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
    asked = replace(job, input=query, sql=True, exog=("x",))
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


@pytest.mark.parametrize(
    ("url", "query", "message", "retriable"),
    [
        ("sqlite:///source.db", "SELEKT 1", "the query failed: near", False),
        ("sqlite:///source.db", "SELECT unique_id, ds, y FROM nowhere", "no such table: nowhere", False),
        (
            "sqlite:///source.db",
            "SELECT unique_id, ds, y FROM sales WHERE y = :y",
            "required for bind",
            False,
        ),
        ("sqlite:///source.db", "DELETE FROM sales", "must be a SELECT", False),
        ("sqlite:///source.db", "SELECT unique_id, ds, 1 AS yy FROM sales", "'y' is missing; did you", False),
        ("sqlite:///source.db", "SELECT unique_id, ds, y FROM sales LIMIT 0", "gives no rows", False),
        ("sqlite:///source.db", "SELECT unique_id, 'x' AS ds, y FROM sales", "holds no times", False),
        ("sqlite:////nowhere/x.db", "SELECT 1", "there is no such file", False),
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
