"""The files of a bundle as bytes that nobody has checked yet: a folder, or one archive."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from .errors import BundleError
from .manifest import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, check_path

BLOCK: Final = 1 << 16

# The manifest and its signature come on top.
_MOST_MEMBERS: Final = MAX_FILES + 2
_DEEPEST: Final = 4
# End record of a ZIP without comment, and the most that a directory of our names takes.
_END_BYTES: Final = 22
_MOST_DIRECTORY_BYTES: Final = _MOST_MEMBERS * 512
_LOCAL_HEADER_BYTES: Final = 30
# Bits of a member's flags that change nothing for a reader: deflate levels, sizes behind the data, UTF-8.
_HARMLESS_FLAGS: Final = 0x080E


class Source(Protocol):
    """A bundle that can be read."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of every file by name, as the disk or the archive's directory claims."""
        ...

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file, `BLOCK` bytes at a time; at most one byte more than `sizes` says."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a folder or an archive.

    Raises
    ------
    BundleError
        There is nothing, or something that is not a bundle: the message names the member.
    """
    place = Path(path)
    try:
        mode = place.stat().st_mode
        if stat.S_ISDIR(mode):
            return FolderSource(place)
        if stat.S_ISREG(mode):
            return ArchiveSource(place)
    except OSError as error:
        raise BundleError(f"the bundle {place} cannot be read: {error.strerror or error}") from None
    raise BundleError(f"{place} is neither a folder nor an archive")


class FolderSource:
    """A folder: plain files in it and in its folders, nothing else."""

    def __init__(self, folder: Path) -> None:
        # `current` is a link that may move: the files are those of the release it names now.
        self._folder = Path(os.path.realpath(folder))
        self._sizes: dict[str, int] = {}
        self._scan(self._folder, "", _DEEPEST)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of every file."""
        return self._sizes

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file; a link, even one put there since, is refused."""
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(handle, "rb") as file:
                yield from _at_most(file, self._sizes[name])
        except OSError as error:
            raise BundleError(f"{name} cannot be read: {error.strerror or error}") from None

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _scan(self, folder: Path, prefix: str, deeper: int) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = _checked(prefix + entry.name)
                if entry.is_dir(follow_symlinks=False) and deeper > 1:
                    self._scan(folder / entry.name, f"{name}/", deeper - 1)
                elif entry.is_file(follow_symlinks=False):
                    self._sizes[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    raise BundleError(
                        f"{name} is no plain file: a bundle has no links, devices or deep folders"
                    )
                if len(self._sizes) > _MOST_MEMBERS:
                    raise BundleError(f"the bundle has over {_MOST_MEMBERS} files")


class ArchiveSource:
    """A ZIP, held to what we write: no comment, no encryption, no links, nothing between the members."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
        try:
            directory, count = _check_end(self._file)
            self._zip = ZipFile(self._file)
            self._members = _members(self._zip, directory, count)
        except (BadZipFile, NotImplementedError, ValueError, EOFError, UnicodeError) as error:
            self._file.close()
            raise BundleError(f"{path} is no archive of a bundle: {error}") from None
        except BaseException:
            self._file.close()
            raise

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of every member, as the directory claims."""
        return {name: info.file_size for name, info in self._members.items()}

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a member; it is inflated block by block."""
        info = self._members[name]
        try:
            with self._zip.open(info) as file:
                yield from _at_most(file, info.file_size)
        except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise BundleError(f"{name} cannot be read from the archive: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def __enter__(self) -> ArchiveSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _at_most(file: object, size: int) -> Iterator[bytes]:
    """Yield blocks until the file ends, or has given more than `size`, which the caller sees."""
    read = file.read  # type: ignore[attr-defined]  # a binary file
    given = 0
    while given <= size:
        block: bytes = read(min(BLOCK, size - given + 1))
        if not block:
            return
        given += len(block)
        yield block


def _checked(name: str) -> str:
    try:
        return check_path(name)
    except ValueError as error:
        raise BundleError(str(error)) from None


def _check_end(file: BinaryIO) -> tuple[int, int]:
    """Return where the directory begins, and its entries; it is bounded before anything parses it."""
    size = file.seek(0, os.SEEK_END)
    if not _END_BYTES <= size <= MAX_TOTAL_BYTES + _MOST_DIRECTORY_BYTES:
        raise BundleError(f"the archive has {size} bytes: truncated, or over {MAX_TOTAL_BYTES}")
    file.seek(size - _END_BYTES)
    end = file.read(_END_BYTES)
    count, length, start = (int.from_bytes(end[a:b], "little") for a, b in ((10, 12), (12, 16), (16, 20)))
    one_disk = end[4:8] == bytes(4) and end[8:10] == end[10:12]
    if end[:4] != b"PK\5\6" or not one_disk or end[20:] != b"\0\0" or start + length + _END_BYTES != size:
        raise BundleError("the archive does not end as one: truncated, or with something behind it")
    if count > _MOST_MEMBERS or length > _MOST_DIRECTORY_BYTES:
        raise BundleError(f"the archive has {count} members, at most {_MOST_MEMBERS} are read")
    return start, count


def _members(archive: ZipFile, directory: int, count: int) -> dict[str, ZipInfo]:
    found: dict[str, ZipInfo] = {}
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = _checked(info.orig_filename)
        if name in found:
            raise BundleError(f"the archive has {name} twice")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & ~_HARMLESS_FLAGS:
            raise BundleError(f"{name} is no plain member: a link, a folder, or encrypted")
        stored = info.compress_type == ZIP_STORED
        if not stored and info.compress_type != ZIP_DEFLATED:
            raise BundleError(
                f"{name} is compressed by method {info.compress_type}; stored or deflated are read"
            )
        if info.file_size > MAX_FILE_BYTES or (stored and info.file_size != info.compress_size):
            raise BundleError(f"{name} claims {info.file_size} bytes, in {info.compress_size} of the archive")
        # Members that lie over each other are how a small archive claims to be a large one.
        if info.header_offset < end:
            raise BundleError(f"{name} overlaps another member")
        end = info.header_offset + _LOCAL_HEADER_BYTES + len(name) + info.compress_size
        found[name] = info
    if len(found) != count:
        raise BundleError(f"the archive claims {count} members, and has {len(found)}")
    if end > directory:
        raise BundleError("the members overlap the directory of the archive")
    if sum(info.file_size for info in found.values()) > MAX_TOTAL_BYTES:
        raise BundleError(f"the members claim over {MAX_TOTAL_BYTES} bytes in all")
    return found
