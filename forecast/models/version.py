"""Model versions in folders: save all or nothing, load with every byte checked, resolve parents."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forecast.errors import ArtifactError, InputError
from forecast.models.canonical_json import dumps, loads
from forecast.models.chunk import distinct_ids, join, overlay, split
from forecast.models.codec import decode, encode
from forecast.models.manifest import MAX_MANIFEST_BYTES, Chunk, Manifest, ModelEntry, read, write
from forecast.models.records import Records

MANIFEST = "manifest.json"
CHUNKS = "chunks"

# Every ancestor is one more fetch before a model can serve. A year of nightly overlays is 365;
# long before that a full version should be written.
MAX_ANCESTORS = 512


@dataclass(frozen=True, slots=True, eq=False)
class StoredModel:
    """One model of a version: its column name, its specification as JSON values, its records."""

    alias: str
    spec: Mapping[str, Any]
    records: Records


@dataclass(frozen=True, slots=True, eq=False)
class ModelVersion:
    """A manifest and the records of its models, in the order of the manifest."""

    manifest: Manifest
    models: tuple[StoredModel, ...]


def save(
    path: str | os.PathLike[str],
    models: Sequence[StoredModel],
    *,
    schema: Mapping[str, Any],
    created_by: str,
    parent_version: str | None = None,
    created_ts_ms: int | None = None,
) -> Manifest:
    """Write a model version to the folder `path` and return its manifest.

    Everything is written and flushed beside `path` first. A new folder appears by one rename; in one
    that holds a version already, the manifest is replaced last, by one rename. So whatever fails
    (a full disk raises `OSError`), `path` is absent or the old version is whole. A process that was
    killed may leave a folder ``.name.*.tmp`` beside it, which can be deleted.

    Raises `InputError` when a record is not sound, or `path` holds something else.
    """
    target = Path(path).absolute()
    old = _replaced(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = target.parent / f".{target.name}.{secrets.token_hex(8)}.tmp"
    try:
        (stage / CHUNKS).mkdir(parents=True)
        entries = tuple(_write_model(stage / CHUNKS, model) for model in models)
        manifest = _manifest(models, entries, schema, created_by, parent_version, created_ts_ms)
        _write_file(stage / MANIFEST, write(manifest))
        _sync_folder(stage / CHUNKS)
        _sync_folder(stage)
        _publish(stage, target, old is not None)
    finally:
        shutil.rmtree(stage, ignore_errors=True)  # gone already when all went well
    if old is not None:
        _remove_chunks(target, _names(old) - _names(manifest))
    return manifest


def load(path: str | os.PathLike[str]) -> ModelVersion:
    """Read the version in the folder `path`, without its parents (see `resolve`).

    Raises `ArtifactError`, naming the file and what to do, when the folder is not one of ours or
    anything in it is not byte for byte what was saved.
    """
    folder = Path(path)
    manifest = load_manifest(folder)
    models = tuple(
        StoredModel(entry.alias, entry.spec, join(list(_read_chunks(folder, manifest, entry))))
        for entry in manifest.models
    )
    _check_ids(folder, manifest, models)
    return ModelVersion(manifest, models)


def load_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read the manifest in the folder `path` alone; see `load`."""
    file = Path(path) / MANIFEST
    with _naming(file):
        return read(_read_file(file, MAX_MANIFEST_BYTES))


def resolve(version: ModelVersion, fetch_parent: Callable[[str], ModelVersion]) -> tuple[StoredModel, ...]:
    """Return the models that `version` stands for: its ancestors' series, overlaid by each child's.

    Parameters
    ----------
    version
        Any version; one without a parent stands for itself.
    fetch_parent
        Returns the version of a given name, for example from a store.
    """
    models = {model.alias: model for model in version.models}
    child, seen = version.manifest, 0
    while child.parent_version is not None:
        seen += 1
        if seen > MAX_ANCESTORS:
            raise ArtifactError(
                f"version {version.manifest.version} has over {MAX_ANCESTORS} ancestors; save it whole"
            )
        parent = fetch_parent(child.parent_version)
        _check_parent(child, parent.manifest)
        older = {model.alias: model for model in parent.models}
        for alias, model in models.items():
            older[alias] = replace(model, records=overlay(older[alias].records, model.records))
        models, child = older, parent.manifest
    return tuple(models.values())


def _check_parent(child: Manifest, parent: Manifest) -> None:
    if parent.version != child.parent_version:
        raise ArtifactError(
            f"asked for version {child.parent_version}, got {parent.version}; repair the store"
        )
    strangers = {model.alias for model in child.models} - {model.alias for model in parent.models}
    if strangers or child.freq != parent.freq or child.schema != parent.schema:
        what = f"the model {min(strangers)!r}" if strangers else "another frequency or schema"
        raise ArtifactError(
            f"version {child.version} has {what} that its parent lacks; train a whole version"
        )


