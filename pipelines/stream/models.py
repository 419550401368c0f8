"""The model that a service starts with, and how it finds the ones after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import StoreError, StreamError
from pipelines.stream.loading import load_folder, load_named, load_version

if TYPE_CHECKING:
    from pipelines.store import Store
    from pipelines.stream.served import Served
    from pipelines.wire import Control


def load_first(name: str, open_store: Callable[[], Store], alias: str | None = None) -> Served:
    """Return a model by folder, or by ``FLEET@champion``, ``FLEET@3``, ``FLEET@VERSION``.

    Raises
    ------
    StreamError, StoreError
        There is none of that name, or it must not be served.
    """
    if Path(name).exists():
        return load_folder(name, alias=alias)
    if "@" not in name:
        raise StreamError(f"there is no folder {name!r}; name a folder, FLEET@NUMBER or FLEET@champion")
    with open_store() as store:
        store.require_current()
        return load_named(store, name, alias)


def follows_champion(name: str) -> bool:
    """Whether a model's name stands for another version one day."""
    return not Path(name).exists() and name.rpartition("@")[2] == "champion"


class ChampionLoader:
    """Loads the champion that a control message announces, as the store has it.

    Parameters
    ----------
    open_store
        Called once for each message.
    """

    def __init__(self, open_store: Callable[[], Store], alias: str | None = None) -> None:
        self._open_store = open_store
        self._alias = alias

    def __call__(self, control: Control) -> Served:
        """Return the version that is champion now; it may be newer than the message.

        Raises
        ------
        StreamError, StoreError
            The store says otherwise, or the version must not be served. `retriable` where the store does
            not answer.
        """
        with self._open_store() as store:
            champion = store.champion(control.name)
            if champion is None or champion.row_version < control.row_version:
                found = 0 if champion is None else champion.row_version
                raise StoreError(
                    f"the champion of {control.name!r} has row version {found} in the store, "
                    f"the message says {control.row_version}: it is from elsewhere"
                )
            version = champion.version.version
            if champion.row_version == control.row_version and version != control.version:
                raise StreamError(f"the champion is {version[:12]} in the store, the message says another")
            return load_version(store, control.name, version, champion.row_version, self._alias)
