"""Changes of the disk, one by one: each can be cut short by a power failure, and a test can cut it there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Disk:
    """The real disk. Every change goes through `do`, which a test may override."""

    def do(self, what: str, path: Path, act: Callable[[], T]) -> T:
        """Make one change; `what` is its name."""
        return act()

    def make_folder(self, path: Path) -> None:
        """Make a folder that must not exist."""
        self.do("mkdir", path, lambda: os.mkdir(path, 0o755))

    def write(self, path: Path, blocks: Iterable[bytes], mode: int = 0o644) -> None:
        """Write a file that must not exist, and wait until its content is on the disk."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = self.do("create", path, lambda: os.open(path, flags, mode))
        try:
            for block in blocks:
                self.do("write", path, lambda block=block: _write_all(handle, block))  # type: ignore[misc]  # mypy has no types for defaults
            self.do("fsync", path, lambda: os.fsync(handle))
        finally:
            os.close(handle)

    def sync_folder(self, path: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        self.do("fsync-folder", path, lambda: _sync_folder(path))

    def move(self, old: Path, new: Path) -> None:
        """Rename; what was at `new` is replaced in one step."""
        self.do("rename", new, lambda: os.replace(old, new))

    def link(self, target: str, path: Path) -> None:
        """Make a symbolic link that must not exist."""
        self.do("symlink", path, lambda: os.symlink(target, path))

    def remove(self, path: Path) -> None:
        """Remove a file or link, if it is there."""
        if os.path.lexists(path):
            self.do("unlink", path, lambda: os.unlink(path))

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with all that is in it, never following a link."""
        with os.scandir(path) as found:
            entries = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in found]
        for entry, folder in entries:
            if folder:
                self.remove_tree(entry)
            else:
                self.remove(entry)
        self.do("rmdir", path, lambda: os.rmdir(path))

    def replace_file(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Give a file a new content in one step."""
        fresh = path.with_name(f".{path.name}.new")
        self.remove(fresh)
        self.write(fresh, [data], mode)
        self.move(fresh, path)
        self.sync_folder(path.parent)

    def replace_link(self, path: Path, target: str) -> None:
        """Make a link point elsewhere in one step."""
        fresh = path.with_name(f".{path.name}.new")
        self.remove(fresh)
        self.link(target, fresh)
        self.move(fresh, path)
        self.sync_folder(path.parent)


def read_small(path: Path, most: int) -> bytes | None:
    """Return the content of a plain file of at most `most` bytes; None where there is none.

    Raises
    ------
    OSError
        It cannot be read, is no plain file, or larger.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is no plain file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"{path} has over {most} bytes")
    return data


def _write_all(handle: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
