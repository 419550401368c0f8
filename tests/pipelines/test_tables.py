"""Frames in files."""

from __future__ import annotations

import errno

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