def _manifest(
    models: Sequence[StoredModel],
    entries: tuple[ModelEntry, ...],
    schema: Mapping[str, Any],
    created_by: str,
    parent_version: str | None,
    created_ts_ms: int | None,
) -> Manifest:
    if len({model.alias for model in models}) != len(models) or not models:
        raise InputError(f"needs models of different aliases, got {[model.alias for model in models]}")
    if len({model.records.freq for model in models}) != 1:
        raise InputError("the models of one version must have one frequency")
    return Manifest(
        created_by=created_by,
        models=entries,
        freq=models[0].records.freq,
        schema=loads(dumps(schema)),  # what a reader will see: tuples become lists
        n_series=len(distinct_ids([model.records for model in models])),
        parent_version=parent_version,
        created_ts_ms=created_ts_ms,
    )


def _write_model(folder: Path, model: StoredModel) -> ModelEntry:
    if len(distinct_ids([model.records])) != model.records.n_series:
        raise InputError(f"the records of {model.alias!r} repeat an id")
    chunks: list[Chunk] = []
    first = 0
    for part in split(model.records):
        data = encode(part)
        chunk = Chunk(hashlib.sha256(data).hexdigest(), len(data), first, part.n_series)
        _write_file(_chunk_file(folder, chunk), data)
        chunks.append(chunk)
        first += part.n_series
    if not chunks:
        raise InputError(f"the records of {model.alias!r} hold no series")
    return ModelEntry(model.alias, loads(dumps(model.spec)), tuple(chunks))


def _chunk_file(folder: Path, chunk: Chunk) -> Path:
    return folder / f"{chunk.sha256}.npz"


def _write_file(file: Path, data: bytes) -> None:
    with open(file, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replaced(target: Path) -> Manifest | None:
    """Return the version that `target` holds now; None where a new folder is to be made."""
    if not target.exists() and not target.is_symlink():
        return None
    if target.is_dir() and not any(target.iterdir()):
        return None
    try:
        return load_manifest(target)
    except ArtifactError as error:
        raise InputError(f"{target} exists and is not a model; choose another folder ({error})") from error


def _publish(stage: Path, target: Path, replacing: bool) -> None:
    if replacing:
        (target / CHUNKS).mkdir(exist_ok=True)
        for file in (stage / CHUNKS).iterdir():
            os.replace(file, target / CHUNKS / file.name)
        _sync_folder(target / CHUNKS)
        os.replace(stage / MANIFEST, target / MANIFEST)  # the one step that changes the version
        _sync_folder(target)
    else:
        stage.replace(target)
        _sync_folder(target.parent)


def _names(manifest: Manifest) -> set[str]:
    return {chunk.sha256 for entry in manifest.models for chunk in entry.chunks}


def _remove_chunks(target: Path, names: set[str]) -> None:
    # The new version is in place; a leftover file costs space and nothing else.
    for name in names:
        with contextlib.suppress(OSError):
            (target / CHUNKS / f"{name}.npz").unlink()


def _read_chunks(folder: Path, manifest: Manifest, entry: ModelEntry) -> Iterator[Records]:
    for chunk in entry.chunks:
        file = _chunk_file(folder / CHUNKS, chunk)
        with _naming(file):
            data = _read_file(file, chunk.bytes)
            if len(data) != chunk.bytes or hashlib.sha256(data).hexdigest() != chunk.sha256:
                raise ArtifactError(
                    "is cut short or changed: its sha256 is not its name; fetch the chunk again"
                )
            records = decode(data)
            if records.n_series != chunk.n_records or records.freq != manifest.freq:
                raise ArtifactError("is not what the manifest says of it; save the model again")
        yield records


def _check_ids(folder: Path, manifest: Manifest, models: Sequence[StoredModel]) -> None:
    with _naming(folder / MANIFEST):
        if len({model.alias for model in models}) != len(models):
            raise ArtifactError("lists an alias twice; save the model again")
        for model in models:
            if len(distinct_ids([model.records])) != model.records.n_series:
                raise ArtifactError(f"has a series of {model.alias!r} in two chunks; save the model again")
        found = len(distinct_ids([model.records for model in models]))
        if found != manifest.n_series:
            raise ArtifactError(
                f"speaks of {manifest.n_series} series, its chunks hold {found}; save the model again"
            )


def _read_file(file: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes."""
    try:
        # Not blocking: a pipe by that name would otherwise be waited for.
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactError("is missing; this is not a whole model folder, save or fetch it again") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError("is not a regular file; save or fetch the model again")
        if status.st_size > limit:
            raise ArtifactError(f"has {status.st_size} bytes, at most {limit} were expected; fetch it again")
        with open(handle, "rb", closefd=False) as source:
            return source.read(limit + 1)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Put the name of `file` in front of what is wrong with it."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{file}: {error}") from error
