"""Schema, grid and manifest: what the exporter writes is what the device reads."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from edge.bundle.folder import put
from edge.bundle.grid import grid_of
from edge.bundle.keys import new_key
from edge.bundle.manifest import NO_KEY, Facts, write_manifest
from edge.errors import ExportError
from edge.runtime.ed25519 import verify
from edge.runtime.manifest import CertificateSummary, ModelRef, OnnxRuntimeRange
from forecast.models.freq import Freq
from pipelines.stream.served import nominal_step

FACTS = Facts(
    name="shop", bundle_version=3, created_ts_ms=None, model=ModelRef("AR", "ab" * 32, 1, "r1"), horizon=12,
    levels=(80.0, 99.5), profile="balanced", n_series=2, opset=21, ir_version=10, ops=("Add", "Mul"),
    onnxruntime=OnnxRuntimeRange("1.19", ("1.31.1",)), certificate=CertificateSummary(0.9, 0.1, 1e-5),
)  # fmt: skip
FILES = {
    "schema.json": b"{}",
    "parity.npz": b"x",
    "states.npz": b"s",
    "step.onnx": b"yy",
    "deploy/x/unit.service": b"z",
}


def filled(folder):
    for name, data in FILES.items():
        put(folder, name, data)
    return folder


def test_a_manifest_lists_every_file_and_is_signed(tmp_path):
    key = new_key()
    found = write_manifest(filled(tmp_path), FACTS, key)
    data = (tmp_path / "manifest.json").read_bytes()
    assert found.digest == sha256(data).hexdigest()
    assert {name: (e.sha256, e.bytes) for name, e in found.files.items()} == {
        name: (sha256(content).hexdigest(), len(content)) for name, content in FILES.items()
    }
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert b'"levels":[80,99.5]' in data
    signature = json.loads((tmp_path / "manifest.sig").read_bytes())
    assert (signature["algorithm"], signature["key_id"]) == ("ed25519", key.key_id)
    assert verify(key.public, data, bytes.fromhex(signature["signature"]))
    assert (found.key_id, found.model.run_id, found.certificate.max_rise) == (key.key_id, "r1", 1e-5)


def test_an_unsigned_manifest_names_no_key(tmp_path):
    found = write_manifest(filled(tmp_path), FACTS, None)
    assert found.key_id == NO_KEY
    assert not (tmp_path / "manifest.sig").exists()


def test_a_manifest_written_again_is_the_same(tmp_path):
    key = new_key()
    one = write_manifest(filled(tmp_path), FACTS, key).digest
    assert write_manifest(tmp_path, FACTS, key).digest == one  # its own files are not in it
    (tmp_path / "schema.json").write_bytes(b"{ }")
    assert write_manifest(tmp_path, FACTS, key).digest != one


@pytest.mark.parametrize(
    "change",
    [{"horizon": 0}, {"levels": (95.0, 80.0)}, {"profile": "fast"}, {"n_series": 0}, {"bundle_version": 0}],
)
def test_what_a_device_would_refuse_is_not_written(tmp_path, change):
    with pytest.raises(ExportError, match="a device would refuse"):
        write_manifest(filled(tmp_path), replace(FACTS, **change), new_key())
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    ("freq", "kind", "step", "late", "wall"),
    [
        ("3", "int", 3, 0, False), ("h", "fixed", 3_600_000, 0, False), ("15min", "fixed", 900_000, 0, False),
        ("ms", "fixed", 1, 0, False), ("D", "fixed", 86_400_000, 0, True),
        ("W-SUN", "fixed", 7 * 86_400_000, 0, True), ("MS", "months", 1, 0, True),
        ("ME", "months", 1, 1, True),
        ("QS", "months", 3, 0, True), ("YE", "months", 12, 1, True), ("B", "ticks", 1, 0, True),
        ("us", "ticks", 1, 0, False),
    ],
)  # fmt: skip
def test_grids_in_the_words_of_a_device(freq, kind, step, late, wall):
    found = grid_of(Freq(freq, "Europe/Paris"))
    assert (found.kind, found.step, found.late, found.wall) == (kind, step, late, wall)
    assert (found.text, found.tz) == (Freq(freq).text, "Europe/Paris")
    if freq != "us":
        assert found.dt_ms == nominal_step(Freq(freq))
