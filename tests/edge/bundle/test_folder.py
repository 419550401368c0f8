"""A bundle appears whole or not at all, and only where nothing else is."""

from __future__ import annotations

import errno
import os

import pytest

from edge.bundle import folder as module
from edge.bundle.folder import archive_beside, check_free, is_bundle, put, staged
from edge.errors import BundleExistsError, ExportError

MANIFEST = b'{"kind":"forecast.edge-bundle"}'


def bundle(path, text=b"old"):
    put(path, "manifest.json", MANIFEST)
    put(path, "a/model.onnx", text)
    return path


def tree(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def write(out, text=b"new", fail=None):
    with staged(out, archive_beside(out)) as (stage, part):
        bundle(stage, text)
        part.write_bytes(text)
        if fail is not None:
            raise fail


def test_folder_and_archive_appear_together(tmp_path):
    write(tmp_path / "shop")
    assert tree(tmp_path) == {
        "shop/manifest.json": MANIFEST, "shop/a/model.onnx": b"new", "shop.edge.zip": b"new",
    }  # fmt: skip


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_nothing_is_left_of_an_attempt(tmp_path, error):
    with pytest.raises(type(error)):
        write(tmp_path / "shop", fail=error)
    assert tree(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_the_old_bundle_stays_when_a_new_one_fails(tmp_path, error):
    write(tmp_path / "shop", b"old")
    before = tree(tmp_path)
    with pytest.raises(type(error)):
        write(tmp_path / "shop", fail=error)
    assert tree(tmp_path) == before


def test_a_new_bundle_takes_the_place_of_the_old_one(tmp_path):
    write(tmp_path / "shop", b"old")
    put(tmp_path / "shop", "extra", b"gone after")
    write(tmp_path / "shop")
    assert tree(tmp_path) == {
        "shop/manifest.json": MANIFEST, "shop/a/model.onnx": b"new", "shop.edge.zip": b"new",
    }  # fmt: skip


def test_a_disk_that_refuses_leaves_the_old_bundle(tmp_path, monkeypatch):
    write(tmp_path / "shop", b"old")
    before = tree(tmp_path)

    def refuse(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    monkeypatch.setattr(module, "_sync", refuse)
    with pytest.raises(ExportError, match="No space left"):
        write(tmp_path / "shop")
    assert tree(tmp_path) == before


def test_what_a_killed_process_left_is_no_hindrance(tmp_path):
    left = tmp_path / f".shop.{os.getpid()}.part"
    put(left, "half", b"written")
    write(tmp_path / "shop")
    assert not left.exists()


@pytest.mark.parametrize("archive", [True, False])
def test_a_free_place_will_do(tmp_path, archive):
    check_free(tmp_path / "shop", archive, overwrite=False)
    check_free(tmp_path / "shop", archive, overwrite=True)


def test_nothing_is_overwritten_unasked(tmp_path):
    bundle(tmp_path / "shop")
    with pytest.raises(BundleExistsError, match="shop is there already"):
        check_free(tmp_path / "shop", True, overwrite=False)
    check_free(tmp_path / "shop", True, overwrite=True)
    (tmp_path / "home.edge.zip").write_bytes(b"")
    with pytest.raises(BundleExistsError, match=r"home\.edge\.zip is there already"):
        check_free(tmp_path / "home", True, overwrite=False)
    check_free(tmp_path / "home", False, overwrite=False)


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b"[1]", b"\xff", b'{"kind":"other"}', b" " * (2 << 20)]
)
def test_what_is_no_bundle_is_never_overwritten(tmp_path, content):
    put(tmp_path / "photos", "holiday.jpg", b"dear")
    if content is not None:
        put(tmp_path / "photos", "manifest.json", content)
    assert not is_bundle(tmp_path / "photos")
    with pytest.raises(BundleExistsError, match="is no bundle"):
        check_free(tmp_path / "photos", True, overwrite=True)


def test_a_link_to_a_bundle_is_no_bundle(tmp_path):
    bundle(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(BundleExistsError, match="is no bundle"):
        check_free(tmp_path / "link", True, overwrite=True)


def test_a_file_is_no_bundle(tmp_path):
    (tmp_path / "shop").write_text("x")
    with pytest.raises(BundleExistsError, match="is no bundle"):
        check_free(tmp_path / "shop", True, overwrite=True)


@pytest.mark.parametrize(
    ("place", "words"), [("none/shop", "there is no folder"), ("..", "no name"), ("", "no name")]
)
def test_a_place_that_will_not_do_is_named(tmp_path, monkeypatch, place, words):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match=words):
        check_free(Path(place), True, overwrite=False)
