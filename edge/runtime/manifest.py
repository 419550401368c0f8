"""manifest.json: what was signed. It names every other file of the bundle with its size and sha256."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from . import strict_json as js
from .digests import sha256
from .errors import BundleError

KIND: Final = "forecast.edge-bundle"
SCHEMA_VERSION: Final = 1

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"

# 200 files of 128 characters are 40 kB; a manifest that is larger is not one of ours.
MAX_MANIFEST_BYTES: Final = 1 << 20
# The signature file is three short texts.
MAX_SIGNATURE_BYTES: Final = 4096
MAX_FILES: Final = 200
# A latency fleet of 100,000 series is 240 MB. All files together are held to the same bound twice.
MAX_FILE_BYTES: Final = 256 << 20
MAX_TOTAL_BYTES: Final = 512 << 20

# Parts of a name begin with a letter or a digit: no "..", no hidden file, nothing absolute, no backslash.
_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_PATH = re.compile(rf"{_PART}(?:/{_PART}){{0,3}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{16}")

# Without these nothing runs, or nothing is tested.
REQUIRED: Final = ("schema.json", "states.npz", "parity.npz")
MODELS: Final = ("model.onnx", "step.onnx")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: path below the bundle (forward slashes), sha256 in hex, size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Where the parameters came from; `version` is the model version (64 hex digits, or any text)."""

    name: str
    version: str
    row_version: int | None
    run_id: str | None


@dataclass(frozen=True, slots=True)
class OnnxRuntimeRange:
    """Oldest release that loads the models, as "1.19", and those they were tested with."""

    min: str
    tested: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertificateSummary:
    """Worst values over the series, read back from the artifact."""

    max_pole: float
    min_margin: float
    max_rise: float
    """Largest mean rise of the forecast RMSE, as a ratio: 0.005 is 0.5 %."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The signed manifest. The JSON object has exactly these keys, and `kind` and `schema_version` (1).

    Written as canonical JSON: ASCII, keys sorted, no spaces; `manifest.sig` signs these very bytes.

    ==================  =====================================================================
    kind                "forecast.edge-bundle"
    schema_version      1
    name                text; a device holds bundles of one name
    bundle_version      int >= 1, grows with every bundle of this name
    key_id              first 16 hex digits of sha256(raw public key) of the key that signed
    created_ts_ms       int, ms UTC, or null
    model               {name: text, version: text, row_version: int|null, run_id: text|null}
    horizon             int 1..10000
    levels              [percent, ...] ascending, at most 32
    profile             "latency" | "balanced" | "size"
    n_series            int >= 1
    opset, ir_version   int
    ops                 [text, ...] operators used, sorted
    onnxruntime         {min: text, tested: [text, ...]}
    certificate         {max_pole: number, min_margin: number, max_rise: number}
    files               [{path, sha256, bytes}, ...] sorted by path; every file of the bundle but
                        manifest.json and manifest.sig
    ==================  =====================================================================
    """

    name: str
    bundle_version: int
    key_id: str
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
    files: Mapping[str, FileEntry]
    digest: str
    """sha256 of the bytes of manifest.json: the name of the release on a device."""


def read_manifest(data: bytes) -> Manifest:
    """Parse and check the bytes of manifest.json.

    Raises
    ------
    BundleError
        Not a manifest of version 1: the message names the key. A later version says to upgrade.
    """
    fields = js.Fields(parse_object(data, MAX_MANIFEST_BYTES, MANIFEST), MANIFEST)
    fields.take("kind", js.one_of(KIND))
    fields.take("schema_version", current_version)
    manifest = Manifest(
        name=fields.take("name", js.text),
        bundle_version=fields.take("bundle_version", js.whole(1, 2**53)),
        key_id=fields.take("key_id", key_id),
        created_ts_ms=fields.take("created_ts_ms", js.optional(js.whole(0, 2**53))),
        model=fields.take("model", _model),
        horizon=fields.take("horizon", js.whole(1, 10_000)),
        levels=fields.take("levels", levels),
        profile=fields.take("profile", js.one_of("latency", "balanced", "size")),
        n_series=fields.take("n_series", js.whole(1, 10_000_000)),
        opset=fields.take("opset", js.whole(1, 1000)),
        ir_version=fields.take("ir_version", js.whole(1, 1000)),
        ops=fields.take("ops", js.many(js.text, 256)),
        onnxruntime=fields.take("onnxruntime", _onnxruntime),
        certificate=fields.take("certificate", _certificate),
        files=_files(fields.take("files", js.many(_file, MAX_FILES))),
        digest=sha256(data).hexdigest(),
    )
    fields.end()
    return manifest


