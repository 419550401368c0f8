"""Disks that fail: the process is killed, the power goes, or there is no space, at any one change."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edge.runtime.disk import Disk


class Killed(BaseException):
    """The process is gone: nothing may catch this."""


class CountingDisk(Disk):
    """Counts changes and calls `fail` at the `at`-th, before or after it is made."""

    def __init__(self, at: int = -1, after: bool = False) -> None:
        self.at, self.after, self.count, self.log = at, after, 0, []

    def do(self, what: str, path: Path, act: Callable[[], Any]) -> Any:
        here, self.count = self.count, self.count + 1
        self.log.append((what, path.name))
        if here == self.at and not self.after:
            self.fail(what, path)
        # Waiting for the real disk would take minutes, and show nothing: `PowerCut` knows what is waited for.
        found = None if what.startswith("fsync") else act()
        if here == self.at:
            self.fail(what, path)
        return found

    def fail(self, what: str, path: Path) -> None:
        raise Killed(f"{what} {path}")


class FullDisk(CountingDisk):
    """No space from then on: what frees some still works."""

    def do(self, what: str, path: Path, act: Callable[[], Any]) -> Any:
        if 0 <= self.at < self.count and what in ("create", "write", "mkdir", "symlink"):
            self.fail(what, path)
        return super().do(what, path, act)

    def fail(self, what: str, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class TornDisk(CountingDisk):
    """Killed while a block is written: the first half of it is there."""

    def write(self, path: Path, blocks: Iterable[bytes], mode: int = 0o644) -> None:
        def torn():
            for block in blocks:
                if self.count == self.at:
                    yield block[: len(block) // 2]
                yield block

        super().write(path, torn(), mode)


class PowerCut(CountingDisk):
    """The power goes: what nobody waited for is lost.

    Names that are not synced with their folder go back to what they were, unless `names_stay`; files whose
    content is not synced are empty. With `last_stays` the last name is on the disk before the older ones.
    """

    def __init__(self, at: int = -1, names_stay: bool = False, last_stays: bool = False) -> None:
        super().__init__(at, after=True)
        self.names_stay, self.last_stays = names_stay, last_stays
        self.undo: list[tuple[Path, Callable[[], None]]] = []
        self.soft: set[Path] = set()

    def do(self, what: str, path: Path, act: Callable[[], Any]) -> Any:
        if what == "fsync":
            self.soft.discard(path)
        elif what == "fsync-folder":
            self.undo = [(folder, back) for folder, back in self.undo if folder != path]
        elif what == "create":
            self.soft.add(path)
            self.undo.append((path.parent, lambda: path.unlink(missing_ok=True)))
        elif what == "mkdir":
            self.undo.append((path.parent, lambda: shutil.rmtree(path, ignore_errors=True)))
        elif what == "symlink":
            self.undo.append((path.parent, lambda: path.unlink(missing_ok=True)))
        elif what in ("unlink", "rmdir"):
            self.undo.append((path.parent, self._restorer(path)))
        return super().do(what, path, act)

    def move(self, old: Path, new: Path) -> None:
        before = self._restorer(new) if os.path.lexists(new) else None
        replaced = os.path.lexists(new)

        def back() -> None:
            if os.path.lexists(new):
                os.rename(new, old)
            if replaced and before is not None:
                before()

        self.undo.append((new.parent, back))
        self.soft = {new if path == old else path for path in self.soft}
        super().move(old, new)

    def fail(self, what: str, path: Path) -> None:
        for soft in self.soft:
            if soft.is_file():
                soft.write_bytes(b"")
        if not self.names_stay:
            for _, back in reversed(self.undo[:-1] if self.last_stays else self.undo):
                back()
        super().fail(what, path)

    @staticmethod
    def _restorer(path: Path) -> Callable[[], None]:
        if path.is_symlink():
            target = os.readlink(path)
            return lambda: None if os.path.lexists(path) else os.symlink(target, path)
        if path.is_dir():
            return lambda: path.mkdir(exist_ok=True)
        data = path.read_bytes()
        return lambda: None if path.exists() or not path.parent.exists() else path.write_bytes(data) and None
