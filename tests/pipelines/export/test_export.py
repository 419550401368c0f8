"""`forecast export`: from the store to a bundle that a device installs, registered and logged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import forecast as fc
from edge.bundle.keys import read_key, write_key
from edge.errors import BundleExistsError, ExportError, GateError, KeyFileError
from edge.runtime.bundle import Bundle
from edge.runtime.errors import SignatureError
from forecast.errors import InputError
from pipelines.cli import main
from pipelines.errors import StoreError, TrackingError
from pipelines.export.bundling import Wanted, export_bundle, summary
from pipelines.settings import load_settings
from pipelines.store import Store, open_store
from tests.pipelines.train.conftest import sales

pytestmark = pytest.mark.slow


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the fleet `sales`, its champion and a key."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sales().to_csv("sales.csv", index=False)
        words = ("--horizon", 6, "--windows", 0, "--no-track", "--jobs", 1, "--no-stationarity")
        done = call("train", "sales.csv", "--model", 'AR {"lags": 3}', "--model", "Naive", *words)
        assert done.exit_code == 0, done.output
        write_key("keys")
    return folder


@pytest.fixture
def room(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def settings(room):
    return load_settings(environ={}, jobs=1)


@pytest.fixture
def wanted(tmp_path, room):
    return Wanted("sales@champion", tmp_path / "shop", 6, key=Path("keys/signing-key.pem"))


def bundles(settings):
    with open_store(settings.store()) as store:
        return store.bundles()


def test_a_champion_becomes_a_bundle_that_a_device_opens(wanted, settings, tmp_path):
    told = []

    def log(summary, uri, timeout_s):
        told.append((summary, uri, timeout_s))
        return "r1"

    done = export_bundle(wanted, settings, log)
    key = read_key("keys/signing-key.pem")
    assert done.run_id == "r1"
    with Bundle.open(done.exported.archive, keys="keys/keys.json") as bundle:
        manifest = bundle.manifest
        assert (manifest.name, manifest.key_id, manifest.horizon) == ("sales", key.key_id, 6)
        assert manifest.model.version == done.version.version
        assert manifest.model.row_version == 1
        assert manifest.created_ts_ms > 1_700_000_000_000
        fitted = fc.load(done.version.artifact_uri)
        whole = fitted.predict(6).set_index("unique_id")["AR"]
        for name in fitted.records[0].ids:
            got = bundle.forecast(name)
            np.testing.assert_allclose(got.mean, whole.loc[name], rtol=1e-6)
    row = bundles(settings)[-1]
    assert row == done.row
    assert (row.fleet, row.ver, row.bundle.sha256) == ("sales", 1, manifest.digest)
    assert row.bundle.key_id == key.key_id
    assert Path(row.bundle.artifact_uri) == done.exported.archive
    assert row.bundle.size == done.exported.archive.stat().st_size
    summary, uri, _ = told[0]
    assert uri == settings.tracking_uri
    assert set(summary.models) == {"model", "step"}
    assert all(Path(path).exists() for path in (*summary.models.values(), *summary.documents))
    assert summary.digest == manifest.digest
    assert summary.metrics["n_series"] == 6
    assert all(np.isfinite(value) for value in summary.metrics.values())


@pytest.mark.parametrize("profile", ["size", "latency"])
def test_every_series_is_counted_once_by_its_bits(wanted, settings, profile):
    done = export_bundle(replace(wanted, profile=profile), settings, None)
    bits = {k: v for k, v in summary(done.exported, done.version).metrics.items() if k.endswith("_bit")}
    assert sum(bits.values()) == 6
    assert bits["n_64_bit"] == (6 if profile == "latency" else 0)


def test_numbers_grow_whatever_became_of_an_export(wanted, settings, monkeypatch, tmp_path):
    one = export_bundle(wanted, settings, None).exported.bundle_version
    with monkeypatch.context() as patch:
        patch.setattr("edge.bundle.making.hold_ticks", lambda *_: (_ for _ in ()).throw(GateError("no")))
        with pytest.raises(GateError):
            export_bundle(replace(wanted, out=tmp_path / "failed"), settings, None)
    assert not (tmp_path / "failed").exists()
    again = export_bundle(replace(wanted, overwrite=True), settings, None).exported.bundle_version
    other = export_bundle(replace(wanted, out=tmp_path / "o", name="other"), settings, None)
    assert again == one + 2
    assert (other.exported.bundle_version, other.exported.name) == (1, "other")


def test_the_first_model_is_exported_and_another_by_its_alias(wanted, settings, tmp_path):
    assert export_bundle(wanted, settings, None).exported.model == "AR"
    naive = export_bundle(replace(wanted, out=tmp_path / "n", alias="Naive"), settings, None)
    assert naive.exported.model == "Naive"
    with pytest.raises(ExportError, match=r"'Nave'.*'Naive'"):
        export_bundle(replace(wanted, out=tmp_path / "x", alias="Nave"), settings, None)


def test_pruning_by_the_data(wanted, settings):
    done = export_bundle(replace(wanted, prune="lags", data=Path("sales.csv")), settings, None)
    report = done.exported.report.set_index("unique_id")
    assert (report["lags_kept"] <= report["lags_before"]).all()
    assert report["lags_kept"].sum() < report["lags_before"].sum()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "sales@9"}, StoreError, "has no version '9'"),
        ({"model": "sale@champion"}, StoreError, "fleets: sales"),
        ({"model": "keys"}, InputError, "is a folder, which has no place"),
        ({"key": Path("none.pem")}, KeyFileError, "No such file"),
        ({"key": None}, ExportError, "needs a key"),
        ({"unsigned": True}, ExportError, "exclude each other"),
        ({"prune": "lags"}, InputError, "--data"),
        ({"data": Path("sales.csv")}, InputError, "leave it out"),
        ({"prune": "lags", "data": Path("none.csv")}, InputError, "there is no file"),
        ({"out": Path("keys"), "overwrite": True}, BundleExistsError, "is no bundle"),
        ({"out": Path("no/where")}, ExportError, "there is no folder"),
        ({"name": "a/b"}, ExportError, "name must be"),
        ({"alias": "Nave"}, ExportError, "no model 'Nave'"),
        ({"horizon": 10_001}, ExportError, "horizon must be"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(wanted, settings, monkeypatch, change, error, words):
    before = bundles(settings)
    monkeypatch.setattr(Store, "take_bundle_number", lambda *_: pytest.fail("a number was taken"))
    with pytest.raises(error, match=words):
        export_bundle(replace(wanted, **change), settings, None)
    assert not wanted.out.exists()
    assert bundles(settings) == before


def test_mlflow_that_is_down_does_not_undo_an_export(wanted, settings):
    def log(*_):
        raise TrackingError("MLflow at nowhere does not answer", retriable=True)

    done = export_bundle(wanted, settings, log)
    assert done.not_logged == "MLflow at nowhere does not answer"
    assert done.row in bundles(settings)
    assert wanted.out.is_dir()


def test_a_store_that_fails_at_the_end_says_what_there_is(wanted, settings, monkeypatch):
    from pipelines.store import Store

    def refuse(*_):
        raise StoreError("the store does not answer", retriable=True)

    monkeypatch.setattr(Store, "add_bundle", refuse)
    with pytest.raises(StoreError, match="shop is written, but not registered: the store does not") as caught:
        export_bundle(wanted, settings, None)
    assert caught.value.retriable


def test_an_unsigned_bundle_is_for_nobody(wanted, settings):
    done = export_bundle(replace(wanted, key=None, unsigned=True), settings, None)
    assert done.row.bundle.key_id is None
    assert not (wanted.out / "manifest.sig").exists()
    with pytest.raises(SignatureError):
        Bundle.open(wanted.out, keys="keys/keys.json")


def test_the_command_tells_what_was_made(room, tmp_path):
    asked = ("--model", "sales@1", "--horizon", 4, "--key", "keys/signing-key.pem", "--no-track")
    done = call("export", *asked, "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    assert "6 series of sales@1, signed by" in done.stdout
    assert "read back" in done.stdout
    assert done.stderr == ""
    again = call("export", *asked, "--out", tmp_path / "b")
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    assert "is there already" in again.stderr
    found = json.loads(call("export", *asked, "--out", tmp_path / "b", "--overwrite", "--json").stdout)
    assert len(found["series"]) == 6
    assert Path(found["archive"]).stat().st_size == found["bytes"]


def test_the_command_tells_what_pruning_left_and_why_not(room, tmp_path):
    asked = ("--model", "sales@1", "--horizon", 4, "--key", "keys/signing-key.pem", "--no-track")
    Path("few.csv").write_text("\n".join(Path("sales.csv").read_text().splitlines()[:8]))
    done = call("export", *asked, "--out", tmp_path / "b", "--prune", "lags", "--data", "few.csv")
    assert done.exit_code == 0, done.output
    assert " kept\n" in done.stdout
    assert "not pruned: its data" in done.stdout


def test_the_command_exits_3_when_mlflow_is_down(room, tmp_path):
    asked = ("--model", "sales@1", "--horizon", 4, "--key", "keys/signing-key.pem", "--out", tmp_path / "b")
    done = call("export", *asked, "--tracking", "http://127.0.0.1:9")
    assert done.exit_code == 3, done.output
    assert "not logged to MLflow" in done.stderr
    assert (tmp_path / "b.edge.zip").exists()


def test_a_store_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_key("keys")
    asked = ("--horizon", 4, "--key", "keys/signing-key.pem", "--no-track")
    done = call("export", "--model", "sales@1", "--out", "b", *asked)
    assert done.exit_code == 1
    assert "forecast db upgrade" in done.stderr
    assert done.stderr.count("\n") == 1


def test_export_key_makes_a_key_once(tmp_path):
    done = call("export-key", tmp_path / "k", "--json")
    found = json.loads(done.stdout)
    assert read_key(found["private"]).key_id == found["key_id"]
    assert json.loads(Path(found["trusted"]).read_text())["keys"][0]["public_key"] == found["public_key"]
    again = call("export-key", tmp_path / "k")
    assert (again.exit_code, "never written over" in again.stderr) == (1, True)
