"""A device: its root folder, the release that serves, and the states on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .bundle import Bundle
from .errors import BundleError, DeviceError, InstallError
from .releases import Root
from .state import StateFile
from .stepping import GAP_CAP
from .verify import verify


@dataclass(slots=True)
class Device:
    """The current release, open. `refresh` looks whether another one serves by now."""

    root: Root
    read_only: bool
    gap_cap: int
    release: str
    bundle: Bundle
    states: StateFile

    @staticmethod
    def open(root: str | os.PathLike[str], read_only: bool = False, gap_cap: int = GAP_CAP) -> Device:
        """Open the current release.

        Parameters
        ----------
        read_only
            Write nothing: forecasts only. This works on a disk that cannot be written.

        Raises
        ------
        InstallError
            No release is installed.
        BundleError
            The release is damaged, or its key is revoked: `rollback` or `install` mends it.
        """
        place = Root(Path(root))
        release, bundle, states = _opened(place, read_only, gap_cap)
        return Device(place, read_only, gap_cap, release, bundle, states)

    def refresh(self) -> None:
        """Open the release that serves now, if it is another one; the old one stays where that fails."""
        if self.root.current in (None, self.release):
            return
        release, bundle, states = _opened(self.root, self.read_only, self.gap_cap)
        self.close()
        self.release, self.bundle, self.states = release, bundle, states

    def close(self) -> None:
        """Let go of files."""
        self.states.close()
        self.bundle.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened(root: Root, read_only: bool, gap_cap: int) -> tuple[str, Bundle, StateFile]:
    release = root.current
    if release is None:
        raise InstallError(f"no release is installed in {root.path}; run `install BUNDLE --root {root.path}`")
    try:
        bundle = _named(release, Bundle.open(root.release(release), keys=root.keys(), gap_cap=gap_cap))
    except BundleError as error:
        way = "`rollback` goes back to the previous release" if root.previous else "install it anew"
        raise type(error)(f"the current release {release[:12]} is refused: {error}; {way}") from None
    try:
        states = StateFile(root.state_path, release, len(bundle.schema.exog), read_only)
    except BaseException:
        bundle.close()
        raise
    if not read_only:
        states.keep_only([name for name in (release, root.previous) if name is not None])
    bundle.keep_states(states)
    return release, bundle, states


def _named(release: str, bundle: Bundle) -> Bundle:
    """Return the bundle, if its folder is named by its digest: an older one is signed as well."""
    if bundle.manifest.digest != release:
        bundle.close()
        raise BundleError(f"its folder holds another bundle, {bundle.manifest.digest[:12]}")
    return bundle


def status(root: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what is installed, as JSON; nothing is written, and damage is told, not raised.

    Raises
    ------
    InstallError
        There is no such folder.
    """
    place = Root(Path(root))
    if not place.path.is_dir():
        raise InstallError(f"there is no folder {place.path}; `install` makes it")
    found: dict[str, Any] = {"root": str(place.path), "unfinished": (place.path / "switch.json").exists()}
    for name in ("current", "previous"):
        found[name] = _described(place, getattr(place, name))
    try:
        counter = place.counter()
        found["highest_version"], found["error"] = counter.highest, None
    except InstallError as error:
        found["highest_version"], found["error"] = None, str(error)
    try:
        found["series_moved"] = _moved(place)
    except DeviceError as error:
        found["series_moved"], found["error"] = None, found["error"] or str(error)
    return found


def _described(place: Root, release: str | None) -> dict[str, Any] | None:
    if release is None:
        return None
    found: dict[str, Any] = {"release": release}
    try:
        with verify(place.release(release), place.keys()) as bundle:
            bundle.check_all()
            manifest = bundle.manifest
        if manifest.digest != release:
            return found | {"ok": False, "error": f"its folder holds another bundle, {manifest.digest[:12]}"}
        found |= {
            "ok": True,
            "name": manifest.name,
            "bundle_version": manifest.bundle_version,
            "key_id": manifest.key_id,
            "model": f"{manifest.model.name} {manifest.model.version}",
            "n_series": manifest.n_series,
            "horizon": manifest.horizon,
            "profile": manifest.profile,
        }
    except BundleError as error:
        found |= {"ok": False, "error": str(error)}
    return found


def _moved(place: Root) -> int | None:
    if place.current is None:
        return None
    states = StateFile(place.state_path, place.current, 0, read_only=True)
    try:
        return states.moved()
    finally:
        states.close()
