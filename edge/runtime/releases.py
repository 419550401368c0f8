"""The root folder of a device: releases side by side, one of them current, one to go back to.

| name | content |
|---|---|
| `releases/<sha256 of manifest.json>/` | a whole, verified bundle |
| `current`, `previous` | links to two of them |
| `counter.json` | the highest bundle version ever activated, and its release: survives a rollback |
| `switch.json` | there while `current` and `previous` are being changed: from where to where |
| `keys.json` | trusted keys |
| `state.db` | where every series stands |
| `.lock` | held by whoever changes any of this |

Names that begin with a dot are of a change that is under way; the next one removes what a power cut left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import strict_json as js
from .bundle import load_keys
from .disk import Disk, read_small
from .errors import BundleError, InstallError
from .keys import TrustedKeys
from .manifest import parse_object, read_digest
from .verify import verify

_LINK = re.compile(r"releases/([0-9a-f]{64})")
_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Counter:
    """The highest version ever activated, and which release it is; 0 and None where there was none."""

    highest: int = 0
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """The root folder."""

    path: Path
    disk: Disk = field(default_factory=Disk)

    @property
    def keys_path(self) -> Path:
        """The trusted keys."""
        return self.path / "keys.json"

    @property
    def state_path(self) -> Path:
        """The database of states."""
        return self.path / "state.db"

    @property
    def current(self) -> str | None:
        """The release that serves, by digest; None where none does."""
        return self._linked("current")

    @property
    def previous(self) -> str | None:
        """The release that `rollback` goes back to."""
        return self._linked("previous")

    def release(self, digest: str) -> Path:
        """Return the folder of a release."""
        return self.path / "releases" / digest

    def keys(self) -> TrustedKeys:
        """Return the trusted keys; BundleError where there are none."""
        return load_keys(self.keys_path)

    def counter(self) -> Counter:
        """Return the counter; `InstallError` where it is damaged: a device must not forget it."""
        try:
            data = read_small(self.path / "counter.json", _MOST_BYTES)
            if data is None:
                return self._first_counter()
            fields = js.Fields(parse_object(data, _MOST_BYTES, "counter.json"), "counter.json")
            found = Counter(fields.take("highest", js.whole(0, 2**53)), fields.take("release", read_digest))
            fields.end()
        except (OSError, BundleError) as error:
            raise InstallError(
                f"{error}; write the highest version ever installed and its release into it by hand, as "
                '{"highest": 3, "release": "64 hex digits, a folder of releases/"}'
            ) from None
        return found

    def _first_counter(self) -> Counter:
        if self.current is not None:  # it is written before a release is switched to
            raise BundleError("counter.json is gone, though a release is installed")
        return Counter()

    def count(self, version: int, digest: str) -> None:
        """Raise the counter to `version`; it never falls."""
        if version > self.counter().highest:
            data = js.dumps({"highest": version, "release": digest})
            self.disk.replace_file(self.path / "counter.json", data)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the root alone, and first clear away what a power cut has left.

        Raises
        ------
        InstallError
            Somebody else holds it, or the root cannot be written.
        """
        try:
            os.makedirs(self.path / "releases", exist_ok=True)
            lock = self.path / ".lock"
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._hold(handle)
                self.recover()
                yield
            finally:
                os.close(handle)
        except OSError as error:
            raise InstallError(f"{self.path} cannot be changed: {error.strerror or error}") from None

    def _hold(self, handle: int) -> None:
        import fcntl  # only where something changes

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InstallError(f"another install or rollback holds {self.path}; wait for it") from None

    def recover(self) -> None:
        """Finish or undo what was cut short; to be called with the root locked."""
        unfinished = self._switch_under_way()
        if unfinished is not None:
            start, to = unfinished
            if self.current == to and start is not None:
                self.disk.replace_link(self.path / "previous", f"releases/{start}")
            self._forget_switch()
        for folder in (self.path, self.path / "releases"):
            for entry in sorted(folder.iterdir()):
                if entry.name.startswith(".") and entry.name != ".lock":
                    self._remove(entry)

    def switch(self, to: str) -> None:
        """Make `to` current, and what was current the previous one: all, or after `recover` nothing."""
        start = self.current
        data = js.dumps({"from": start, "to": to})
        self.disk.replace_file(self.path / "switch.json", data)
        self.disk.replace_link(self.path / "current", f"releases/{to}")
        if start is not None:
            self.disk.replace_link(self.path / "previous", f"releases/{start}")
        self._forget_switch()

    def refusal(self, digest: str) -> str | None:
        """Return why a release is not to be used; None where it is what a trusted key signed."""
        try:
            with verify(self.release(digest), self.keys()) as found:
                found.check_all()
                return None if found.manifest.digest == digest else "it is another bundle"
        except BundleError as error:
            return str(error)

    def discard(self, digest: str) -> None:
        """Remove a release; it is never seen half removed."""
        gone = self.path / "releases" / f".gone-{digest}"
        if os.path.lexists(gone):
            self._remove(gone)
        self.disk.move(self.release(digest), gone)
        self.disk.sync_folder(self.path / "releases")
        self._remove(gone)

    def prune(self) -> None:
        """Remove all releases but the current and the previous one; what cannot be removed now stays."""
        with suppress(OSError):
            for old in self.installed():
                if old not in (self.current, self.previous):
                    self.discard(old)

    def installed(self) -> list[str]:
        """Return the digests of all releases."""
        try:
            names = os.listdir(self.path / "releases")
        except OSError:
            return []
        return sorted(name for name in names if _LINK.fullmatch(f"releases/{name}"))

    def _linked(self, name: str) -> str | None:
        try:
            target = os.readlink(self.path / name)
        except OSError:
            return None
        found = _LINK.fullmatch(target)
        return found[1] if found else None

    def _switch_under_way(self) -> tuple[str | None, str] | None:
        try:
            data = read_small(self.path / "switch.json", _MOST_BYTES)
            if data is None:
                return None
            fields = js.Fields(parse_object(data, _MOST_BYTES, "switch.json"), "switch.json")
            return fields.take("from", js.optional(read_digest)), fields.take("to", read_digest)
        except (OSError, BundleError) as error:
            raise InstallError(f"{error}; remove it, and see where `current` points") from None

    def _forget_switch(self) -> None:
        self.disk.remove(self.path / "switch.json")
        self.disk.sync_folder(self.path)

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            self.disk.remove_tree(path)
        else:
            self.disk.remove(path)
