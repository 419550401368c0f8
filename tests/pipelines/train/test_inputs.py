from __future__ import annotations

import os
import sqlite3
from dataclasses import replace

import pandas as pd
import pytest

from forecast.errors import InputError
from pipelines.errors import TrainError
from pipelines.train import inputs
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


def test_a_query(room, job):
    with sqlite3.connect("source.db") as database:
        sales(2).to_sql("sales", database, index=False)
    database.close()
    query = "SELECT unique_id, ds, y FROM sales ORDER BY unique_id, ds"
    found = read_sql("sqlite:///source.db", replace(job, input=query, sql=True))
    assert ids(found) == ["s0", "s1"]
    assert str(found.table.schema.field("ds").type).startswith("timestamp")


@pytest.mark.parametrize(
    ("url", "query", "message", "retriable"),
    [
        ("sqlite:///source.db", "SELEKT 1", "the query failed: near", False),
        ("sqlite:////nowhere/x.db", "SELECT 1", "does not answer", True),
        ("nonsense", "SELECT 1", "--from", False),
    ],
)
def test_a_query_that_fails_says_so_in_one_line(room, job, url, query, message, retriable):
    with pytest.raises(TrainError, match=message) as error:
        read_sql(url, replace(job, input=query, sql=True))
    assert "\n" not in str(error.value)
    assert error.value.retriable is retriable
