"""Attacks on a bundle: every one is refused, and the message says why."""

import json

import pytest

from edge.runtime import Bundle
from edge.runtime.errors import BundleError, SignatureError
from edge.runtime.keys import one_key, read_keys
from edge.runtime.manifest import MAX_MANIFEST_BYTES
from edge.runtime.verify import verify
from tests.edge.runtime.bundles import (
    KEY,
    OTHER,
    Spec,
    files,
    keys_json,
    manifest,
    members,
    signed,
    write_archive,
    write_folder,
)

TRUST = one_key(KEY.public)
SOUND = members(Spec())


def check(path, keys=TRUST):
    with verify(path, keys) as found:
        found.check_all()
        return found.manifest


@pytest.fixture(params=["folder", "archive"])
def make(request, tmp_path):
    if request.param == "folder":
        return lambda content: write_folder(tmp_path / "bundle", content)
    return lambda content: write_archive(tmp_path / "bundle.edge.zip", content)


def test_a_sound_bundle_passes(make):
    found = check(make(SOUND))
    assert (found.name, found.bundle_version, found.key_id) == ("test", 1, KEY.id)


@pytest.mark.parametrize("key", [KEY.public, KEY.public.hex(), f" {KEY.public.hex()}\n"])
def test_the_key_may_be_bytes_or_hex(make, key):
    with Bundle.open(make(SOUND), public_key=key) as bundle:
        assert bundle.series == ("a", "b", 7)


def test_unsigned(make):
    content = {name: data for name, data in SOUND.items() if name != "manifest.sig"}
    with pytest.raises(SignatureError, match="not signed"):
        check(make(content))


def test_signed_by_somebody_else(make):
    with pytest.raises(SignatureError, match="not trusted"):
        check(make(members(Spec(), OTHER)))


def test_signed_by_somebody_else_in_the_name_of_a_trusted_key(make):
    forged = signed(manifest(Spec(), files(Spec()), KEY), OTHER)
    forged["manifest.sig"] = forged["manifest.sig"].replace(OTHER.id.encode(), KEY.id.encode())
    with pytest.raises(SignatureError, match="does not fit"):
        check(make(SOUND | forged))


def test_a_manifest_that_names_another_trusted_key_than_its_signature(make):
    forged = signed(manifest(Spec(), files(Spec()), OTHER), KEY)
    with pytest.raises(SignatureError, match=f"names key {OTHER.id}"):
        check(make(SOUND | forged), read_keys(keys_json(KEY, OTHER)))


def test_several_keys_are_trusted_and_one_is_revoked(make):
    path = make(SOUND)
    assert check(path, read_keys(keys_json(OTHER, KEY))).key_id == KEY.id
    with pytest.raises(SignatureError, match="revoked"):
        check(path, read_keys(keys_json(KEY, OTHER, revoked=(KEY,))))


@pytest.mark.parametrize("name", sorted(SOUND))
def test_every_file_is_held_to_what_was_signed(make, name):
    data = bytearray(SOUND[name])
    data[len(data) // 2] ^= 1
    with pytest.raises(BundleError):
        check(make(SOUND | {name: bytes(data)}))


@pytest.mark.parametrize("name", sorted(SOUND))
def test_open_refuses_every_edited_file(make, name):
    data = bytearray(SOUND[name])
    data[-1] ^= 1
    with pytest.raises(BundleError):
        Bundle.open(make(SOUND | {name: bytes(data)}), public_key=KEY.public)


@pytest.mark.parametrize("name", sorted(SOUND))
def test_every_file_must_be_there_and_whole(make, name):
    with pytest.raises(BundleError):
        check(make({key: data for key, data in SOUND.items() if key != name}))


@pytest.mark.parametrize("name", sorted(SOUND))
@pytest.mark.parametrize("cut", [1, -1])
def test_a_file_must_have_its_size(make, name, cut):
    data = SOUND[name]
    with pytest.raises(BundleError):
        check(make(SOUND | {name: data[:-1] if cut == 1 else data + b"0"}))


def test_a_file_on_top_is_refused(make):
    with pytest.raises(BundleError, match=r"extra\.txt is not signed"):
        check(make(SOUND | {"extra.txt": b"x"}))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "./a",
        ".hidden",
        "a\\b",
        "a/b/c/d/e",
        "a" * 65,
        "C:x",
        "a\nb",
        "é",
        "~",
        "",
    ],
    ids=repr,
)
def test_names_that_leave_the_folder_are_refused_in_a_manifest(make, name):
    document = manifest(Spec(), files(Spec()) | {name: b"x"})
    with pytest.raises(BundleError, match="no name of a bundle file"):
        check(make(SOUND | signed(document)))


