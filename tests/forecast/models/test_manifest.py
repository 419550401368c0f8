"""Model versions: frozen, all or nothing on a failing disk, every byte checked, children over parents."""

import builtins
import errno
import hashlib
import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ArtifactError, InputError
from forecast.models import chunk, manifest, version
from forecast.models.freq import Freq
from forecast.models.version import StoredModel, load, load_manifest, resolve, save
from tests.record_strategies import assert_same, golden_ar, golden_full, random_records, records

GOLDEN = Path(__file__).parents[2] / "fixtures" / "golden" / "version"
SPEC = {"name": "AR", "arguments": {"lags": "aic", "max_lags": 24, "method": "burg"}}
SCHEMA = {"unique_id": "string", "ds": "datetime64[ns]", "y": "float64"}
BY = {"schema": SCHEMA, "created_by": "forecast-platform 0.1.0"}

ANOTHER = replace(golden_ar(), freq=golden_full().freq)


def models(*found, alias="AR"):
    return [StoredModel(alias if i == 0 else f"{alias}{i}", SPEC, r) for i, r in enumerate(found)]


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_schema_1_is_frozen(tmp_path):
    golden = load(GOLDEN)
    assert_same(golden.models[0].records, golden_ar())
    save(tmp_path / "m", golden.models, created_ts_ms=1_700_000_000_000, **BY)
    assert files(tmp_path / "m") == files(GOLDEN)


def test_the_version_is_the_sha256_of_the_rest():
    found = json.loads((GOLDEN / "manifest.json").read_bytes())
    said = found.pop("version")
    canonical = json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(canonical).hexdigest() == said == load_manifest(GOLDEN).version


@given(records(), st.integers(1, 3))
@settings(max_examples=25)
def test_what_is_saved_is_loaded_bitwise(tmp_path_factory, found, size):
    folder = tmp_path_factory.mktemp("v") / "deep" / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "CHUNK_RECORDS", size)
        written = save(folder, models(found, found), **BY)
    back = load(folder)
    assert back.manifest == written
    assert back.manifest.n_series == found.n_series
    for model in back.models:
        assert model.spec == SPEC
        assert_same(model.records, found)
    assert os.listdir(folder.parent) == ["model"]


def test_saving_twice_is_saving_once(tmp_path):
    save(tmp_path / "a", models(golden_full()), **BY)
    first = files(tmp_path / "a")
    save(tmp_path / "a", models(golden_full()), **BY)
    save(tmp_path / "b", models(golden_full()), **BY)
    assert files(tmp_path / "a") == files(tmp_path / "b") == first


def test_a_new_version_in_the_same_folder_replaces_the_old_one(tmp_path):
    save(tmp_path / "m", models(golden_ar()), **BY)
    save(tmp_path / "m", models(golden_full()), **BY)
    save(tmp_path / "other", models(golden_full()), **BY)
    assert files(tmp_path / "m") == files(tmp_path / "other")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "m").mkdir()
    save(tmp_path / "m", models(golden_ar()), **BY)
    assert_same(load(tmp_path / "m").models[0].records, golden_ar())


@pytest.mark.parametrize("name", ["file", "folder", "other manifest"])
def test_what_is_not_a_model_is_not_overwritten(tmp_path, name):
    target = tmp_path / "m"
    if name == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / ("notes.txt" if name == "folder" else "manifest.json")).write_text("{}")
    before = target.read_bytes() if name == "file" else files(target)
    with pytest.raises(InputError, match="not a model"):
        save(target, models(golden_ar()), **BY)
    assert (target.read_bytes() if name == "file" else files(target)) == before


class Disk:
    """Counts every step that touches the disk, and fails from the n-th on, as a full disk does."""

    STEPS = (
        (builtins, "open"), (os, "fsync"), (os, "replace"), (Path, "mkdir"), (Path, "replace"),
        (version, "_sync_folder"),
    )  # fmt: skip

    def __init__(self, patch, fail_at):
        self.count, self.fail_at = 0, fail_at
        for owner, name in self.STEPS:
            patch.setattr(owner, name, self._wrap(getattr(owner, name)))

    def _wrap(self, call):
        def step(*args, **kwargs):
            self.count += 1
            if self.count >= self.fail_at:
                raise OSError(errno.ENOSPC, "No space left on device")
            found = call(*args, **kwargs)
            if hasattr(found, "write"):
                found = Written(found, self)
            return found

        return step


