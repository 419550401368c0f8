"""Models by the names that people give them: a folder, ``FLEET@3``, ``FLEET@champion``, a version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.api.fitted import Fitted
    from pipelines.store import Store, VersionRow


def load_model(name: str, store_url: str) -> Fitted:
    """Return a model; the store at `store_url` is opened only where `name` is no folder.

    A version that holds only changes is read with its line of parents: as the store knows them, or for a
    folder from the folders beside it.

    Raises
    ------
    InputError
        There is no such folder, and the name is none of a version.
    StoreError
        The store does not know it, or lacks a parent.
    ArtifactError
        A folder is gone or damaged.
    """
    import forecast as fc

    folder = Path(name)
    if folder.exists():
        return fc.load(folder, lambda parent: folder.absolute().parent / parent)
    if "@" not in name and not is_version_like(name):
        raise InputError(
            f"there is no folder {name!r}; name a folder, FLEET@NUMBER, FLEET@champion or a version"
        )
    from pipelines.store import open_store

    with open_store(store_url) as store:
        store.require_current()
        row = find_version(store, name)
        return fc.load(row.artifact_uri, lambda parent: store.version(row.fleet, parent).artifact_uri)


def find_version(store: Store, name: str) -> VersionRow:
    """Return a registered version by ``FLEET@REF``, or by the beginning of its sha256."""
    fleet, sign, ref = name.rpartition("@")
    if sign:
        return store.version(fleet, ref)
    found = [row for row in store.versions() if row.version.startswith(name.lower())]
    if len(found) != 1:
        names = ", ".join(row.name for row in found) or "none"
        raise InputError(f"{name!r} must name one version; found {names}")
    return found[0]


def is_version_like(name: str) -> bool:
    """Whether `name` can be the beginning of a sha256: 6 hexadecimal digits or more."""
    return len(name) >= 6 and not set(name.lower()) - set("0123456789abcdef")