@pytest.mark.parametrize("twin", ["Model.onnx", "schema.json/x"])
def test_files_that_are_one_on_some_disks_are_refused(make, twin, tmp_path):
    document = manifest(Spec(), files(Spec()) | {twin: b"x"})
    path = write_archive(tmp_path / "b.zip", SOUND | signed(document) | {twin: b"x"})
    with pytest.raises(BundleError, match="twice"):
        check(path)


def test_a_size_beyond_every_bound_is_refused_though_signed(make):
    document = manifest(Spec(), files(Spec()))
    document["files"][0]["bytes"] = 1 << 40
    with pytest.raises(BundleError, match="bytes"):
        check(make(SOUND | signed(document)))


def test_sizes_that_are_large_in_all_are_refused_though_signed(make):
    document = manifest(Spec(), files(Spec()))
    for entry in document["files"]:
        entry["bytes"] = 200 << 20
    with pytest.raises(BundleError, match="bytes"):
        check(make(SOUND | signed(document)))


def test_a_manifest_that_is_too_large_is_refused(make):
    with pytest.raises(BundleError, match="at most"):
        check(make(SOUND | {"manifest.json": b" " * (MAX_MANIFEST_BYTES + 1)}))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"}, {"schema_version": 0}, {"bundle_version": 0}, {"bundle_version": True},
        {"bundle_version": 1.0},
        {"name": ""}, {"key_id": "XYZ"}, {"levels": [95, 90]}, {"levels": [100]}, {"horizon": 0},
        {"profile": "fast"},
        {"n_series": 0}, {"unknown": 1}, {"model": {}}, {"onnxruntime": {"min": "new", "tested": []}},
        {"files": []},
        {"certificate": {"max_pole": None, "min_margin": 0, "max_rise": 0}}, {"files": {"a": 1}},
        {"ops": "Add"},
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused_though_signed(make, change):
    with pytest.raises(BundleError):
        check(make(SOUND | signed(manifest(Spec(), files(Spec())) | change)))


def test_a_later_schema_version_says_to_upgrade(make):
    with pytest.raises(BundleError, match="upgrade"):
        check(make(SOUND | signed(manifest(Spec(), files(Spec())) | {"schema_version": 2})))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"a":1,"a":1}', b"\xff", b"[" * 100_000, b'{"kind":NaN}'], ids=range(7)
)
def test_a_manifest_that_is_no_json_is_refused_though_signed(make, data):
    sig = {"algorithm": "ed25519", "key_id": KEY.id, "signature": KEY.private.sign(data).hex()}
    with pytest.raises(BundleError):
        check(make(SOUND | {"manifest.json": data, "manifest.sig": json.dumps(sig).encode()}))


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "none"},
        {"signature": ""},
        {"signature": "zz"},
        {"signature": "AB" * 64},
        {"signature": " " + "ab" * 64},
        {"key_id": 5},
        {"more": 1},
    ],
)
def test_a_signature_file_that_is_none_is_refused(make, change):
    good = json.loads(SOUND["manifest.sig"])
    with pytest.raises(SignatureError):
        check(make(SOUND | {"manifest.sig": json.dumps(good | change).encode()}))


def test_no_key_and_two_kinds_of_keys_are_refused(make):
    path = make(SOUND)
    with pytest.raises(BundleError, match="either"):
        Bundle.open(path)
    with pytest.raises(BundleError, match="either"):
        Bundle.open(path, public_key=KEY.public, keys=TRUST)


def test_nothing_there(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        check(tmp_path / "none")
    with pytest.raises(BundleError, match="neither"):
        check("/dev/null")
