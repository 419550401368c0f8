"""The manifest of a model version: what it holds, by content, and whose child it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecast.errors import ArtifactError, InputError
from forecast.models.canonical_json import dumps, loads
from forecast.models.chunk import CHUNK_RECORDS
from forecast.models.codec import SCHEMA_VERSION, check_schema_version, is_freq
from forecast.models.freq import Freq
from forecast.models.npz import MAX_CHUNK_BYTES

KIND = "forecast.model-version"

# A chunk takes 150 bytes here, so this is 100,000 chunks: 400 million records. Parsed JSON takes
# some 10 times its size in memory.
MAX_MANIFEST_BYTES = 16 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEYS = {
    "kind", "schema_version", "created_by", "created_ts_ms", "models", "freq", "schema", "n_series",
    "parent_version", "version",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chunk:
    """One file of records, named by its content."""

    sha256: str
    bytes: int
    first: int
    """Position of its first record among those of its model."""
    n_records: int


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of a version."""

    alias: str
    """Name of its column in results."""
    spec: Mapping[str, Any]
    """The specification, as JSON values."""
    chunks: tuple[Chunk, ...]

    @property
    def n_records(self) -> int:
        return sum(chunk.n_records for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model version: immutable, named by the sha256 of what it says."""

    created_by: str
    """Name and version of the program that trained it."""
    models: tuple[ModelEntry, ...]
    freq: Freq
    schema: Mapping[str, Any]
    """Columns of the training data and their types, as the caller describes them."""
    n_series: int
    """Series in this version itself: the changed ones, where it has a parent."""
    parent_version: str | None = None
    """Version that holds the series which this one does not."""
    created_ts_ms: int | None = None
    """Time of training by the caller's clock, ms UTC."""

    def body(self) -> dict[str, Any]:
        """Return everything but `version`, as JSON values."""
        return {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "created_by": self.created_by,
            "created_ts_ms": self.created_ts_ms,
            "models": [
                {"alias": m.alias, "spec": m.spec, "chunks": [_chunk_json(chunk) for chunk in m.chunks]}
                for m in self.models
            ],
            "freq": {"text": self.freq.text, "tz": self.freq.tz},
            "schema": self.schema,
            "n_series": self.n_series,
            "parent_version": self.parent_version,
        }

    @property
    def version(self) -> str:
        """sha256 of the canonical JSON of `body`: equal content has an equal version."""
        return hashlib.sha256(dumps(self.body())).hexdigest()


def write(manifest: Manifest) -> bytes:
    """Return the file `manifest.json`; `InputError` for what a reader would refuse."""
    data = dumps({**manifest.body(), "version": manifest.version}, indent=1) + b"\n"
    if len(data) > MAX_MANIFEST_BYTES:
        raise InputError(
            f"the manifest takes {len(data)} bytes, at most {MAX_MANIFEST_BYTES}; shorten spec or schema"
        )
    try:
        read(data)
    except ArtifactError as error:
        raise InputError(f"cannot be stored: the manifest {error}") from error
    return data


def read(data: bytes) -> Manifest:
    """Parse and check `manifest.json`; `ArtifactError` says what is wrong with it and what to do."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"has {len(data)} bytes, a manifest has at most {MAX_MANIFEST_BYTES}")
    try:
        found = loads(data)
    except ValueError as error:
        raise ArtifactError(f"is not JSON ({error}); fetch the model again") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise ArtifactError(f"was not written by this platform: it lacks the kind {KIND!r}")
    check_schema_version(found.get("schema_version"))
    if found.keys() != _KEYS or not _well_formed(found):
        raise ArtifactError(f"does not follow schema {SCHEMA_VERSION}; fetch the model again")
    manifest = Manifest(
        created_by=found["created_by"],
        models=tuple(_entry(model) for model in found["models"]),
        freq=Freq(found["freq"]["text"], found["freq"]["tz"]),
        schema=found["schema"],
        n_series=found["n_series"],
        parent_version=found["parent_version"],
        created_ts_ms=found["created_ts_ms"],
    )
    if manifest.version != found["version"]:
        raise ArtifactError(
            "was changed after it was written: its version is not its sha256; fetch the model again"
        )
    return manifest


def is_version(value: object) -> bool:
    """Whether `value` is the hexadecimal sha256 that names a version or a chunk."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _chunk_json(chunk: Chunk) -> dict[str, Any]:
    return {
        "sha256": chunk.sha256,
        "bytes": chunk.bytes,
        "first": chunk.first,
        "n_records": chunk.n_records,
    }


def _well_formed(found: Mapping[str, Any]) -> bool:
    parent, created = found["parent_version"], found["created_ts_ms"]
    return (
        isinstance(found["created_by"], str)
        and (created is None or type(created) is int)
        and is_freq(found["freq"])
        and isinstance(found["schema"], dict)
        and _is_count(found["n_series"])
        and (parent is None or is_version(parent))
        and isinstance(found["models"], list)
        and len(found["models"]) > 0
    )


def _entry(found: object) -> ModelEntry:
    if (
        not isinstance(found, dict)
        or found.keys() != {"alias", "spec", "chunks"}
        or not isinstance(found["alias"], str)
        or not isinstance(found["spec"], dict)
        or not isinstance(found["chunks"], list)
        or not found["chunks"]
    ):
        raise ArtifactError(
            f"has a model that does not follow schema {SCHEMA_VERSION}; fetch the model again"
        )
    chunks = tuple(_chunk(chunk) for chunk in found["chunks"])
    first = 0
    for chunk in chunks:
        if chunk.first != first:
            raise ArtifactError(
                f"has chunks of {found['alias']!r} that leave out or repeat records at {first}"
            )
        first += chunk.n_records
    return ModelEntry(found["alias"], found["spec"], chunks)


def _chunk(found: object) -> Chunk:
    # The name becomes part of a path: hexadecimal digits cannot lead out of the folder.
    if (
        not isinstance(found, dict)
        or found.keys() != {"sha256", "bytes", "first", "n_records"}
        or not is_version(found["sha256"])
        or not (_is_count(found["bytes"]) and found["bytes"] <= MAX_CHUNK_BYTES)
        or not (_is_count(found["n_records"]) and found["n_records"] <= CHUNK_RECORDS)
        or type(found["first"]) is not int
    ):
        raise ArtifactError(
            f"has a chunk entry that does not follow schema {SCHEMA_VERSION}; fetch the model again"
        )
    return Chunk(found["sha256"], found["bytes"], found["first"], found["n_records"])


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1