class Written:
    """A file whose writes count as steps; a failing write leaves half of the bytes, as a disk does."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def write(self, data):
        self.disk.count += 1
        if self.disk.count >= self.disk.fail_at:
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def _steps(tmp_path, old):
    """How many steps a save takes when nothing fails."""
    if old:
        save(tmp_path / "count", models(golden_ar()), **BY)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, 10**9)
        save(tmp_path / "count", models(golden_full(), ANOTHER), **BY)
    return disk.count


@pytest.mark.parametrize("old", [False, True])
def test_a_disk_that_fills_at_any_step_leaves_all_or_nothing(tmp_path, old):
    n_steps = _steps(tmp_path, old)
    assert n_steps > 15
    for fail_at in range(1, n_steps + 1):
        home = tmp_path / f"at{fail_at}"
        home.mkdir()
        if old:
            save(home / "m", models(golden_ar()), **BY)
        with pytest.MonkeyPatch.context() as patch:
            Disk(patch, fail_at)
            with pytest.raises(OSError, match="No space"):
                save(home / "m", models(golden_full(), ANOTHER), **BY)
        assert set(os.listdir(home)) <= {"m"}
        if (home / "m").exists():
            found = load(home / "m").models
            # Whole: the old version, or the new one when only the last flush failed.
            assert len(found) in ((1, 2) if old else (2,))
            assert_same(found[0].records, golden_ar() if len(found) == 1 else golden_full())
        else:
            assert not old


@pytest.mark.parametrize("old", [False, True])
def test_a_kill_at_any_rename_leaves_all_or_nothing(tmp_path, old, monkeypatch):
    class Killed(BaseException):
        pass

    monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: None)  # a killed process cleans nothing up
    real = {"replace": os.replace, "fsync": os.fsync}
    left = 0

    def step(name, *args):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real[name](*args)

    for fail_at in range(20):
        home = tmp_path / f"at{fail_at}"
        if old:
            save(home / "m", models(golden_ar()), **BY)
        left = fail_at
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", partial(step, "replace"))
            patch.setattr(os, "fsync", partial(step, "fsync"))
            try:
                save(home / "m", models(golden_full()), **BY)
            except Killed:
                pass
            else:
                break
        if (home / "m").exists():
            found = load(home / "m").models[0].records
            assert_same(found, golden_ar() if found.n_series == 2 else golden_full())
        else:
            assert not old
    assert fail_at > 5


@pytest.fixture
def saved(tmp_path):
    save(tmp_path / "m", models(golden_full()), **BY)
    return tmp_path / "m"


def the_chunk(folder):
    return next((folder / "chunks").iterdir())


def test_a_folder_of_nothing_is_no_model(tmp_path):
    for path in (tmp_path, tmp_path / "absent", tmp_path / "a" / "b"):
        with pytest.raises(ArtifactError, match=r"manifest\.json: is missing"):
            load(path)


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "f").write_bytes(b"\x80\x04.")
    with pytest.raises(ArtifactError, match="is missing"):
        load(tmp_path / "f")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(ArtifactError, match="regular"):
        load(tmp_path)


def test_a_manifest_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ArtifactError, match="regular"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"kind": NaN}', "not JSON"),
        ('{"kind":1,"kind":2}', "not JSON"),
        ("[" * 50_000, "not JSON"),
        ("[]", "not written by this platform"),
        ('{"name": "app", "version": "1.0"}', "not written by this platform"),
        ('{"kind": "forecast.model-version"}', "schema version"),
        ('{"kind": "forecast.model-version", "schema_version": 2}', "upgrade"),
        ('{"kind": "forecast.model-version", "schema_version": 1}', "does not follow"),
    ],
)
def test_foreign_manifests_are_named(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=message) as caught:
        load(tmp_path)
    assert str(tmp_path / "manifest.json") in str(caught.value)


def test_too_large_a_manifest_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(version, "MAX_MANIFEST_BYTES", 100)
    with pytest.raises(ArtifactError, match="at most 100"):
        load(saved)


def edit(folder, change, honest=True):
    """Change a manifest, with (honest) or without a new version."""
    file = folder / "manifest.json"
    found = json.loads(file.read_bytes())
    change(found)
    if honest:
        body = {k: v for k, v in found.items() if k != "version"}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        found["version"] = hashlib.sha256(canonical).hexdigest()
    file.write_text(json.dumps(found))


def test_a_changed_manifest_is_seen(saved):
    edit(saved, lambda m: m["models"][0]["spec"].update(name="Naive"), honest=False)
    with pytest.raises(ArtifactError, match="was changed"):
        load(saved)


def _chunk_entry(**changes):
    return lambda m: m["models"][0]["chunks"][0].update(changes)


EDITS = {
    "path": _chunk_entry(sha256="../../../../etc/passwd"),
    "absolute path": _chunk_entry(sha256="/etc/passwd"),
    "upper case": _chunk_entry(sha256="A" * 64),
    "trailing newline": _chunk_entry(sha256="a" * 64 + "\n"),
    "huge chunk": _chunk_entry(bytes=10**12),
    "no bytes": _chunk_entry(bytes=0),
    "float bytes": _chunk_entry(bytes=1.0),
    "bool first": _chunk_entry(first=False),
    "first": _chunk_entry(first=1),
    "many records": _chunk_entry(n_records=4097),
    "records": _chunk_entry(n_records=3),
    "absent chunk": _chunk_entry(sha256="a" * 64),
    "shorter chunk": _chunk_entry(bytes=100),
    "extra key": _chunk_entry(path="x"),
    "chunk text": lambda m: m["models"][0].update(chunks=["x"]),
    "no chunks": lambda m: m["models"][0].update(chunks=[]),
    "no models": lambda m: m.update(models=[]),
    "model text": lambda m: m.update(models=["x"]),
    "alias twice": lambda m: m.update(models=m["models"] * 2),
    "alias number": lambda m: m["models"][0].update(alias=1),
    "spec text": lambda m: m["models"][0].update(spec="AR"),
    "series": lambda m: m.update(n_series=5),
    "no series": lambda m: m.update(n_series=0),
    "frequency": lambda m: m["freq"].update(text="h"),
    "frequency text": lambda m: m.update(freq="h"),
    "parent": lambda m: m.update(parent_version="latest"),
    "time": lambda m: m.update(created_ts_ms=1.5),
    "program": lambda m: m.update(created_by=None),
    "schema": lambda m: m.update(schema=[]),
    "kind": lambda m: m.update(kind="x"),
    "extra": lambda m: m.update(extra=1),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_manifest_that_lies_is_refused(saved, case):
    edit(saved, EDITS[case])
    with pytest.raises(ArtifactError) as caught:
        load(saved)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "longer", "absent", "emptied", "other"])
def test_a_damaged_chunk_is_named(saved, damage):
    file = the_chunk(saved)
    data = file.read_bytes()
    file.unlink()
    if damage != "absent":
        file.write_bytes(
            {"truncated": data[:-1], "longer": data + b"\0", "emptied": b"", "other": bytes(len(data))}[
                damage
            ]
        )
    with pytest.raises(ArtifactError, match="fetch") as caught:
        load(saved)
    assert str(file) in str(caught.value)


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60)
def test_one_flipped_bit_anywhere_is_seen(tmp_path_factory, where, bit):
    folder = tmp_path_factory.mktemp("flip") / "m"
    shutil.copytree(GOLDEN, folder)
    file = the_chunk(folder)
    raw = bytearray(file.read_bytes())
    raw[int(where * len(raw))] ^= 1 << bit
    file.write_bytes(raw)
    with pytest.raises(ArtifactError, match="sha256"):
        load(folder)


@pytest.mark.parametrize(
    ("found", "changes", "message"),
    [
        ([], {}, "aliases"),
        (models(golden_ar()) * 2, {}, "aliases"),
        (models(golden_ar(), replace(golden_full(), freq=Freq("h"))), {}, "frequency"),
        (models(golden_ar()), {"parent_version": "latest"}, "cannot be stored"),
        (models(golden_ar()), {"created_ts_ms": 1.5}, "cannot be stored"),
        (models(golden_ar()), {"schema": {"y": float("nan")}}, "JSON"),
        (models(golden_ar()), {"schema": {1: "y"}}, "not text"),
        ([StoredModel("AR", {"lags": {1, 2}}, golden_ar())], {}, "JSON"),
        (models(replace(golden_ar(), sigma2=np.array([-1.0, 1.0]))), {}, "sigma2"),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(tmp_path, found, changes, message):
    with pytest.raises(InputError, match=message):
        save(tmp_path / "m", found, **{**BY, **changes})
    assert list(tmp_path.iterdir()) == []


def test_an_id_in_two_chunks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk, "CHUNK_RECORDS", 1)
    with pytest.raises(InputError, match="repeat"):
        save(tmp_path / "m", models(replace(golden_ar(), ids=golden_ar().ids[[0, 0]])), **BY)


def test_tuples_in_a_spec_are_what_a_reader_sees(tmp_path):
    written = save(tmp_path / "m", [StoredModel("AR", {"lags": (1, 2)}, golden_ar())], **BY)
    assert written.models[0].spec == {"lags": [1, 2]}
    assert load(tmp_path / "m").manifest == written


def family(tmp_path, *generations):
    """Save a chain of versions, oldest first; return the youngest and a fetch function."""
    parent, folders = None, {}
    for i, generation in enumerate(generations):
        parent = save(tmp_path / str(i), generation, parent_version=parent and parent.version, **BY)
        folders[parent.version] = tmp_path / str(i)
    return load(folders[parent.version]), lambda name: load(folders[name])


def test_a_version_without_parent_stands_for_itself(tmp_path):
    child, fetch = family(tmp_path, models(golden_full()))
    (model,) = resolve(child, fetch)
    assert_same(model.records, golden_full())


def test_the_youngest_version_of_a_series_wins(tmp_path):
    base = random_records(1, ["a", "b", "c", "d"])
    second, third = random_records(2, ["b", "c"]), random_records(3, ["c", "e"])
    child, fetch = family(tmp_path, models(base, base), models(second), models(third))
    first, untouched = resolve(child, fetch)
    assert list(first.records.ids) == ["a", "b", "c", "d", "e"]
    assert first.records.const.tolist() == [
        base.const[0], second.const[0], third.const[0], base.const[3], third.const[1],
    ]  # fmt: skip
    assert untouched.alias == "AR1"
    assert_same(untouched.records, base)
    assert child.manifest.n_series == 2


def test_an_overlay_writes_the_changed_series_only(tmp_path):
    base = random_records(1, list(range(2000)), ragged=0.0)
    child, _ = family(tmp_path, models(base), models(random_records(2, [5, 7, 11], ragged=0.0)))
    assert child.manifest.models[0].n_records == 3
    assert sum(map(len, files(tmp_path / "1").values())) < sum(map(len, files(tmp_path / "0").values())) / 20


def test_a_wrong_parent_is_refused(tmp_path):
    child, _ = family(tmp_path, models(golden_ar()), models(golden_ar()))
    with pytest.raises(ArtifactError, match="repair the store"):
        resolve(child, lambda name: child)


@pytest.mark.parametrize("what", ["alias", "freq"])
def test_a_child_of_another_kind_is_refused(tmp_path, what):
    other = (
        models(golden_ar(), alias="Other")
        if what == "alias"
        else models(replace(golden_ar(), freq=Freq("h")))
    )
    child, fetch = family(tmp_path, models(golden_ar()), other)
    with pytest.raises(ArtifactError, match="that its parent lacks"):
        resolve(child, fetch)


def test_too_long_a_line_of_parents_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "MAX_ANCESTORS", 1)
    child, fetch = family(tmp_path, *[models(random_records(i, ["a"])) for i in range(3)])
    with pytest.raises(ArtifactError, match="save it whole"):
        resolve(child, fetch)


def test_the_manifest_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_MANIFEST_BYTES", 100)
    with pytest.raises(InputError, match="at most 100"):
        save(tmp_path / "m", models(golden_ar()), **BY)
