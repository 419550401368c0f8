"""Frames in files."""

from __future__ import annotations

import errno
import gzip

import pandas as pd
import pytest

from forecast.errors import InputError
from pipelines.tables import read_table, write_table

FRAME = pd.DataFrame(
    {"unique_id": ["a", "a"], "ds": pd.to_datetime(["2020-01-01", "2020-02-01"]), "y": [1.0, 2.0]}
)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_frame_survives_the_file(tmp_path, name):
    write_table(FRAME, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), FRAME, check_dtype=False)


def test_whole_numbers_stay_numbers_in_a_csv(tmp_path):
    write_table(FRAME.assign(ds=[1, 2]), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["ds"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["1", "2", "-3", "0"], [1, 2, -3, 0]),
        (["01", "1", "001"], ["01", "1", "001"]),
        (["1", "+2"], ["1", "+2"]),
        (["-0", "1.0", "1e3"], ["-0", "1.0", "1e3"]),
        (["NA", "null", "nan", "None"], ["NA", "null", "nan", "None"]),
        (["18446744073709551615", "1"], ["18446744073709551615", "1"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["True", "False"], ["True", "False"]),
    ],
)
@pytest.mark.parametrize("id_col", ["unique_id", "shop"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_ids_are_what_is_written(tmp_path, written, read, id_col, ending):
    path = tmp_path / f"t.{ending}"
    text = f"{id_col},ds,y\n" + "".join(f"{key},2024-01-01,NA\n" for key in written)
    path.write_bytes(gzip.compress(text.encode()) if ending == "csv.gz" else text.encode())
    frame = read_table(path, "ds", id_col)
    assert frame[id_col].tolist() == read
    assert frame["y"].isna().all()  # of numbers it is still a missing one
    assert frame["y"].dtype == "float64"


def test_an_empty_id_is_missing(tmp_path):
    (tmp_path / "t.csv").write_text('unique_id,ds,y\n1,1,1\n,2,1\n"",3,1\n')
    frame = read_table(tmp_path / "t.csv")
    assert frame["unique_id"].isna().tolist() == [False, True, True]
    assert frame["unique_id"][0] == "1"


def test_times_of_two_offsets_are_read_as_utc(tmp_path, caplog):
    times = [
        "2024-10-27T01:00:00+02:00",
        "2024-10-27T02:00:00+02:00",
        "2024-10-27T02:00:00+0100",
        "2024-10-27T02:00:00Z",
    ]
    (tmp_path / "t.csv").write_text("unique_id,ds,y\n" + "".join(f"a,{t},1\n" for t in times))
    caplog.set_level("WARNING", "forecast")
    frame = read_table(tmp_path / "t.csv")
    assert str(frame["ds"].dt.tz) == "UTC"
    assert frame["ds"].dt.strftime("%d %H:%M").tolist() == ["26 23:00", "27 00:00", "27 01:00", "27 02:00"]
    assert "column 'ds' has times of several offsets" in caplog.text


@pytest.mark.parametrize("other", ["2024-10-28T00:00:00", "2024-10-28"])
def test_times_of_which_some_have_no_offset_are_refused(tmp_path, other):
    (tmp_path / "t.csv").write_text(f"unique_id,ds,y\na,2024-10-27T00:00:00+02:00,1\na,{other},1\n")
    with pytest.raises(InputError, match="column 'ds' holds no times"):
        read_table(tmp_path / "t.csv")


def test_times_that_do_not_parse_are_named(tmp_path):
    (tmp_path / "t.csv").write_text("unique_id,ds,y\na,yesterday,1\n")
    with pytest.raises(InputError, match="column 'ds' holds no times"):
        read_table(tmp_path / "t.csv")


def test_another_ending_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.parquet or \.csv"):
        write_table(FRAME, tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name, monkeypatch):
    write_table(FRAME, tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        write_table(FRAME, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]
