"""A folder as one archive: ZIP, members in a fixed order and of a fixed date; equal folders, equal bytes."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

SUFFIX: Final = ".edge.zip"
FIRST: Final = ("manifest.json", "manifest.sig")

# The oldest date that the format knows.
_DATE: Final = (1980, 1, 1, 0, 0, 0)
# Unix, whatever system writes it.
_UNIX: Final = 3
_LEVEL: Final = 9


def members(folder: Path) -> list[str]:
    """Return the names of all files of `folder`, with slashes, in the order of the archive."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return [name for name in FIRST if name in found] + sorted(found.difference(FIRST))


def write_archive(folder: Path, out: Path) -> None:
    """Write the files of `folder` to the new archive `out`, and make it survive a power cut."""
    with open(out, "xb") as file:
        pack(file, ((name, (folder / name).read_bytes()) for name in members(folder)))
        file.flush()
        os.fsync(file.fileno())


def pack(file: object, parts: Iterable[tuple[str, bytes]], mode: int = 0o644) -> None:
    """Write (name, content) pairs as a ZIP to a file opened for binary writing, in their order."""
    with ZipFile(file, "w") as archive:  # type: ignore[call-overload]  # any file object
        for name, data in parts:
            info = ZipInfo(name, _DATE)
            info.create_system = _UNIX
            info.external_attr = (0o100000 | mode) << 16
            # What grows by it is stored: a reader then bounds the size of every member by that of the file.
            smaller = len(zlib.compress(data, _LEVEL)) < len(data)
            kind = ZIP_DEFLATED if smaller else ZIP_STORED
            archive.writestr(info, data, compress_type=kind, compresslevel=_LEVEL)
