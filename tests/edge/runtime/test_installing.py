"""Install and rollback: what is taken, what is refused, and what goes on serving."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from edge.runtime import Bundle, Device
from edge.runtime.device import status
from edge.runtime.errors import BundleError, InstallError, ParityError, SignatureError
from edge.runtime.installing import install, rollback
from edge.runtime.keys import read_keys
from edge.runtime.releases import Root
from tests.edge.runtime.bundles import (
    KEY,
    OTHER,
    files,
    keys_json,
    manifest,
    members,
    npz,
    signed,
    states,
    write_folder,
)
from tests.edge.runtime.roots import KEYS, ONE, TWO, leftovers, serving


def test_install_from_archive_and_folder(made, tmp_path):
    root = tmp_path / "root"
    first = install(made[1], root, KEYS)
    assert (first.changed, first.previous, serving(root)) == (True, None, 1)
    assert {one.model for one in first.parity} == {"model.onnx", "step.onnx"}
    second = install(write_folder(tmp_path / "two", members(TWO)), root)
    assert (second.changed, second.previous, serving(root)) == (True, first.release, 2)
    assert leftovers(root) == []


def test_installing_what_serves_changes_nothing(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    install(made[2], root)
    before = (os.readlink(root / "current"), os.readlink(root / "previous"))
    assert not install(made[2], root).changed
    assert (os.readlink(root / "current"), os.readlink(root / "previous")) == before


def test_only_two_releases_are_kept(made, tmp_path):
    root = tmp_path / "root"
    for version in (1, 2, 3):
        install(made[version], root, KEYS)
    assert len(list((root / "releases").iterdir())) == 2
    assert status(root)["previous"]["bundle_version"] == 2


def test_rollback_and_its_counter(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    install(made[2], root)
    assert rollback(root).manifest.bundle_version == 1
    assert serving(root) == 1
    assert status(root)["highest_version"] == 2
    assert install(made[2], root).changed  # the same one may come back
    assert serving(root) == 2
    rollback(root)
    assert rollback(root).manifest.bundle_version == 2  # forth again


def test_an_older_version_is_refused_even_after_a_rollback(made, tmp_path):
    root = tmp_path / "root"
    for version in (1, 3):
        install(made[version], root, KEYS)
    rollback(root)
    for version in (2,):
        with pytest.raises(InstallError, match="older than 3"):
            install(made[version], root)
    assert serving(root) == 1
    assert install(made[2], root, allow_downgrade=True).changed
    assert serving(root) == 2
    assert status(root)["highest_version"] == 3
    with pytest.raises(InstallError, match="older than 3"):
        install(made[1], root)


def test_another_bundle_of_the_same_version_is_refused(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    twin = write_folder(tmp_path / "twin", members(replace(ONE, const=11.0)))
    for allow in (False, True):
        with pytest.raises(InstallError, match="its own version"):
            install(twin, root, allow_downgrade=allow)


def test_a_bundle_of_another_name_is_refused(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    other = write_folder(tmp_path / "other", members(replace(TWO, name="other")))
    with pytest.raises(InstallError, match="'other'"):
        install(other, root)


def test_without_keys_nothing_is_installed(made, tmp_path):
    with pytest.raises(BundleError, match="trusted keys"):
        install(made[1], tmp_path / "root")


def test_a_revoked_key_installs_nothing_and_rolls_nothing_back(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    other = write_folder(tmp_path / "other", members(TWO, OTHER))
    with pytest.raises(SignatureError, match="not trusted"):
        install(other, root)
    install(other, root, read_keys(keys_json(OTHER)))  # a second key, told by whoever installs
    install(made[3], root)
    install(other, root, allow_downgrade=True)
    revoked = read_keys(keys_json(KEY, revoked=(KEY,)))
    with pytest.raises(SignatureError, match="revoked"):
        install(made[3], root, revoked)
    with pytest.raises(SignatureError, match="revoked"):
        rollback(root)
    with pytest.raises(SignatureError, match="revoked"):  # trust does not come back by a later --keys
        install(made[3], root, KEYS)
    assert serving(root) == 2


@pytest.mark.parametrize(
    "attack", ["unsigned", "edited", "extra", "parity", "model", "states", "endless", "zone", "place"]
)
def test_what_is_refused_leaves_the_old_one_serving(made, tmp_path, attack):
    root, content = tmp_path / "root", members(TWO)
    install(made[1], root, KEYS)
    if attack == "unsigned":
        del content["manifest.sig"]
    elif attack == "edited":
        content["model.onnx"] = content["model.onnx"][:-1] + b"x"
    elif attack == "extra":
        content["more"] = b""
    elif attack == "parity":
        content = members(replace(TWO, parity_shift=1e-6))
    else:
        schema = json.loads(files(TWO)["schema.json"])
        zone = schema["freq"] | {"tz": "Nowhere/Land", "wall": True}
        broken = (
            files(TWO)
            | {
                "model": {"model.onnx": b"no model"},
                "states": {"states.npz": npz(t=np.array([1]), last_ts_ms=np.array([1]))},
                "endless": {
                    "states.npz": states(TWO).replace(np.float64(2.0).tobytes(), np.float64(np.inf).tobytes())
                },
                "zone": {"schema.json": json.dumps(schema | {"freq": zone}).encode()},
                "place": {"schema.json": json.dumps(schema | {"closed": [1, 2, 3]}).encode()},
            }[attack]
        )
        content = broken | signed(manifest(TWO, broken))
    before = status(root)
    with pytest.raises(BundleError) as error:
        install(write_folder(tmp_path / "bad", content), root)
    assert isinstance(error.value, ParityError) == (attack == "parity")
    assert status(root) == before
    assert (serving(root), leftovers(root)) == (1, [])


def test_a_damaged_release_is_installed_anew(made, tmp_path):
    root = tmp_path / "root"
    release = install(made[1], root, KEYS).release
    (root / "releases" / release / "model.onnx").write_bytes(b"rot")
    assert not status(root)["current"]["ok"]
    with pytest.raises(BundleError, match="install it anew"):
        Device.open(root)
    install(made[1], root)
    assert serving(root) == 1


def test_a_damaged_current_release_can_be_rolled_back(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    release = install(made[2], root).release
    shutil.rmtree(root / "releases" / release)
    with pytest.raises(BundleError, match="rollback"):
        Device.open(root)
    rollback(root)
    assert serving(root) == 1


def test_a_damaged_previous_release_is_not_rolled_back_to(made, tmp_path):
    root = tmp_path / "root"
    first = install(made[1], root, KEYS).release
    install(made[2], root)
    (root / "releases" / first / "step.onnx").write_bytes(b"rot")
    with pytest.raises(BundleError):
        rollback(root)
    assert serving(root) == 2


def test_a_release_under_a_foreign_name_is_not_rolled_back_to(made, tmp_path):
    root = tmp_path / "root"
    first = install(made[1], root, KEYS).release
    second = install(made[2], root).release
    shutil.rmtree(root / "releases" / first)
    shutil.copytree(root / "releases" / second, root / "releases" / first)
    with pytest.raises(BundleError, match="another bundle"):
        rollback(root)


def test_an_older_bundle_in_the_folder_of_the_current_one_does_not_serve(made, tmp_path):
    root = tmp_path / "root"
    now = install(made[2], root, KEYS)
    shutil.rmtree(root / "releases" / now.release)
    write_folder(root / "releases" / now.release, members(ONE))
    with pytest.raises(BundleError, match="holds another bundle"):
        Device.open(root, read_only=True)
    assert "holds another bundle" in status(root)["current"]["error"]


def test_nothing_to_roll_back_to(made, tmp_path):
    with pytest.raises(InstallError, match="no folder"):
        rollback(tmp_path / "root")
    assert not (tmp_path / "root").exists()
    install(made[1], tmp_path / "root", KEYS)
    with pytest.raises(InstallError, match="no previous"):
        rollback(tmp_path / "root")


def test_a_lost_counter_is_not_taken_for_a_new_device(made, tmp_path):
    root = tmp_path / "root"
    install(made[2], root, KEYS)
    (root / "counter.json").unlink()
    with pytest.raises(InstallError, match=r"counter\.json is gone"):
        install(made[1], root)  # an older one
    assert "counter.json is gone" in status(root)["error"]
    assert serving(root) == 2


@pytest.mark.parametrize("text", ["", "{", '{"highest": -1}', '{"highest": 1, "release": "x"}'])
def test_a_damaged_counter_is_not_forgotten(made, tmp_path, text):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    (root / "counter.json").write_text(text)
    with pytest.raises(InstallError, match=r"counter\.json"):
        install(made[2], root)
    assert r"counter.json" in status(root)["error"]
    assert status(root)["current"]["ok"]


def test_two_at_once(made, tmp_path):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    with Root(root).locked():
        with pytest.raises(InstallError, match="another install"):
            install(made[2], root)
        with pytest.raises(InstallError, match="another install"):
            rollback(root)
        assert serving(root) == 1


def test_many_at_once_and_a_reader(made, tmp_path):
    root, seen, errors = tmp_path / "root", set(), []
    install(made[1], root, KEYS)
    stop = threading.Event()

    def read():
        while not stop.is_set():
            try:
                with Bundle.open(root / "current", keys=KEYS) as bundle:
                    seen.add(bundle.manifest.bundle_version)
            except BundleError as error:
                errors.append(error)

    def put(version):
        while True:
            try:
                return install(made[version], root, allow_downgrade=True)
            except InstallError:
                time.sleep(0.002)

    threads = [threading.Thread(target=put, args=(version,)) for version in (2, 1)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    assert errors == []
    assert seen <= {1, 2}
    assert leftovers(root) == []


def test_a_root_that_cannot_be_written(made, tmp_path):
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        root = tmp_path / "file"  # root writes anywhere: a file in the way is as good
        with pytest.raises(InstallError, match="cannot be changed"):
            install(made[1], root, KEYS)
        return
    root = tmp_path / "root"
    root.mkdir(mode=0o500)
    with pytest.raises(InstallError, match="cannot be changed"):
        install(made[1], root, KEYS)


def test_the_new_release_that_does_not_open_is_taken_back(made, tmp_path, monkeypatch):
    root = tmp_path / "root"
    install(made[1], root, KEYS)
    real = Bundle.open

    def refuse(path, **rest):
        raise BundleError("no")

    monkeypatch.setattr("edge.runtime.installing.Bundle.open", refuse)
    with pytest.raises(InstallError, match="serves again"):
        install(made[2], root)
    monkeypatch.setattr("edge.runtime.installing.Bundle.open", real)
    assert serving(root) == 1
