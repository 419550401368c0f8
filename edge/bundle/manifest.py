"""Writing manifest.json, canonical JSON of what a device reads, and manifest.sig, its ed25519 signature."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from edge.bundle.archive import members
from edge.bundle.folder import put
from edge.bundle.keys import ALGORITHM, SigningKey
from edge.errors import ExportError
from edge.runtime.errors import BundleError
from edge.runtime.manifest import (
    KIND,
    MANIFEST,
    SCHEMA_VERSION,
    SIGNATURE,
    CertificateSummary,
    ModelRef,
    OnnxRuntimeRange,
    read_manifest,
)
from edge.runtime.manifest import Manifest as Manifest
from forecast.models.canonical_json import dumps

# Stands where an unsigned bundle has no key; no public key has this id but by one chance in 2**64.
NO_KEY: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class Facts:
    """What a manifest says, beside the list of files and the key."""

    name: str
    bundle_version: int
    created_ts_ms: int | None
    model: ModelRef
    horizon: int
    levels: tuple[float, ...]
    profile: str
    n_series: int
    opset: int
    ir_version: int
    ops: tuple[str, ...]
    onnxruntime: OnnxRuntimeRange
    certificate: CertificateSummary


def write_manifest(folder: Path, facts: Facts, key: SigningKey | None) -> Manifest:
    """Write the manifest of all files in `folder`, and its signature; return it as a device reads it.

    The signature is left out where there is no key. `ExportError` where a device would refuse it: a file or
    the whole is too large, a number out of range.
    """
    listed = [name for name in members(folder) if name not in (MANIFEST, SIGNATURE)]
    document = asdict(facts) | {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "key_id": NO_KEY if key is None else key.key_id,
        "levels": [_plain(level) for level in facts.levels],
        "files": [_entry(folder, name) for name in sorted(listed)],
    }
    data = dumps(document)
    found = _accepted(data)
    put(folder, MANIFEST, data)
    if key is not None:
        put(folder, SIGNATURE, signature(key, data))
    return found


def _accepted(data: bytes) -> Manifest:
    """Read the manifest as a device does; what that would refuse is refused here."""
    try:
        return read_manifest(data)
    except BundleError as error:
        raise ExportError(f"a device would refuse this bundle: {error}") from error


def signature(key: SigningKey, data: bytes) -> bytes:
    """Return the content of manifest.sig for the bytes of a manifest."""
    return dumps({"algorithm": ALGORITHM, "key_id": key.key_id, "signature": key.sign(data).hex()})


def _entry(folder: Path, name: str) -> dict[str, object]:
    data = (folder / name).read_bytes()
    return {"path": name, "sha256": sha256(data).hexdigest(), "bytes": len(data)}


def _plain(level: float) -> float:
    """Return 80 as 80, not 80.0: one spelling for one number."""
    return int(level) if float(level).is_integer() else float(level)
