"""Folders and archives that are not what they seem: every one is refused before it costs anything."""

import io
import os
import stat
import struct
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from edge.runtime.errors import BundleError
from edge.runtime.keys import one_key
from edge.runtime.verify import verify
from tests.edge.runtime.bundles import KEY, Spec, members, write_archive, write_folder

TRUST = one_key(KEY.public)
SOUND = members(Spec())


def check(path):
    with verify(path, TRUST) as found:
        found.check_all()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "dir/", "x\\y", ".x"])
def test_names_that_leave_the_folder_are_refused_in_an_archive(tmp_path, name):
    path = write_archive(tmp_path / "b.zip", SOUND | {name: b"x"})
    with pytest.raises(BundleError, match="no name of a bundle file"):
        check(path)


def test_a_link_in_a_folder_is_refused(tmp_path):
    folder = write_folder(tmp_path / "b", SOUND)
    outside = tmp_path / "outside"
    outside.write_bytes(SOUND["model.onnx"])
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match=r"model\.onnx is no plain file"):
        check(folder)


def test_a_link_that_comes_later_is_not_followed(tmp_path):
    folder = write_folder(tmp_path / "b", SOUND)
    found = verify(folder, TRUST)
    outside = tmp_path / "outside"
    outside.write_bytes(SOUND["model.onnx"])
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="cannot be read"):
        found.read("model.onnx")


@pytest.mark.parametrize(("at", "what"), [(4, "end as one"), (8, "end as one"), (None, "claims 3 members")])
def test_an_archive_of_several_disks_or_with_more_members_than_it_claims(tmp_path, at, what):
    path = write_archive(tmp_path / "b.zip", SOUND)
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    if at is None:
        data[end + 8 : end + 12] = struct.pack("<HH", 3, 3)
    else:
        data[end + at] += 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=what):
        check(path)


@pytest.mark.parametrize("n", [1, 1 << 20])
def test_a_file_that_grows_is_refused(tmp_path, n):
    folder = write_folder(tmp_path / "b", SOUND)
    found = verify(folder, TRUST)
    with open(folder / "model.onnx", "ab") as file:
        file.write(bytes(n))
    with pytest.raises(BundleError, match="another size"):
        found.read("model.onnx")
    assert sum(map(len, found.source.blocks("model.onnx"))) == len(SOUND["model.onnx"]) + 1


def test_a_linked_folder_and_a_fifo_are_refused(tmp_path):
    folder = write_folder(tmp_path / "b", SOUND)
    os.mkfifo(folder / "pipe")
    with pytest.raises(BundleError, match="pipe is no plain file"):
        check(folder)
    (folder / "pipe").unlink()
    (folder / "more").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(BundleError, match="more is no plain file"):
        check(folder)


def test_a_link_in_an_archive_is_refused(tmp_path):
    path = write_archive(tmp_path / "b.zip", SOUND)
    with ZipFile(path, "a") as archive:
        info = ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BundleError, match="link is no plain member"):
        check(path)


def test_a_name_twice_in_an_archive_is_refused(tmp_path):
    path = write_archive(tmp_path / "b.zip", SOUND)
    with ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("model.onnx", b"other")
    with pytest.raises(BundleError, match=r"model\.onnx twice"):
        check(path)


@pytest.mark.parametrize("n", [0, 1, 21, 22, 100])
def test_an_archive_that_was_cut_short_is_refused(tmp_path, n):
    data = write_archive(tmp_path / "b.zip", SOUND).read_bytes()
    for cut in (data[:n], data[: len(data) - n - 1], data[: len(data) // 2]):
        (tmp_path / "cut.zip").write_bytes(cut)
        with pytest.raises(BundleError, match="truncated"):
            check(tmp_path / "cut.zip")


def test_something_before_or_behind_the_archive_is_refused(tmp_path):
    data = write_archive(tmp_path / "b.zip", SOUND).read_bytes()
    for other in (data + b"x", b"#!/bin/sh\n" + data):
        (tmp_path / "c.zip").write_bytes(other)
        with pytest.raises(BundleError):
            check(tmp_path / "c.zip")


def test_every_single_byte_of_an_archive_counts_or_changes_nothing(tmp_path):
    data = bytearray(write_archive(tmp_path / "b.zip", SOUND).read_bytes())
    path = tmp_path / "c.zip"
    for at in range(0, len(data), 97):
        data[at] ^= 0xFF
        path.write_bytes(data)
        try:
            with verify(path, TRUST) as found:
                content = {name: found.read(name) for name in found.manifest.files}
            assert content == {name: SOUND[name] for name in content}
        except BundleError:
            pass
        data[at] ^= 0xFF


def test_an_encrypted_member_is_refused(tmp_path):
    data = bytearray(write_archive(tmp_path / "b.zip", SOUND).read_bytes())
    at = data.rindex(b"PK\1\2")
    data[at + 8] |= 1
    (tmp_path / "c.zip").write_bytes(data)
    with pytest.raises(BundleError, match="encrypted"):
        check(tmp_path / "c.zip")


def bomb(tmp_path, name, size):
    """An archive whose member `name` inflates to `size` zeros."""
    path = tmp_path / "bomb.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for key, data in SOUND.items():
            if key != name:
                archive.writestr(key, data)
        with archive.open(name, "w", force_zip64=False) as member:
            for _ in range(size >> 20):
                member.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "model.onnx"])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, name):
    with pytest.raises(BundleError, match=r"bytes"):
        check(bomb(tmp_path, name, 8 << 20))


def patch_size(path, name, size):
    """Make the directory of an archive claim another size for a member."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2", 0, data.rindex(name.encode()))
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)


def test_a_member_that_holds_more_than_it_claims_is_refused(tmp_path, monkeypatch):
    path = bomb(tmp_path, "model.onnx", 64 << 20)
    patch_size(path, "model.onnx", len(SOUND["model.onnx"]))
    inflated = []
    read = ZipFile.open

    def spy(self, info, *rest):
        member = read(self, info, *rest)
        inner = member.read
        member.read = lambda n=-1: inflated.append(len(block := inner(n))) or block
        return member

    monkeypatch.setattr(ZipFile, "open", spy)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        check(path)
    assert sum(inflated) < 1 << 20


def test_a_member_that_holds_less_than_it_claims_is_refused(tmp_path):
    path = write_archive(tmp_path / "b.zip", SOUND)
    patch_size(path, "model.onnx", len(SOUND["model.onnx"]) + 5)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        check(path)


def test_too_many_members_are_refused_before_they_are_parsed(tmp_path):
    path = write_archive(tmp_path / "b.zip", {f"f{i}": b"" for i in range(300)})
    with pytest.raises(BundleError, match="300 members"):
        check(path)


def test_too_many_files_in_a_folder_are_refused(tmp_path):
    with pytest.raises(BundleError, match="over 202 files"):
        check(write_folder(tmp_path / "b", {f"f{i}": b"" for i in range(300)}))


def test_members_that_overlap_are_refused(tmp_path):
    """Two names for the bytes of one member: how a small archive claims to be large."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        archive.writestr("aaaa", bytes(1000))
        archive.writestr("bbbb", bytes(1000))
    data = bytearray(out.getvalue())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    (tmp_path / "c.zip").write_bytes(data)
    with pytest.raises(BundleError, match="overlap"):
        check(tmp_path / "c.zip")
