"""Model versions from folders and from the store, ready to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import ForecastError
from forecast.models import version
from forecast.models.version import StoredModel
from pipelines.errors import StreamError
from pipelines.stream.served import Served, serve

if TYPE_CHECKING:
    from pipelines.store import Store, VersionRow

# Of several models of a version the one with the least of this error serves.
_SCORE = "mase_mean"

Metrics = Mapping[str, Mapping[str, Any]]


def load_folder(
    path: str | Path,
    *,
    name: str | None = None,
    alias: str | None = None,
    row_version: int = 0,
    find_parent: Callable[[str], str | Path] | None = None,
    metrics: Metrics | None = None,
) -> Served:
    """Return the model version in a folder, its parents' series with it.

    Parameters
    ----------
    name
        Of the fleet; None: the folder's.
    alias
        Of the model; None: the only one, or the best by `metrics`.
    find_parent
        Returns the folder of a version; None: beside this folder, by the version.
    metrics
        ``{alias: {"mase_mean": ...}}``

    Raises
    ------
    StreamError
        A folder is gone or damaged, has no such model or several to choose from, or the model fails its
        certificate.
    """
    folder = Path(path)
    full, models = _stored(folder, find_parent or (lambda parent: folder.absolute().parent / parent))
    what = name or folder.name
    model = choose(models, alias, metrics, f"{what}, version {full[:12]}")
    return serve(model.records, name=what, alias=model.alias, version=full, row_version=row_version)


def _stored(folder: Path, find_parent: Callable[[str], str | Path]) -> tuple[str, Sequence[StoredModel]]:
    """Return the version in a folder and its models, whole."""
    try:
        found = version.load(folder)
        models = version.resolve(found, lambda parent: version.load(find_parent(parent)))
    except ForecastError as error:
        raise StreamError(f"the model at {folder} cannot be served: {error}") from error
    return found.manifest.version, models


def load_named(store: Store, name: str, alias: str | None = None) -> Served:
    """Return a registered version: ``FLEET@champion``, ``FLEET@3`` or ``FLEET@VERSION``.

    `StoreError` where the store does not know it, `StreamError` as `load_folder`.
    """
    fleet, sign, ref = name.rpartition("@")
    if not sign or not fleet or not ref:
        raise StreamError(f"{name!r} is no name of a version; write FLEET@champion or FLEET@NUMBER")
    if ref == "champion":
        champion = store.champion(fleet)
        if champion is not None:
            return _load_row(store, champion.version, champion.row_version, alias)
    return _load_row(store, store.version(fleet, ref), 0, alias)


def load_version(store: Store, fleet: str, sha256: str, row_version: int, alias: str | None = None) -> Served:
    """Return the version that a control message names; errors as `load_named`."""
    return _load_row(store, store.version(fleet, sha256), row_version, alias)


def choose(
    models: Sequence[StoredModel], alias: str | None, metrics: Metrics | None, what: str
) -> StoredModel:
    """Return the model of an alias, the only one, or the best; `StreamError` lists what there is."""
    names = ", ".join(repr(model.alias) for model in models)
    if alias is not None:
        for model in models:
            if model.alias == alias:
                return model
        raise StreamError(f"{what} has no model {alias!r}; it has {names}")
    if len(models) == 1:
        return models[0]
    scores = {name: values.get(_SCORE) for name, values in (metrics or {}).items()}
    scored = [(score, i) for i, model in enumerate(models) if (score := scores.get(model.alias)) is not None]
    if len(scored) < len(models):
        raise StreamError(f"{what} has several models, and not the scores of all: name one of {names}")
    return models[min(scored)[1]]


def _load_row(store: Store, row: VersionRow, row_version: int, alias: str | None) -> Served:
    return load_folder(
        row.artifact_uri,
        name=row.fleet,
        alias=alias,
        row_version=row_version,
        find_parent=lambda parent: store.version(row.fleet, parent).artifact_uri,
        metrics=row.metrics,
    )
