"""A bundle on disk: all of it or nothing, and never over something that is no bundle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge.bundle.archive import SUFFIX
from edge.errors import BundleExistsError, ExportError
from edge.runtime.manifest import KIND, MANIFEST

# A manifest has a line a file; what is larger was not written here.
_MOST_BYTES: Final = 1 << 20


def archive_beside(out: Path) -> Path:
    """Return the archive that goes with the folder `out`: beside it, with its name."""
    return out.with_name(out.name + SUFFIX)


def check_free(out: Path, archive: bool, overwrite: bool) -> None:
    """Refuse, before any work, a place that will not do.

    Raises
    ------
    BundleExistsError
        Something is there, and `overwrite` is false, or it is no bundle.
    ExportError
        There is no folder to put it into, or it must not be written.
    """
    parent = out.absolute().parent
    if not out.name or out.name in (".", ".."):
        raise ExportError(f"{str(out)!r} is no name for a new folder; name one, as in build/shop")
    if not parent.is_dir():
        raise ExportError(f"there is no folder {str(parent)!r} for the bundle; make it first")
    if not os.access(parent, os.W_OK):
        raise ExportError(f"the folder {str(parent)!r} must not be written")
    for path in (out, *((archive_beside(out),) if archive else ())):
        if not (path.exists() or path.is_symlink()):
            continue
        if not overwrite:
            raise BundleExistsError(f"{path} is there already; name another, or ask to overwrite it")
        if path == out and not is_bundle(path):
            raise BundleExistsError(f"{path} is there, and is no bundle: it is not overwritten")


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle: it has a manifest of this kind."""
    try:
        if folder.is_symlink() or (folder / MANIFEST).stat().st_size > _MOST_BYTES:
            return False
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


@contextmanager
def staged(out: Path, archive: Path | None) -> Iterator[tuple[Path, Path | None]]:
    """Yield an empty folder beside `out`, and a path for an archive; at the end they get their names.

    A bundle that was at `out` is whole until then, and gone after. Where the block fails nothing has changed.
    """
    stage, part = _hidden(out, "part"), None if archive is None else _hidden(archive, "part")
    try:
        _remove(stage, part)  # of a process of this number that was killed
        stage.mkdir()
        yield stage, part
        _sync(stage)
        _swap(stage, out)
        if archive is not None and part is not None:
            part.replace(archive)
        _sync_folder(out.absolute().parent)
    except OSError as error:
        raise ExportError(f"{error.filename or out} cannot be written: {error.strerror or error}") from error
    finally:
        _remove(stage, part)


def _hidden(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")


def _remove(folder: Path, file: Path | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if file is not None:
        file.unlink(missing_ok=True)


def put(folder: Path, name: str, data: bytes) -> None:
    """Write one file of a bundle, `name` with slashes."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _swap(stage: Path, out: Path) -> None:
    old = _hidden(out, "old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    try:
        stage.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Make every file and name below `folder` survive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            _sync_folder(path)
        else:
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
