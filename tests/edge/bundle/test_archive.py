"""One folder, one archive, byte for byte; the runtime likewise."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile

import pytest

from edge.bundle.archive import members, pack, write_archive
from edge.bundle.device_app import device_app


def fill(folder, order=1):
    names = ["schema.json", "manifest.json", "a/b.txt", "manifest.sig", "a/a.bin"][::order]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * (1000 if name.endswith("json") else 1))
    return folder


def test_the_manifest_comes_first_and_the_rest_is_sorted(tmp_path):
    assert members(fill(tmp_path)) == ["manifest.json", "manifest.sig", "a/a.bin", "a/b.txt", "schema.json"]


def test_equal_folders_are_equal_bytes(tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    for folder, order in ((one, 1), (two, -1)):
        folder.mkdir()
        fill(folder, order)
    os.utime(two / "schema.json", (0, 0))
    (two / "schema.json").chmod(0o600)
    for folder in (one, two):
        write_archive(folder, folder.with_suffix(".zip"))
    assert one.with_suffix(".zip").read_bytes() == two.with_suffix(".zip").read_bytes()


def test_any_reader_gets_the_folder_back(tmp_path):
    (tmp_path / "in").mkdir()
    write_archive(fill(tmp_path / "in"), tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.testzip() is None
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {i.external_attr >> 16 for i in archive.infolist()} == {0o100644}
        kinds = {i.filename: i.compress_type for i in archive.infolist()}
        assert all(i.compress_size <= i.file_size for i in archive.infolist())
        archive.extractall(tmp_path / "out")
    assert kinds["manifest.json"] == zipfile.ZIP_DEFLATED
    assert kinds["a/a.bin"] == zipfile.ZIP_STORED
    for name in members(tmp_path / "in"):
        assert (tmp_path / "in" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_an_archive_is_never_written_over(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "x.zip").write_text("old")
    with pytest.raises(FileExistsError):
        write_archive(fill(tmp_path / "in"), tmp_path / "x.zip")


def test_parts_keep_their_order():
    out = io.BytesIO()
    pack(out, [("b", b"1"), ("a", b"2")])
    assert zipfile.ZipFile(out).namelist() == ["b", "a"]


def test_the_runtime_is_one_file_without_the_exporter(tmp_path):
    data = device_app()
    assert data == device_app()
    assert data.startswith(b"#!/usr/bin/env python3\n")
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert {"__main__.py", "edge/__init__.py", "edge/runtime/__init__.py", "edge/runtime/verify.py"} <= set(
        names
    )
    assert not [
        name for name in names if not name.startswith(("edge/runtime/", "edge/__init__.py", "__main__.py"))
    ]
    assert not [name for name in names if "pycache" in name or not name.endswith(".py")]


@pytest.mark.slow
def test_the_runtime_runs_by_itself(tmp_path):
    (tmp_path / "x.pyz").write_bytes(device_app())
    done = subprocess.run(
        [sys.executable, "-I", "x.pyz", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "install" in done.stdout
    probe = (
        "import sys; sys.path.insert(0, 'x.pyz'); import edge.runtime.cli; print(edge.__file__, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    where, *loaded = done.stdout.split()
    assert "x.pyz" in where
    assert not {"forecast", "pandas", "onnx", "numba", "cryptography"} & set(loaded)
