"""Install and rollback: verify, unpack, test, switch. Until the switch the old release serves."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .bundle import Bundle
from .disk import Disk
from .errors import BundleError, DeviceError, InstallError
from .keys import TrustedKeys
from .manifest import MANIFEST, SIGNATURE, Manifest
from .parity import Parity, self_test
from .releases import Root
from .verify import VerifiedBundle, verify


@dataclass(frozen=True, slots=True)
class Installed:
    """What serves now."""

    manifest: Manifest
    release: str
    previous: str | None
    parity: tuple[Parity, ...]
    changed: bool
    """False where it served already."""


def install(
    bundle: str | os.PathLike[str],
    root: str | os.PathLike[str],
    keys: TrustedKeys | None = None,
    allow_downgrade: bool = False,
    disk: Disk | None = None,
) -> Installed:
    """Install a bundle (folder or archive) as the current release.

    Parameters
    ----------
    keys
        Added to the root's keys.json before anything else; what either revokes stays revoked.
    allow_downgrade
        Take a version below the highest that was ever active.
    disk
        How the disk is changed; for tests.

    Raises
    ------
    BundleError
        The bundle is refused (signature, files, self-test); nothing has changed.
    InstallError
        An older version, another install, a full or read-only disk; the old release serves.
    """
    place = Root(Path(root), disk or Disk())
    with place.locked():
        trusted = _trusted(place, keys)
        with verify(bundle, trusted) as found:
            _check_version(place, found.manifest, allow_downgrade)
            parity = _put(place, found, trusted)
            return _activate(place, found.manifest, trusted, parity)


def rollback(root: str | os.PathLike[str], disk: Disk | None = None) -> Installed:
    """Make the previous release current again, once it has passed all checks; the counter stays.

    Raises
    ------
    InstallError
        There is no previous release.
    BundleError
        The previous release is damaged, or its key is revoked; nothing has changed.
    """
    place = Root(Path(root), disk or Disk())
    if not place.path.is_dir():
        raise InstallError(f"there is no folder {place.path}; `install` makes it")
    with place.locked():
        previous = place.previous
        if previous is None or previous == place.current:
            raise InstallError(f"{place.path} has no previous release to go back to")
        with verify(place.release(previous), place.keys()) as found:
            _check_name(previous, found)
            found.check_all()
            parity = self_test(found)
            manifest = found.manifest
        place.switch(previous)
        return Installed(manifest, previous, place.previous, parity, True)


def _trusted(place: Root, keys: TrustedKeys | None) -> TrustedKeys:
    if keys is None:
        return place.keys()
    known = place.keys().merged(keys) if os.path.lexists(place.keys_path) else keys
    if not os.path.lexists(place.keys_path) or place.keys() != known:
        place.disk.replace_file(place.keys_path, known.to_bytes())
    return known


def _check_version(place: Root, manifest: Manifest, allow_downgrade: bool) -> None:
    counter, version = place.counter(), manifest.bundle_version
    if version == counter.highest and counter.digest not in (None, manifest.digest):
        raise InstallError(
            f"version {version} was installed here with another content: every bundle needs its own version"
        )
    if version < counter.highest and not allow_downgrade:
        raise InstallError(
            f"version {version} is older than {counter.highest}, which was active here: an old bundle may be "
            "replayed by an attacker; --allow-downgrade takes it all the same"
        )
    if place.current is not None:
        name = _name_of_current(place)
        if name not in (None, manifest.name):
            raise InstallError(
                f"the bundle is of {manifest.name!r}, the device serves {name!r}; use another root"
            )


def _name_of_current(place: Root) -> str | None:
    try:
        with verify(place.release(place.current or ""), place.keys()) as found:
            return found.manifest.name
    except BundleError:  # damaged, or revoked: being replaced is what it needs
        return None


def _put(place: Root, found: VerifiedBundle, trusted: TrustedKeys) -> tuple[Parity, ...]:
    """Have the bundle, tested, in `releases`; one that is there and sound is left alone."""
    digest = found.manifest.digest
    if os.path.lexists(place.release(digest)):
        try:
            return _tested(place, digest, trusted)
        except BundleError:
            place.discard(digest)
    fresh = place.path / "releases" / f".new-{digest}"
    try:
        _unpack(place.disk, found, fresh)
        with verify(fresh, trusted) as copy:
            parity = self_test(copy)
    except Exception:
        _give_back(place.disk, fresh)
        raise
    place.disk.move(fresh, place.release(digest))
    place.disk.sync_folder(place.path / "releases")
    return parity


def _give_back(disk: Disk, folder: Path) -> None:
    """Remove what was unpacked, so that a full disk is not full of it; what stays, the next start removes."""
    with suppress(OSError):
        if folder.is_dir():
            disk.remove_tree(folder)


def _tested(place: Root, digest: str, trusted: TrustedKeys) -> tuple[Parity, ...]:
    with verify(place.release(digest), trusted) as found:
        _check_name(digest, found)
        found.check_all()
        return self_test(found)


def _check_name(digest: str, found: VerifiedBundle) -> None:
    if found.manifest.digest != digest:
        raise BundleError(f"release {digest[:12]} holds another bundle, {found.manifest.digest[:12]}")


def _unpack(disk: Disk, found: VerifiedBundle, folder: Path) -> None:
    """Write every file of the bundle, checked as it is written, and wait for the disk."""
    disk.make_folder(folder)
    disk.write(folder / MANIFEST, [found.manifest_bytes])
    disk.write(folder / SIGNATURE, [found.signature_bytes])
    folders = {folder}
    for path in found.manifest.files:
        place = folder / path
        missing = [above for above in place.relative_to(folder).parents if folder / above not in folders]
        for above in reversed(missing):
            disk.make_folder(folder / above)
            folders.add(folder / above)
        disk.write(place, found.blocks(path))
    for each in sorted(folders, reverse=True):
        disk.sync_folder(each)
    disk.sync_folder(folder.parent)


def _activate(place: Root, manifest: Manifest, trusted: TrustedKeys, parity: tuple[Parity, ...]) -> Installed:
    digest, before = manifest.digest, place.current
    place.count(manifest.bundle_version, digest)
    if before == digest:
        place.prune()
        return Installed(manifest, digest, place.previous, parity, False)
    place.switch(digest)
    try:  # as a service would open it from now on
        Bundle.open(place.path / "current", keys=trusted).close()
    except DeviceError as error:
        if before is not None:
            place.switch(before)
        raise InstallError(f"the new release does not open ({error}); the old one serves again") from None
    place.prune()
    return Installed(manifest, digest, place.previous, parity, True)