def parse_object(data: bytes, most: int, what: str) -> object:
    """Parse bounded JSON; `BundleError` names the file."""
    if len(data) > most:
        raise BundleError(f"{what} has {len(data)} bytes, at most {most} are read")
    try:
        return js.loads(data)
    except ValueError as error:
        raise BundleError(f"{what} is not JSON: {error}") from None


def current_version(value: object) -> int:
    """Return the schema version, which is 1."""
    if type(value) is int and value > SCHEMA_VERSION:
        raise BundleError(
            f"this is schema version {value}, this device reads {SCHEMA_VERSION}; upgrade the device runtime"
        )
    return js.whole(SCHEMA_VERSION, SCHEMA_VERSION)(value)


def levels(value: object) -> tuple[float, ...]:
    """Return coverages in percent, ascending within (0, 100)."""
    found = js.many(js.number, 32)(value)
    if any(not 0 < level < 100 for level in found) or any(a >= b for a, b in pairwise(found)):
        raise ValueError(f"must ascend within (0, 100), got {list(found)}")
    return found


def key_id(value: object) -> str:
    """Return 16 hex digits."""
    if not isinstance(value, str) or _KEY_ID.fullmatch(value) is None:
        raise ValueError(f"must be 16 hex digits, got {value!r:.80}")
    return value


def check_path(path: object) -> str:
    """Return a file name that stays below its folder; `ValueError` for any other."""
    if not isinstance(path, str) or _PATH.fullmatch(path) is None:
        raise ValueError(f"{path!r:.80} is no name of a bundle file")
    return path


def _model(value: object) -> ModelRef:
    fields = js.Fields(value, "model")
    found = ModelRef(
        name=fields.take("name", js.text),
        version=fields.take("version", js.text),
        row_version=fields.take("row_version", js.optional(js.whole(0, 2**53))),
        run_id=fields.take("run_id", js.optional(js.text)),
    )
    fields.end()
    return found


def _onnxruntime(value: object) -> OnnxRuntimeRange:
    fields = js.Fields(value, "onnxruntime")
    found = OnnxRuntimeRange(fields.take("min", _release), fields.take("tested", js.many(_release, 64)))
    fields.end()
    return found


def _release(value: object) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6}){1,3}", value) is None:
        raise ValueError(f"must be a release such as '1.19.2', got {value!r:.80}")
    return value


def _certificate(value: object) -> CertificateSummary:
    fields = js.Fields(value, "certificate")
    found = CertificateSummary(
        fields.take("max_pole", js.number),
        fields.take("min_margin", js.number),
        fields.take("max_rise", js.number),
    )
    fields.end()
    return found


def _file(value: object) -> FileEntry:
    fields = js.Fields(value, "a file")
    entry = FileEntry(
        path=fields.take("path", check_path),
        sha256=fields.take("sha256", read_digest),
        bytes=fields.take("bytes", js.whole(0, MAX_FILE_BYTES)),
    )
    fields.end()
    return entry


def read_digest(value: object) -> str:
    """Return a sha256 in hex."""
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise ValueError(f"must be 64 hex digits, got {value!r:.80}")
    return value


def _files(entries: tuple[FileEntry, ...]) -> Mapping[str, FileEntry]:
    paths = [entry.path for entry in entries]
    # Two names that differ in case are one file on some disks, and a file is no folder of another.
    folded = {path.lower() for path in paths}
    nested = any(other.startswith(f"{path}/") for path in folded for other in folded)
    if len(folded) < len(paths) or nested:
        raise BundleError("manifest.json lists a file twice")
    if {MANIFEST, SIGNATURE} & folded:
        raise BundleError(f"manifest.json lists {MANIFEST} or {SIGNATURE} itself")
    missing = [name for name in REQUIRED if name not in paths]
    if missing or not set(MODELS) & set(paths):
        raise BundleError(f"manifest.json lists no {missing[0] if missing else 'model.onnx or step.onnx'}")
    total = sum(entry.bytes for entry in entries)
    if total > MAX_TOTAL_BYTES:
        raise BundleError(f"the files have {total} bytes, at most {MAX_TOTAL_BYTES} are read")
    return {entry.path: entry for entry in entries}
